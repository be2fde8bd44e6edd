import { lookup as systemLookup } from 'node:dns';
import type { LookupFunction } from 'node:net';
import type { MongoClient } from 'mongodb';
import { z } from 'zod';
import { Failure } from '../kit/errors.ts';
import { port, scalar, text, word } from '../kit/fields.ts';
import { fromEnvironment, fromEnvironmentIfNamed } from './environment.ts';
import { activatesAbove, fromVariable, target } from './fields.ts';
import type { TriggerContext, TriggerType } from './model.ts';
import { polled } from './polled.ts';
import { STATEMENT_LIMIT_MS } from './sql.ts';

const PARTS = ['scheme', 'host', 'port', 'username', 'passwordFromEnv'] as const;

const metadata = z
  .strictObject({
    dbName: text('the name of a database')
      .describe('Database that is asked.')
      .meta({ samples: ['shop'] }),
    collection: text('the name of a collection')
      .describe('Collection whose documents are counted.')
      .meta({ samples: ['jobs'] }),
    query: scalar('a JSON object with at least one condition', (text) => {
      try {
        const filter: unknown = JSON.parse(text);
        return typeof filter === 'object' && filter !== null && !Array.isArray(filter) && Object.keys(filter).length > 0 ? text : undefined;
      } catch {
        return undefined;
      }
    })
      .describe("Which documents count, in MongoDB's Extended JSON.")
      .meta({ samples: ['{"state": "ready"}'] }),
    queryValue: target()
      .describe('Documents that one worker is to have.')
      .meta({ samples: [5] }),
    activationQueryValue: activatesAbove(),
    connectionStringFromEnv: fromVariable('a `mongodb://` connection string. Instead of the parts below', 'MONGODB_URL'),
    scheme: word('mongodb', 'mongodb+srv')
      .optional()
      .describe('Default: `mongodb`.')
      .meta({ samples: ['mongodb'] }),
    host: text('a host name')
      .optional()
      .describe('Where MongoDB answers.')
      .meta({ samples: ['mongo'] }),
    port: port()
      .optional()
      .describe('Default: 27017.')
      .meta({ samples: [27017] }),
    username: text('the name of a user')
      .optional()
      .describe('User that asks, of the database `dbName`.')
      .meta({ samples: ['scaler'] }),
    passwordFromEnv: fromVariable('the password', 'MONGO_PASSWORD'),
  })
  .superRefine((fields, context) => {
    const refuse = (key: string, message: string) => context.addIssue({ code: 'custom', path: [key], message });
    if (fields.connectionStringFromEnv) {
      for (const key of PARTS) if (fields[key] !== undefined) refuse(key, 'connectionStringFromEnv says it already');
      return;
    }
    if (fields.host === undefined) refuse('host', 'has to be given where connectionStringFromEnv is not');
    if (!fields.username !== !fields.passwordFromEnv) refuse('username', 'username and passwordFromEnv go together');
    if (fields.scheme === 'mongodb+srv' && fields.port !== undefined) refuse('port', 'mongodb+srv finds it by itself');
  });

type Metadata = z.output<typeof metadata>;

export interface Connection {
  scheme: string;
  /** "user:password@", or nothing. */
  credentials: string;
  hosts: { host: string; port: number }[];
  /** "/database?options", or nothing. */
  rest: string;
}

/** The parts of a connection string, or undefined when it is none. */
export function parseMongoConnection(text: string): Connection | undefined {
  const match = /^(mongodb(?:\+srv)?):\/\/([^/?]*@)?([^/?@]+)(\/[^?]*)?(\?.*)?$/.exec(text);
  if (!match) return undefined;
  const [, scheme = '', credentials = '', hosts = '', path = '', options = ''] = match;
  const read = hosts.split(',').map((host) => /^(\[[^\]]*\]|[^:]+)(?::(\d{1,5}))?$/.exec(host));
  if (read.some((host) => !host)) return undefined;
  return {
    scheme,
    credentials,
    hosts: read.map((host) => ({ host: (host?.[1] ?? '').replace(/^\[|\]$/g, ''), port: Number(host?.[2] ?? 27017) })),
    rest: path || options ? `${path || '/'}${options}` : '',
  };
}

