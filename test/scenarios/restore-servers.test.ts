import { execFileSync } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import type { BackupWorld } from '../../src/backup/model.ts';
import { openRestic } from '../../src/backup/restic/program.ts';
import { restoreInPlace } from '../../src/backup/restore/restore.ts';
import { findSet, listSets, readManifest } from '../../src/backup/sets.ts';
import { openDocker } from '../../src/docker/api.ts';
import { loadProject } from '../../src/project/load.ts';
import { type ScenarioProject, withProject } from '../support/scenario.ts';
import { running, succeeds } from '../support/stacks.ts';

// A server makes its database twice here, and several such files may run at once.
vi.setConfig({ testTimeout: 240_000 });

/** Servers besides PostgreSQL, an SQLite file, and a service that is not always there. */
const COMPOSE = (repository: string): string => `
services:
  db:
    image: mariadb:11
    environment: {MARIADB_ROOT_PASSWORD: for tests only, MARIADB_DATABASE: shop}
    volumes: [db:/var/lib/mysql]
    healthcheck:
      test: [CMD-SHELL, 'mariadb -uroot -p"$$MARIADB_ROOT_PASSWORD" -h 127.0.0.1 -e "SELECT 1"']
      interval: 5s
      retries: 120
      start_period: 60s
      start_interval: 500ms
  cache:
    image: redis:8-alpine
    command: [redis-server, --requirepass, for tests only, --appendonly, "yes"]
    volumes: [cache:/data]
  app:
    image: busybox:1
    command: [sleep, infinity]
    stop_signal: SIGKILL
    volumes: [data:/data]
  worker:
    image: busybox:1
    command: [sleep, infinity]
    stop_signal: SIGKILL
    volumes: [data:/data, .:/project]
volumes: {db: {}, cache: {}, data: {}}
x-composure: {backup: {repository: ${repository}}}
`;

const docker = openDocker();
const PASSWORD = 'for tests only';
let p: ScenarioProject;
let repository = '';
let end: () => void = () => {};
let ended: Promise<void> = Promise.resolve();

beforeAll(async () => {
  p = await new Promise<ScenarioProject>((resolve, reject) => {
    const options = {
      files: (facts: { state: string }) => ({ 'compose.yaml': COMPOSE(`${facts.state}.repository`) }),
      env: { RESTIC_PASSWORD: PASSWORD },
    };
    ended = withProject('restore servers', options, (project) => {
      resolve(project);
      return new Promise<void>((done) => {
        end = done;
      });
    });
    ended.catch(reject);
  });
  repository = `${p.state}.repository`;
  succeeds(await p.compose(['up', '-d', '--wait']));
  await sql('CREATE TABLE orders (id int PRIMARY KEY); INSERT INTO orders SELECT seq FROM seq_1_to_1000');
  await sql("CREATE USER reporting IDENTIFIED BY 'for reports'; GRANT SELECT ON shop.* TO reporting");
  await redis('SET', 'kept', 'one');
  await sqlite('PRAGMA journal_mode = wal; CREATE TABLE users (n int); INSERT INTO users VALUES (1), (2)');
  await inService('app', 'echo one > /data/file');
  succeeds(await p.composure(['backup', 'init', '--yes']));
  succeeds(await p.composure(['backup', 'run']));
}, 240_000);
afterAll(async () => {
  end();
  await ended;
  await rm(repository, { recursive: true, force: true });
}, 60_000);

const restore = (...args: string[]) => p.composure(['backup', 'restore', ...args]);

async function inContainer(service: string, command: string[]): Promise<string> {
  const [container = ''] = await running(p, service);
  return succeeds(await p.docker(['exec', container, ...command])).stdout.trim();
}
const inService = (service: string, script: string) => inContainer(service, ['sh', '-c', script]);
const sql = (text: string) => inContainer('db', ['mariadb', '-uroot', `-p${PASSWORD}`, '-N', '-B', 'shop', '-e', text]);
const redis = (...args: string[]) => inContainer('cache', ['redis-cli', '--no-auth-warning', '-a', PASSWORD, ...args]);

