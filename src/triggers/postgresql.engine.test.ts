import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../../test/support/eventually.ts';
import { openServers, type Server, type Servers } from '../../test/support/servers.ts';
import { triggerContract } from './contract.ts';
import type { TriggerContext } from './model.ts';
import { postgresql } from './postgresql.ts';

const environment = { POSTGRES_PASSWORD: "s3cret of pg's", POSTGRES_USER: 'shop' };
const query = "SELECT count(*) FROM jobs WHERE state = 'ready'";
const parts = { host: 'db', port: 5432, userName: 'shop', dbName: 'shop', sslmode: 'disable', passwordFromEnv: 'POSTGRES_PASSWORD' };

async function sql(server: Server, text: string): Promise<void> {
  const { code, stderr } = await server.exec(['psql', '-v', 'ON_ERROR_STOP=1', '-qU', 'shop', '-h', '127.0.0.1', 'shop', '-c', text]);
  if (code !== 0) throw new Error(stderr);
}

async function ready(server: Server): Promise<void> {
  await eventually(() => sql(server, 'CREATE TABLE IF NOT EXISTS jobs (state text)'), { timeoutMs: 60_000, everyMs: 300 });
}

let servers: Servers;
let server: Server;
beforeAll(async () => {
  servers = await openServers('pg');
  server = await servers.start({
    image: 'postgres:18-alpine',
    port: 5432,
    environment: { ...environment, PGPASSWORD: environment.POSTGRES_PASSWORD },
  });
  await ready(server);
});
afterAll(() => servers?.remove());

triggerContract({
  type: postgresql,
  server: true,
  credentials: true,
  async start() {
    return {
      metadata: { query, targetQueryValue: 5, ...parts },
      environment,
      hold: (value) =>
        sql(server, `TRUNCATE jobs; INSERT INTO jobs SELECT 'ready' FROM generate_series(1, ${value}); INSERT INTO jobs VALUES ('done')`),
      server: {
        address: server.address,
        stop: server.stop,
        async restart() {
          await server.restart();
          await ready(server);
        },
        refused: { environment: { POSTGRES_PASSWORD: 'not the password' }, secret: 'not the password' },
      },
      remove: async () => {},
    };
  },
});

describe('a postgresql trigger', () => {
  async function read(metadata: Record<string, unknown>, more: Record<string, string> = {}): Promise<unknown> {
    const context = { environment: { ...environment, ...more }, resolve: async () => server.address() } as unknown as TriggerContext;
    const trigger = postgresql.open(postgresql.metadata.parse({ targetQueryValue: 5, ...metadata }), context);
    try {
      return (await trigger.read()).value;
    } catch (error) {
      return (error as Error).message;
    } finally {
      await trigger.close();
    }
  }

  test('takes both forms of a connection string, and falls back to no TLS where the server has none', async () => {
    const password = encodeURIComponent(environment.POSTGRES_PASSWORD);
    const asked = (text: string) => read({ query: 'SELECT 4', connectionFromEnv: 'URL' }, { URL: text });
    expect(await asked(`postgres://shop:${password}@db/shop`)).toBe(4);
    expect(await asked("host=db dbname=shop user=shop password='s3cret of pg\\'s' sslmode=prefer")).toBe(4);
    expect(await asked(`postgres://shop:${password}@db/shop?sslmode=require`)).toMatch(/does not support SSL/);
  });

  test.each([
    ['SELECT 2.5::numeric', 2.5],
    ['SELECT 9007199254740993', 9007199254740992],
    ['SELECT sum(1) FROM jobs WHERE false', /NULL.*COALESCE/],
    ['SELECT 1 FROM generate_series(1, 2)', /answers 2 rows/],
    ['SELECT 1, 2', /answers 2 columns/],
    ["SELECT 'many'", /no number/],
    ['SELECT 1; SELECT 2', /several statements/],
    ['SELECT * FROM nowhere', /relation "nowhere" does not exist/],
    ['SELECT pg_sleep(30)', /statement timeout/],
  ])('%s', async (query, expected) => {
    const answer = await read({ query, ...parts });
    if (expected instanceof RegExp) expect(answer).toMatch(expected);
    else expect(answer).toBe(expected);
  });
});
