import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../../test/support/eventually.ts';
import { openServers, type Server, type Servers } from '../../test/support/servers.ts';
import { triggerContract } from './contract.ts';
import type { TriggerContext } from './model.ts';
import { mysql } from './mysql.ts';

const environment = { MARIADB_USER: 'shop', MARIADB_PASSWORD: "s3cret/of@maria's", MARIADB_DATABASE: 'shop' };
const query = "SELECT COUNT(*) FROM jobs WHERE state = 'ready'";
const parts = { host: 'db', port: 3306, username: 'shop', dbName: 'shop', passwordFromEnv: 'MARIADB_PASSWORD' };

async function sql(server: Server, text: string): Promise<void> {
  const words = ['mariadb', '-h127.0.0.1', '-ushop', `-p${environment.MARIADB_PASSWORD}`, 'shop', '-e', text];
  const { code, stderr } = await server.exec(words);
  if (code !== 0) throw new Error(stderr);
}

async function ready(server: Server): Promise<void> {
  await eventually(() => sql(server, 'CREATE TABLE IF NOT EXISTS jobs (state VARCHAR(20))'), { timeoutMs: 60_000, everyMs: 300 });
}

let servers: Servers;
let server: Server;
beforeAll(async () => {
  servers = await openServers('maria');
  server = await servers.start({ image: 'mariadb:11', port: 3306, environment: { ...environment, MARIADB_RANDOM_ROOT_PASSWORD: '1' } });
  await ready(server);
});
afterAll(() => servers?.remove());

triggerContract({
  type: mysql,
  server: true,
  credentials: true,
  async start() {
    return {
      metadata: { query, queryValue: 5, ...parts },
      environment,
      hold: (value) =>
        sql(server, `DELETE FROM jobs; INSERT INTO jobs VALUES ('done'); INSERT INTO jobs SELECT 'ready' FROM seq_1_to_${value}`),
      server: {
        address: server.address,
        stop: server.stop,
        async restart() {
          await server.restart();
          await ready(server);
        },
        refused: { environment: { MARIADB_PASSWORD: 'not the password' }, secret: 'not the password' },
      },
      remove: async () => {},
    };
  },
});

describe('a mysql trigger', () => {
  async function read(metadata: Record<string, unknown>, more: Record<string, string> = {}): Promise<unknown> {
    const context = { environment: { ...environment, ...more }, resolve: async () => server.address() } as unknown as TriggerContext;
    const trigger = mysql.open(mysql.metadata.parse({ queryValue: 5, ...metadata }), context);
    try {
      return (await trigger.read()).value;
    } catch (error) {
      return (error as Error).message;
    } finally {
      await trigger.close();
    }
  }

  test('takes a connection string', async () => {
    const text = `shop:${environment.MARIADB_PASSWORD}@tcp(db:3306)/shop?parseTime=true`;
    expect(await read({ query: 'SELECT 4', connectionStringFromEnv: 'DSN' }, { DSN: text })).toBe(4);
  });

  test.each([
    ['SELECT 2.5', 2.5],
    ['SELECT 9007199254740993', 9007199254740992],
    ['SELECT SUM(1) FROM jobs WHERE false', /NULL.*COALESCE/],
    ['SELECT 1 UNION ALL SELECT 2', /answers 2 rows/],
    ['SELECT 1, 2', /answers 2 columns/],
    ["SELECT 'many'", /no number/],
    ['SELECT 1; SELECT 2', /error in your SQL syntax/],
    ['SELECT * FROM nowhere', /Table 'shop.nowhere' doesn't exist/],
    ['SELECT COUNT(*) FROM seq_1_to_100000 a, seq_1_to_100000 b', /max_statement_time exceeded/],
  ])('%s', async (query, expected) => {
    const answer = await read({ query, ...parts });
    if (expected instanceof RegExp) expect(answer).toMatch(expected);
    else expect(answer).toBe(expected);
  });
});
