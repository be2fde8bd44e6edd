import { describe, expect, test } from 'vitest';
import { triggerContract } from './contract.ts';
import type { TriggerContext } from './model.ts';
import { type MongoScript, startMongo } from './mongodb.fixture.ts';
import { mongodb, parseMongoConnection } from './mongodb.ts';

const PASSWORD = 's3cret/of@mongo:s';
const QUERY = '{"state": "ready", "due": {"$lte": {"$date": "2026-01-01T00:00:00Z"}}}';

triggerContract({
  title: 'mongodb (scripted server)',
  type: mongodb,
  server: true,
  credentials: true,
  async start() {
    const script: MongoScript = { documents: 0, asked: [], credentials: { user: 'shop', password: PASSWORD } };
    let running = await startMongo(script);
    let port = running.port;
    return {
      metadata: {
        host: 'mongo',
        port: 27017,
        username: 'shop',
        passwordFromEnv: 'MONGO_PASSWORD',
        dbName: 'shop',
        collection: 'jobs',
        query: QUERY,
        queryValue: 5,
      },
      environment: { MONGO_PASSWORD: PASSWORD },
      async hold(value) {
        script.documents = value;
      },
      server: {
        address: () => ({ host: '127.0.0.1', port }),
        stop: () => running.stop(),
        async restart() {
          running = await startMongo(script);
          if (running.port === port) throw new Error('the system gave out the same port again');
          port = running.port;
        },
        refused: { environment: { MONGO_PASSWORD: 'not the password' }, secret: 'not the password' },
      },
      remove: () => running.stop(),
    };
  },
});

async function read(script: MongoScript, connection: string, metadata: object = {}): Promise<unknown> {
  const running = await startMongo(script);
  const context = {
    environment: { URL: connection },
    resolve: async () => ({ host: '127.0.0.1', port: running.port }),
  } as unknown as TriggerContext;
  const known = { connectionStringFromEnv: 'URL', dbName: 'shop', collection: 'jobs', query: QUERY, queryValue: 1 };
  const trigger = mongodb.open(mongodb.metadata.parse({ ...known, ...metadata }), context);
  try {
    return (await trigger.read()).value;
  } catch (error) {
    return (error as Error).message;
  } finally {
    await trigger.close();
    await running.stop();
  }
}

test('counts what the query matches, dates and all, in the database that is named', async () => {
  const script: MongoScript = { documents: 4, asked: [] };
  expect(await read(script, 'mongodb://mongo/other?retryReads=false')).toBe(4);
  expect(script.asked).toEqual([['shop', 'jobs', { state: 'ready', due: { $lte: new Date('2026-01-01T00:00:00Z') } }]]);
});

test('no document is 0; an error of the server is none', async () => {
  expect(await read({ documents: 0, asked: [] }, 'mongodb://mongo')).toBe(0);
  const error = { code: 50, codeName: 'MaxTimeMSExpired', errmsg: 'operation exceeded time limit' };
  expect(await read({ documents: 4, asked: [], error }, 'mongodb://mongo')).toBe(
    'the mongodb trigger cannot be read: operation exceeded time limit',
  );
});

test('a server that asks for credentials refuses a connection string without them', async () => {
  const script: MongoScript = { documents: 4, asked: [], credentials: { user: 'shop', password: PASSWORD } };
  expect(await read(script, 'mongodb://mongo')).toMatch(/requires authentication/);
  expect(await read(script, `mongodb://shop:${encodeURIComponent(PASSWORD)}@mongo/shop`)).toBe(4);
});

describe('a connection string', () => {
  test.each([
    ['mongodb://mongo', 'mongodb', '', ['mongo:27017'], ''],
    ['mongodb://a:b%40@mongo:27018/shop?authSource=admin', 'mongodb', 'a:b%40@', ['mongo:27018'], '/shop?authSource=admin'],
    ['mongodb://one:1,two:2/?replicaSet=rs', 'mongodb', '', ['one:1', 'two:2'], '/?replicaSet=rs'],
    ['mongodb://mongo?tls=true', 'mongodb', '', ['mongo:27017'], '/?tls=true'],
    ['mongodb+srv://cluster.example.com/shop', 'mongodb+srv', '', ['cluster.example.com:27017'], '/shop'],
    ['mongodb://[fd00::1]:27018', 'mongodb', '', ['fd00::1:27018'], ''],
  ])('%s', (text, scheme, credentials, hosts, rest) => {
    const connection = parseMongoConnection(text);
    expect({ ...connection, hosts: connection?.hosts.map(({ host, port }) => `${host}:${port}`) }).toEqual({
      scheme,
      credentials,
      hosts,
      rest,
    });
  });

  test.each(['postgres://mongo', 'mongodb://', 'mongodb://a:b@', 'mongodb://mongo:port', 'mongo:27017'])('%s is none', (text) => {
    expect(parseMongoConnection(text)).toBeUndefined();
  });
});

test.each([
  [{ query: '{}' }, ['query: expected a JSON object with at least one condition']],
  [{ query: "{state: 'ready'}" }, ['query: expected a JSON object with at least one condition']],
  [{ connectionStringFromEnv: 'URL' }, ['host: connectionStringFromEnv says it already']],
  [{ host: undefined }, ['host: has to be given where connectionStringFromEnv is not']],
  [{ username: 'shop' }, ['username: username and passwordFromEnv go together']],
  [{ tls: 'enable' }, [': tls']],
  [{ connectionString: 'mongodb://mongo' }, [': connectionString']],
])('refuses %j', (change, expected) => {
  const { error } = mongodb.metadata.safeParse({
    host: 'mongo',
    dbName: 'shop',
    collection: 'jobs',
    query: QUERY,
    queryValue: 1,
    ...change,
  });
  expect(
    error?.issues.map((issue) => `${issue.path.join('.')}: ${issue.code === 'unrecognized_keys' ? issue.keys : issue.message}`),
  ).toEqual(expected);
});
