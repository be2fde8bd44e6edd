import { randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { hasImage } from '../../../test/support/images.ts';
import { openDocker } from '../../docker/api.ts';
import { run } from '../../kit/spawn.ts';
import { waitFor } from '../../kit/wait.ts';
import type { DumpContext, DumpType } from '../model.ts';
import { makeDump } from '../save-dump.ts';
import { mysql } from './mysql.ts';
import { mysqlAccounts } from './mysql-accounts.ts';

const PASSWORD = 'for tests only';
const docker = openDocker();

const SERVERS = [
  {
    title: 'MariaDB',
    image: 'mariadb:11',
    shell: 'mariadb',
    prefix: 'MARIADB',
    command: [],
    // Its roles are no accounts.
    roles: `CREATE ROLE readers; GRANT SELECT ON shop.* TO readers; GRANT readers TO reporting@'%'; SET DEFAULT ROLE readers FOR reporting@'%'`,
    names: ["'readers'", "'app'@'%'", "'odd \\'name'@'10.0.%'", "'reporting'@'%'"],
  },
  {
    title: 'MySQL',
    image: 'mysql:9',
    shell: 'mysql',
    prefix: 'MYSQL',
    command: ['--gtid-mode=ON', '--enforce-gtid-consistency=ON'],
    roles: `CREATE ROLE readers; GRANT SELECT ON shop.* TO readers; GRANT readers TO reporting@'%'; ALTER USER reporting@'%' DEFAULT ROLE readers`,
    names: ["'app'@'%'", "'odd \\'name'@'10.0.%'", "'readers'@'%'", "'reporting'@'%'"],
  },
];

interface Server extends DumpContext {
  ask(statement: string, user?: string, password?: string): Promise<string>;
  remove(): Promise<unknown>;
}

async function start({ image, shell, prefix, command }: (typeof SERVERS)[number], root: string | undefined): Promise<Server> {
  const name = `composure-test-accounts-${randomBytes(4).toString('hex')}`;
  const env = { DATABASE: 'shop', USER: 'app', PASSWORD, ...(root === undefined ? {} : { ROOT_PASSWORD: root }) };
  const empty = root === undefined ? [`${prefix}_ALLOW_EMPTY_${prefix === 'MYSQL' ? '' : 'ROOT_'}PASSWORD=1`] : [];
  const variables = [...Object.entries(env).map(([key, value]) => `${prefix}_${key}=${value}`), ...empty].flatMap((line) => ['-e', line]);
  expect((await run('docker', ['run', '-d', '--name', name, ...variables, image, ...command])).stderr).toBe('');
  const context = { docker, container: await docker.inspectContainer(name), service: 'db', name: '', report: () => {} };
  const ready = async () => ((await mysql.ready(context)) ? true : undefined);
  expect(await waitFor(ready, { everyMs: 300, timeoutMs: 90_000 })).toBe(true);
  return {
    ...context,
    ask: async (statement, user = 'root', password = root ?? '') => {
      const login = ['exec', '-e', `MYSQL_PWD=${password}`, name, shell, '--batch', '--skip-column-names', `--user=${user}`, 'shop'];
      const { code, stdout, stderr } = await run('docker', [...login, '-e', statement]);
      expect(code, stderr).toBe(0);
      return stdout;
    },
    remove: () => run('docker', ['rm', '-fv', name]),
  };
}

/** Dumps from one server and loads into the other; answers what the dump counted. */
async function move(type: DumpType, from: Server, to: Server | undefined, folder: string, name = ''): Promise<unknown> {
  const made = await makeDump(type, { id: 'x', kind: type.kind, service: 'db', name: `${name}` }, { ...from, name }, folder);
  if (to) {
    await type.load({ ...to, name }, createReadStream(join(folder, made.path)));
    expect(await type.count({ ...to, name })).toEqual(made.facts);
  }
  await rm(join(folder, made.path));
  return made.facts;
}

for (const server of SERVERS) {
  describe.skipIf(!(await hasImage(server.image, server.title)))(server.title, () => {
    const scenario = (root: string | undefined, body: (from: Server, to: Server, folder: string) => Promise<void>) => async () => {
      const folder = await mkdtemp(join(tmpdir(), 'composure-accounts-'));
      const [from, to] = await Promise.all([start(server, root), start(server, root)]);
      try {
        await body(from, to, folder);
      } finally {
        await Promise.all([from.remove(), to.remove(), rm(folder, { recursive: true })]);
      }
    };

    test(
      'accounts, their passwords, roles and rights are on another server what they were; a right to nothing is passed over',
      scenario(PASSWORD, async (from, to, folder) => {
        await from.ask(`
          CREATE TABLE orders (id int, secret int); CREATE TABLE gone (id int); CREATE DATABASE other; CREATE TABLE other.t (id int);
          CREATE USER reporting@'%' IDENTIFIED BY 'it''s a \\\\ secret'; GRANT SELECT (id) ON shop.orders TO reporting@'%';
          CREATE USER 'odd ''name'@'10.0.%' IDENTIFIED BY 'x' REQUIRE SSL WITH MAX_USER_CONNECTIONS 3; GRANT ALL ON other.* TO 'odd ''name'@'10.0.%';
          GRANT SELECT ON shop.gone TO reporting@'%'; DROP TABLE gone;
          ALTER USER app@'%' IDENTIFIED BY 'changed since'; GRANT RELOAD ON *.* TO app@'%'; ${server.roles}`);
        for (const name of await mysql.list(from)) await move(mysql, from, to, folder, name);
        expect(await move(mysqlAccounts, from, to, folder)).toEqual({ kind: 'accounts', names: server.names });
        const all = async (one: Server) => {
          const rights = await Promise.all(
            ["app@'%'", "reporting@'%'", "'odd \\'name'@'10.0.%'", 'readers'].map((name) => one.ask(`SHOW GRANTS FOR ${name}`)),
          );
          return rights.join('').replace(/.*\bgone\b.*\n/, '');
        };
        expect(await all(to)).toBe(await all(from));
        expect(await to.ask('SELECT id FROM orders', 'reporting', "it's a \\ secret")).toBe('');
        expect(await to.ask('SELECT COUNT(*) FROM orders', 'app', 'changed since')).toBe('0\n');
      }),
    );

    test(
      'with the application’s own user alone databases are dumped, and it is known that accounts cannot be',
      scenario(undefined, async (from, to, folder) => {
        await from.ask('CREATE TABLE orders (id int PRIMARY KEY); INSERT INTO orders VALUES (1), (2)', 'app', PASSWORD);
        expect(await mysqlAccounts.list(from)).toEqual([]);
        expect(await mysql.list(from)).toEqual(['shop']);
        expect(await move(mysql, from, to, folder, 'shop')).toMatchObject({ tables: [{ name: 'orders', rows: 2 }] });
      }),
    );
  });
}