function connectionOf(metadata: Metadata, context: TriggerContext): Connection {
  const { connectionStringFromEnv: variable, scheme = 'mongodb', host = '', port = 27017, username, passwordFromEnv, dbName } = metadata;
  if (!variable) {
    const password = fromEnvironmentIfNamed(context, 'passwordFromEnv', passwordFromEnv);
    const credentials = username ? `${encodeURIComponent(username)}:${encodeURIComponent(password ?? '')}@` : '';
    return { scheme, credentials, hosts: [{ host, port }], rest: `/${encodeURIComponent(dbName)}` };
  }
  const connection = parseMongoConnection(fromEnvironment(context, 'connectionStringFromEnv', variable));
  if (connection) return connection;
  throw new Failure('CONFIG_INVALID', `what ${variable} holds is no mongodb:// connection string`, { where: 'connectionStringFromEnv' });
}

/** Members of a replica set are known by the names that they have among themselves: those are looked up like all others. */
function lookupThrough(context: TriggerContext): LookupFunction {
  return (name, options, callback) => {
    context.resolve(name, 27017).then(
      ({ host }) => systemLookup(host, options, callback),
      (error: NodeJS.ErrnoException) => callback(error, ''),
    );
  };
}

async function connect(connection: Connection, context: TriggerContext): Promise<MongoClient> {
  const { MongoClient } = await import('mongodb');
  const { scheme, credentials, rest } = connection;
  const encrypted = scheme === 'mongodb+srv' || /[?&](tls|ssl)=true\b/.test(rest);
  // A certificate names the host as it was written; it is looked up on the way.
  const reached = encrypted ? connection.hosts : await Promise.all(connection.hosts.map(({ host, port }) => context.resolve(host, port)));
  const hosts = reached.map(({ host, port }) => `${host.includes(':') ? `[${host}]` : host}${scheme === 'mongodb' ? `:${port}` : ''}`);
  const alone = scheme === 'mongodb' && hosts.length === 1 && !/[?&](replicaSet|directConnection|loadBalanced)=/.test(rest);
  const client = new MongoClient(`${scheme}://${credentials}${hosts.join(',')}${rest}`, {
    appName: 'composure',
    maxPoolSize: 1,
    serverSelectionTimeoutMS: STATEMENT_LIMIT_MS,
    connectTimeoutMS: STATEMENT_LIMIT_MS,
    lookup: lookupThrough(context),
    ...(alone ? { directConnection: true } : {}),
  });
  client.on('error', () => {});
  return client;
}

export const mongodb: TriggerType<Metadata> = {
  type: 'mongodb',
  summary: 'Documents of a MongoDB collection that a query matches.',
  metadata,
  metricTypes: ['AverageValue', 'Value'],
  target: ({ queryValue, activationQueryValue }) => ({ value: queryValue, activation: activationQueryValue }),
  activates: true,
  freezable: false,
  open(metadata, context) {
    const connection = connectionOf(metadata, context);
    const { password } = new URL(`http://${connection.credentials}host`);
    return polled<MongoClient>({
      type: 'mongodb',
      where: connection.hosts.map(({ host, port }) => `${host}:${port}`).join(', '),
      secrets: [password, decodeURIComponent(password)],
      connect: () => connect(connection, context),
      async look(client, signal) {
        const { BSON } = await import('mongodb');
        const value = await client
          .db(metadata.dbName)
          .collection(metadata.collection)
          .countDocuments(BSON.EJSON.parse(metadata.query), { maxTimeMS: STATEMENT_LIMIT_MS, readPreference: 'primaryPreferred', signal });
        return { value };
      },
      drop: (client) => client.close(true),
    });
  },
};
