import { isIP, Socket } from 'node:net';
import type { Client } from 'pg';
import { z } from 'zod';
import { Failure } from '../kit/errors.ts';
import { port, text, word } from '../kit/fields.ts';
import { sleep } from '../kit/wait.ts';
import { fromEnvironment, fromEnvironmentIfNamed } from './environment.ts';
import { activatesAbove, fromVariable, query, target } from './fields.ts';
import type { TriggerContext, TriggerType } from './model.ts';
import { polled } from './polled.ts';
import { type Connection, parsePostgresConnection, SSL_MODES, tlsAttempts } from './postgresql-connection.ts';
import { oneNumber, STATEMENT_LIMIT_MS } from './sql.ts';

const PARTS = ['host', 'port', 'userName', 'passwordFromEnv', 'dbName', 'sslmode'] as const;

const metadata = z
  .strictObject({
    query: query('one SQL statement')
      .describe('SQL that answers one row with one number.')
      .meta({ samples: ["SELECT count(*) FROM jobs WHERE state = 'ready'"] }),
    targetQueryValue: target()
      .describe('What one worker is to have of it.')
      .meta({ samples: [5] }),
    activationTargetQueryValue: activatesAbove(),
    connectionFromEnv: fromVariable('the connection string, as a URL or as `name=value` pairs. Instead of the parts below', 'DATABASE_URL'),
    host: text('a host name')
      .optional()
      .describe('Where PostgreSQL answers.')
      .meta({ samples: ['postgres'] }),
    port: port()
      .optional()
      .describe('Default: 5432.')
      .meta({ samples: [5432] }),
    userName: text('the name of a role')
      .optional()
      .describe('Role that asks; SELECT on what the query reads is enough.')
      .meta({ samples: ['scaler'] }),
    passwordFromEnv: fromVariable("the role's password", 'POSTGRES_PASSWORD'),
    dbName: text('the name of a database')
      .optional()
      .describe('Database that is asked.')
      .meta({ samples: ['shop'] }),
    sslmode: word(...SSL_MODES)
      .optional()
      .describe("libpq's modes. Default: `prefer`.")
      .meta({ samples: ['disable'] }),
  })
  .superRefine((fields, context) => {
    const refuse = (key: string, message: string) => context.addIssue({ code: 'custom', path: [key], message });
    if (fields.connectionFromEnv) {
      for (const key of PARTS) if (fields[key] !== undefined) refuse(key, 'connectionFromEnv says it already');
      return;
    }
    for (const key of ['host', 'userName', 'dbName'] as const) {
      if (fields[key] === undefined) refuse(key, 'has to be given where connectionFromEnv is not');
    }
  });

type Metadata = z.output<typeof metadata>;

function connectionOf(metadata: Metadata, context: TriggerContext): Connection {
  if (metadata.connectionFromEnv) {
    const connection = parsePostgresConnection(fromEnvironment(context, 'connectionFromEnv', metadata.connectionFromEnv));
    if (typeof connection !== 'string') return connection;
    throw new Failure('CONFIG_INVALID', `what ${metadata.connectionFromEnv} holds cannot be used: ${connection}`, {
      where: 'connectionFromEnv',
    });
  }
  const { host = '', userName = '', dbName = '', sslmode = 'prefer' } = metadata;
  const password = fromEnvironmentIfNamed(context, 'passwordFromEnv', metadata.passwordFromEnv);
  return { host, port: metadata.port ?? 5432, user: userName, database: dbName, sslmode, ...(password ? { password } : {}) };
}

interface Held {
  client: Client;
  socket: Socket;
}

async function connect(connection: Connection, context: TriggerContext, signal: AbortSignal): Promise<Held> {
  const { default: pg } = await import('pg');
  const { sslmode, host, port, ...rest } = connection;
  const attempts = tlsAttempts(sslmode);
  for (const [index, tls] of attempts.entries()) {
    const reached = await context.resolve(host, port);
    const socket = new Socket({ signal });
    const ssl = tls && { ...tls, ...(isIP(host) ? {} : { servername: host }) };
    const client = new pg.Client({ ...rest, ...reached, ssl, stream: () => socket, application_name: 'composure' });
    client.on('error', () => {});
    try {
      await client.connect();
      return { client, socket };
    } catch (error) {
      socket.destroy();
      const refusesThis = /does not support SSL|no encryption|SSL off/.test((error as Error).message);
      if (index === attempts.length - 1 || !refusesThis) throw error;
    }
  }
  throw new Error('no way to connect is left');
}

export const postgresql: TriggerType<Metadata> = {
  type: 'postgresql',
  summary: 'The number that a query to PostgreSQL answers.',
  metadata,
  metricTypes: ['AverageValue', 'Value'],
  target: ({ targetQueryValue, activationTargetQueryValue }) => ({ value: targetQueryValue, activation: activationTargetQueryValue }),
  activates: true,
  // Jobs stay rows until a worker takes them, and the server lets a silent connection be.
  freezable: true,
  open(metadata, context) {
    const connection = connectionOf(metadata, context);
    return polled<Held>({
      type: 'postgresql',
      where: `${connection.host}:${connection.port}`,
      secrets: [connection.password],
      connect: (signal) => connect(connection, context, signal),
      async look({ client }) {
        // A transaction, because behind a pooler the next statement may be another session's.
        await client.query(`BEGIN; SET LOCAL statement_timeout = ${STATEMENT_LIMIT_MS}`);
        const result = await client.query({ text: metadata.query, rowMode: 'array' });
        await client.query('COMMIT');
        if (Array.isArray(result)) throw new Error('the query is several statements; one is needed');
        return { value: oneNumber(result.rows) };
      },
      async drop({ client, socket }) {
        await Promise.race([client.end(), sleep(300)]).catch(() => {});
        socket.destroy();
      },
    });
  },
};