async function sqlite(text: string): Promise<unknown> {
  const folder = (await docker.findVolume(`${p.name}_data`))?.Mountpoint ?? '';
  const database = new DatabaseSync(join(folder, 'app.db'));
  try {
    if (!text.startsWith('SELECT')) return database.exec(text);
    return Object.values(database.prepare(text).get() ?? {})[0];
  } finally {
    database.close();
  }
}

const contents = async () => ({
  orders: await sql('SELECT COUNT(*) FROM orders'),
  kept: await redis('GET', 'kept'),
  added: await redis('EXISTS', 'added'),
  users: await sqlite('SELECT count(*) FROM users'),
  file: await inService('app', 'cat /data/file'),
});

test('MariaDB, a Redis with a log and a password in its command, and SQLite come back in place as they were saved', async () => {
  const saved = { orders: '1000', kept: 'one', added: '0', users: 2, file: 'one' };
  expect(await contents()).toEqual(saved);
  await sql('DELETE FROM orders WHERE id > 10; DROP USER reporting');
  await redis('SET', 'added', 'later');
  await redis('SET', 'kept', 'two');
  await sqlite('DELETE FROM users');
  await inService('app', 'echo two > /data/file');
  succeeds(await restore('--yes'));
  expect(await contents()).toEqual(saved);
  const asReporting = ['mariadb', '-ureporting', '-pfor reports', '-N', '-B', 'shop', '-e', 'SELECT COUNT(*) FROM orders'];
  expect(await inContainer('db', asReporting)).toBe('1000');
  // What the server writes from now on is kept as before.
  await redis('SET', 'added', 'again');
  succeeds(await p.compose(['restart', 'cache']));
  // A server that was started a moment ago answers LOADING until it has read its log.
  await expect.poll(() => redis('EXISTS', 'added'), { timeout: 10_000 }).toBe('1');
});

test('a mounted folder with the project’s own files in it is left alone', async () => {
  const { plan } = JSON.parse(succeeds(await restore('--dry-run', '--json')).out) as { plan: { leftAlone: object[] } };
  expect(plan.leftAlone).toContainEqual({
    what: 'files of worker at /project',
    why: `${p.folder} holds the project’s own files, which are never written over`,
  });
});

test('data that somebody else has mounted is left alone, and refused by name', async () => {
  const stranger = `${p.name}-stranger`;
  try {
    succeeds(await p.docker(['run', '-d', '--name', stranger, '-v', `${p.name}_data:/x:ro`, 'busybox:1', 'sleep', '1000']));
    const refused = await restore('--only', 'app', '--yes');
    expect(refused.code).toBe(3);
    expect(refused.err).toContain(`the container ${stranger}, which is none of the project’s services, has it mounted: stop that first`);
    const { plan } = JSON.parse(succeeds(await restore('--dry-run', '--json')).out) as { plan: { leftAlone: { what: string }[] } };
    expect(plan.leftAlone.map(({ what }) => what)).toContain('files of app at /data');
  } finally {
    await p.docker(['rm', '-f', stranger]);
  }
});

test('a service that starts while the set is proven stands still too, and sees the restored data', async () => {
  const [worker = ''] = await running(p, 'worker');
  succeeds(await p.compose(['stop', 'worker']));
  await inService('app', 'echo three > /data/file');
  const project = await loadProject({ cwd: p.folder, environment: p.env });
  const world: BackupWorld = {
    project,
    docker,
    stateFolder: p.state,
    secrets: { RESTIC_PASSWORD: PASSWORD },
    report: () => {},
    signal: new AbortController().signal,
    version: '0.0.0',
    host: 'here',
  };
  const restic = await openRestic(project.settings.backup, world.secrets);
  const manifest = await readManifest(restic, findSet(await listSets(restic, p.name), {}));
  await restoreInPlace(world, restic, {
    manifest,
    only: ['app'],
    waitMs: 0,
    confirm: async (plan) => {
      expect(plan.stops.map(({ service }) => service)).toEqual(['app']);
      return true;
    },
    afterEntry: ({ kind }) => void (kind === 'begin' && execFileSync('docker', ['start', worker])),
  });
  expect(await inService('worker', 'cat /data/file')).toBe('one');
});
