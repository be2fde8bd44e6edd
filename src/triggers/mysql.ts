import { connect as connectSocket } from 'node:net';
import type { Connection as Client, ConnectionOptions } from 'mysql2/promise';
import { z } from 'zod';
import { Failure } from '../kit/errors.ts';
import { port, text } from '../kit/fields.ts';
import { fromEnvironment, fromEnvironmentIfNamed } from './environment.ts';
import { activatesAbove, fromVariable, query, target } from './fields.ts';
import type { TriggerContext, TriggerType } from './model.ts';
import { type Connection, parseMysqlConnection } from './mysql-connection.ts';
import { polled } from './polled.ts';
import { oneNumber, STATEMENT_LIMIT_MS } from './sql.ts';

const PARTS = ['host', 'port', 'username', 'usernameFromEnv', 'passwordFromEnv', 'dbName'] as const;

const metadata = z
  .strictObject({
    query: query('one SQL statement')
      .describe('SQL that answers one row with one number.')
      .meta({ samples: ["SELECT COUNT(*) FROM jobs WHERE state = 'ready'"] }),
    queryValue: target()
      .describe('What one worker is to have of it.')
      .meta({ samples: [5] }),
    activationQueryValue: activatesAbove(),
    connectionStringFromEnv: fromVariable('`user:password@tcp(host:port)/database`. Instead of the parts below', 'MYSQL_DSN'),
    host: text('a host name')
      .optional()
      .describe('Where MySQL or MariaDB answers.')
      .meta({ samples: ['mysql'] }),
    port: port()
      .optional()
      .describe('Default: 3306.')
      .meta({ samples: [3306] }),
    username: text('the name of a user')
      .optional()
      .describe('User that asks; SELECT on what the query reads is enough.')
      .meta({ samples: ['scaler'] }),
    usernameFromEnv: fromVariable("the user's name", 'MYSQL_USER'),
    passwordFromEnv: fromVariable('the password', 'MYSQL_PASSWORD'),
    dbName: text('the name of a database')
      .optional()
      .describe('Database that is asked.')
      .meta({ samples: ['shop'] }),
  })
  .superRefine((fields, context) => {
    const refuse = (key: string, message: string) => context.addIssue({ code: 'custom', path: [key], message });
    if (fields.connectionStringFromEnv) {
      for (const key of PARTS) if (fields[key] !== undefined) refuse(key, 'connectionStringFromEnv says it already');
      return;
    }
    if (fields.host === undefined) refuse('host', 'has to be given where connectionStringFromEnv is not');
    if (fields.dbName === undefined) refuse('dbName', 'has to be given where connectionStringFromEnv is not');
    if (fields.username && fields.usernameFromEnv) refuse('usernameFromEnv', 'username says it already');
    if (!fields.username && !fields.usernameFromEnv) refuse('username', 'has to be given where connectionStringFromEnv is not');
  });

type Metadata = z.output<typeof metadata>;

function connectionOf(metadata: Metadata, context: TriggerContext): Connection {
  if (metadata.connectionStringFromEnv) {
    const connection = parseMysqlConnection(fromEnvironment(context, 'connectionStringFromEnv', metadata.connectionStringFromEnv));
    if (typeof connection !== 'string') return connection;
    throw new Failure('CONFIG_INVALID', `what ${metadata.connectionStringFromEnv} holds cannot be used: ${connection}`, {
      where: 'connectionStringFromEnv',
    });
  }
  const { host = '', dbName = '' } = metadata;
  return {
    host,
    port: metadata.port ?? 3306,
    user: metadata.username ?? fromEnvironmentIfNamed(context, 'usernameFromEnv', metadata.usernameFromEnv) ?? '',
    password: fromEnvironmentIfNamed(context, 'passwordFromEnv', metadata.passwordFromEnv) ?? '',
    database: dbName,
    tls: 'false',
  };
}

async function connect({ tls, ...connection }: Connection, context: TriggerContext, signal: AbortSignal): Promise<Client> {
  const { createConnection } = await import('mysql2/promise');
  const reached = await context.resolve(connection.host, connection.port);
  const options: ConnectionOptions = {
    ...connection,
    ...(tls === 'false' ? {} : { ssl: { rejectUnauthorized: tls === 'true', verifyIdentity: tls === 'true' } }),
    stream: () => connectSocket({ ...reached, signal, noDelay: true }),
    rowsAsArray: true,
  };
  const client = await createConnection(options);
  client.on('error', () => {});
  const [[[version]]] = (await client.query('SELECT VERSION()')) as unknown as [[[string]]];
  await client.query(
    /mariadb/i.test(version)
      ? `SET SESSION max_statement_time = ${STATEMENT_LIMIT_MS / 1000}`
      : `SET SESSION max_execution_time = ${STATEMENT_LIMIT_MS}`,
  );
  return client;
}

export const mysql: TriggerType<Metadata> = {
  type: 'mysql',
  summary: 'The number that a query to MySQL or MariaDB answers.',
  metadata,
  metricTypes: ['AverageValue', 'Value'],
  target: ({ queryValue, activationQueryValue }) => ({ value: queryValue, activation: activationQueryValue }),
  activates: true,
  // wait_timeout ends connections that stay silent.
  freezable: false,
  open(metadata, context) {
    const connection = connectionOf(metadata, context);
    return polled<Client>({
      type: 'mysql',
      where: `${connection.host}:${connection.port}`,
      secrets: [connection.password],
      connect: (signal) => connect(connection, context, signal),
      async look(client) {
        const [rows] = await client.query(metadata.query);
        return { value: oneNumber(rows) };
      },
      drop: (client) => client.destroy(),
    });
  },
};
