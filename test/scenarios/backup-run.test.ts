import { randomBytes } from 'node:crypto';
import { access, chmod, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { delimiter, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runBackups, startOwn } from '../../src/agent/backups.ts';
import { packageScript } from '../../src/agent/installation/package.ts';
import type { BackupSet } from '../../src/backup/model.ts';
import { backupFolder } from '../../src/backup/places.ts';
import { readResults } from '../../src/backup/proven.ts';
import { openDocker } from '../../src/docker/api.ts';
import { run } from '../../src/kit/spawn.ts';
import { lockPath } from '../../src/rollout/journal.ts';
import { takeLock } from '../../src/state/lock.ts';
import { eventually } from '../support/eventually.ts';
import { type RunningCommand, type ScenarioProject, withProject } from '../support/scenario.ts';

const PASSWORD = `password-${randomBytes(8).toString('hex')}`;

/** The files that each service keeps, and what has to stand still while they are read. */
const compose = `
services:
  db:
    image: postgres:18-alpine
    environment: {POSTGRES_PASSWORD: x}
    volumes: [pg:/var/lib/postgresql]
    healthcheck: {test: [CMD, pg_isready, -h, 127.0.0.1, -U, postgres], interval: 5s, retries: 100, start_period: 60s, start_interval: 300ms}
  paused:
    image: busybox:1
    command: [sh, -c, "trap exit TERM; while :; do date > /data/now; sleep 0.1; done"]
    volumes: [one:/data]
    x-backup:
      consistency: pause
      pre: [sh, -c, "echo pre >> /tmp/log; echo about to save; test ! -e /tmp/refuse"]
      post: [sh, -c, "echo post >> /tmp/log"]
  stopped:
    image: busybox:1
    command: [sh, -c, "trap exit TERM; while :; do date > /data/now; sleep 0.1; done"]
    volumes: [two:/data]
    x-backup: {consistency: stop}
volumes: {pg: {}, one: {}, two: {}}
x-composure:
  backup:
    repository: \${REPOSITORY:-./repository}
    schedule: "15 3 * * *"
    notify: [{webhook: HOOK}, {heartbeat: BEAT}]
`;

/** The real restic, which waits before a backup as long as there is a file that says so: a disk or network that is slow. */
const SLOW_RESTIC = `#!/bin/sh
case " $* " in *" backup "*) while [ -e "$HOLD_BACK" ]; do sleep 0.05; done ;; esac
exec "$REAL_RESTIC" "$@"
`;

let p: ScenarioProject;
let told: { method: string; path: string; body: string }[];
let env: Record<string, string>;
let finish: () => void;
let over: Promise<void>;
const server = createServer((request, response) => {
  let body = '';
  request.setEncoding('utf8').on('data', (part: string) => {
    body += part;
  });
  request.on('end', () => {
    told.push({ method: request.method ?? '', path: request.url ?? '', body });
    response.end();
  });
});

beforeAll(async () => {
  told = [];
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  await new Promise<void>((ready, failed) => {
    over = withProject('backup run', { files: { 'compose.yaml': compose } }, async (project) => {
      p = project;
      env = { RESTIC_PASSWORD: PASSWORD, HOOK: `${address}/hook-${PASSWORD}`, BEAT: `${address}/beat` };
      // The agent's children have what the agent itself has.
      Object.assign(process.env, env);
      const real = (await run('sh', ['-c', 'command -v restic'])).stdout.trim();
      await mkdir(join(p.folder, 'slow'));
      await writeFile(join(p.folder, 'slow', 'restic'), SLOW_RESTIC);
      await chmod(join(p.folder, 'slow', 'restic'), 0o755);
      env.REAL_RESTIC = real;
      env.HOLD_BACK = join(p.folder, 'hold-back');
      const init = await run('restic', ['init', '-r', join(p.folder, 'repository')], { env: { RESTIC_PASSWORD: PASSWORD } });
      expect(init.code, init.stderr).toBe(0);
      const up = await p.compose(['up', '-d', '--wait']);
      expect(up.code, up.stderr).toBe(0);
      await psql('create table t (n int); insert into t select generate_series(1, 1000)');
      const ended = new Promise<void>((resolve) => {
        finish = resolve;
      });
      ready();
      await ended;
    });
    over.catch(failed);
  });
});
afterAll(async () => {
  finish?.();
  await over;
  server.close();
  for (const name of ['RESTIC_PASSWORD', 'HOOK', 'BEAT']) delete process.env[name];
});

const psql = async (sql: string): Promise<string> => {
  const [db] = await p.containers('db');
  const { code, stdout, stderr } = await p.docker(['exec', db?.Id ?? '', 'psql', '-U', 'postgres', '-Atc', sql]);
  expect(code, stderr).toBe(0);
  return stdout.trim();
};
const dumpWaits = () =>
  eventually(
    async () =>
      expect(await psql("select count(*) from pg_stat_activity where query like '%LOCK TABLE%' and wait_event_type = 'Lock'")).toBe('1'),
    { timeoutMs: 60_000 },
  );
const backup = (args: string[], more: Record<string, string> = {}) => p.composure(['backup', ...args], { env: { ...env, ...more } });
const slowly = (args: string[]): RunningCommand =>
  p.spawnComposure(['backup', ...args], { ...env, PATH: `${join(p.folder, 'slow')}${delimiter}${process.env.PATH}` });
const sets = async (): Promise<BackupSet[]> => JSON.parse((await backup(['list', '--json'])).out).sets;
/** Ids, looked at in the folder: restic takes half a second to open a repository. */
const snapshots = (): Promise<string[]> => readdir(join(p.folder, 'repository/snapshots'));
const stateOf = async (service: string): Promise<string> => (await p.containers(service)).map(({ State }) => State).join();
const hooksOf = async (): Promise<string> => {
  const [container] = await p.containers('paused');
  return (await p.docker(['exec', container?.Id ?? '', 'cat', '/tmp/log'])).stdout.trim().split('\n').join(' ');
};
const says = (command: RunningCommand, text: string) =>
  eventually(() => expect(command.output().err).toContain(text), { timeoutMs: 60_000, everyMs: 20 });

/** While it runs, backups stand before they read the first file. */
async function heldBack<T>(body: () => Promise<T>): Promise<T> {
  await writeFile(env.HOLD_BACK ?? '', '');
  try {
    return await body();
  } finally {
    await rm(env.HOLD_BACK ?? '', { force: true });
  }
}

/** A run of one service that was killed while its containers stand still, as `want` says. */
async function killedWhile(service: string, want: string): Promise<void> {
  await heldBack(async () => {
    const command = slowly(['run', '--only', service]);
    await eventually(async () => expect(await stateOf(service)).toBe(want), { timeoutMs: 60_000, everyMs: 50 });
    command.kill('SIGKILL');
    await command.done;
    expect(await stateOf(service)).toBe(want);
  });
}

test('a run saves everything as one set, with hooks before and after, and says that it is unproven', async () => {
  const done = await backup(['run']);
  expect(done.code, done.err).toBe(0);
  expect(done.out).toMatch(/^set \d{8}T\d{6}Z-[0-9a-f]{4}: .* is saved, 5 stores, /);
  expect(done.out).toContain('unproven until it has been restored');
  expect(done.err).toContain('pre of paused | about to save');
  expect(await hooksOf()).toBe('pre post');
  const [set] = await sets();
  expect(set?.complete).toBe(true);
  expect(set?.snapshots.flatMap(({ stores }) => stores).sort()).toEqual(
    ['db/postgres-roles', 'db/postgres/postgres', 'manifest', 'paused/files/one', 'project', 'stopped/files/two'].sort(),
  );
  expect(await Promise.all(['db', 'paused', 'stopped'].map(stateOf))).toEqual(['running', 'running', 'running']);
  const status = (await backup(['status'])).out;
  expect(status).toContain(`last set    ${set?.set}  0 min old`);
  expect(status).toMatch(/proven {6}none/);
  expect(told.map(({ method, path }) => `${method} ${path}`)).toEqual(['GET /beat']);
});

test('killed in the middle of a dump: no snapshot of the set counts, the next run takes them back and succeeds', async () => {
  const [db] = await p.containers('db');
  const lock = p.docker(['exec', db?.Id ?? '', 'psql', '-U', 'postgres', '-c', 'begin; lock table t; select pg_sleep(60)']);
  await eventually(async () => expect(await psql("select count(*) from pg_locks where mode = 'AccessExclusiveLock'")).toBe('1'));
  const before = await snapshots();
  const command = p.spawnComposure(['backup', 'run'], env);
  await says(command, 'save db/postgres/postgres');
  // The roles and the project are saved beside it.
  await eventually(async () => expect(await snapshots()).toHaveLength(before.length + 1), { timeoutMs: 60_000 });
  await dumpWaits();
  command.kill('SIGKILL');
  await command.done;
  await psql("select pg_terminate_backend(pid) from pg_stat_activity where query like '%pg_sleep(60)%' and pid <> pg_backend_pid()");
  await lock;
  const [dead] = await sets();
  expect(dead?.complete).toBe(false);
  expect(dead?.snapshots.flatMap(({ stores }) => stores).sort()).toEqual(['db/postgres-roles', 'project']);
  const next = await backup(['run', '--only', 'db']);
  expect(next.code, next.err).toBe(0);
  expect(next.err).toContain(`set ${dead?.set} is not finished: what was saved of it is taken back`);
  expect((await sets()).map(({ set }) => set)).not.toContain(dead?.set);
});

test('a pre hook that fails fails the backup before anything is read; post runs in any case', async () => {
  const [container] = await p.containers('paused');
  const before = await snapshots();
  await p.docker(['exec', container?.Id ?? '', 'sh', '-c', 'rm /tmp/log; touch /tmp/refuse']);
  const failed = await backup(['run', '--only', 'paused']);
  await p.docker(['exec', container?.Id ?? '', 'rm', '/tmp/refuse']);
  expect(failed.code, failed.err).toBe(5);
  expect(failed.err).toContain('pre of paused ended with exit code 1');
  expect(failed.err).toContain('about to save');
  expect(await hooksOf()).toBe('pre post');
  expect(await snapshots()).toEqual(before);
});

test('a dump that fails fails the whole set and is told; the next run waits for the deploy that has the project, works, and is told', async () => {
  told.length = 0;
  const before = await snapshots();
  const [db] = await p.containers('db');
  const lock = p.docker(['exec', db?.Id ?? '', 'psql', '-U', 'postgres', '-c', 'begin; lock table t; select pg_sleep(60)']);
  await eventually(async () => expect(await psql("select count(*) from pg_locks where mode = 'AccessExclusiveLock'")).toBe('1'));
  const command = p.spawnComposure(['backup', 'run', '--only', 'db'], env);
  await dumpWaits();
  await psql("select pg_terminate_backend(pid) from pg_stat_activity where wait_event_type = 'Lock'");
  const failed = await command.done;
  await psql("select pg_terminate_backend(pid) from pg_stat_activity where query like '%pg_sleep(60)%' and pid <> pg_backend_pid()");
  await lock;
  expect(failed.code, failed.err).toBe(5);
  expect(failed.err).toContain('BACKUP_FAILED');
  expect(await snapshots()).toEqual(before);
  expect(told.map(({ method }) => method)).toEqual(['POST']);
  expect(JSON.parse(told[0]?.body ?? '')).toMatchObject({
    event: 'failed',
    project: p.name,
    kind: 'run',
    ok: false,
    code: 'BACKUP_FAILED',
  });
  expect(told[0]?.body).not.toContain(PASSWORD);

  told.length = 0;
  // This one has to stop a container, so it waits for the deploy that has the project.
  const deploy = await takeLock(lockPath(p.state, p.name), { purpose: 'deploy' });
  const running = p.spawnComposure(['backup', 'run', '--only', 'stopped', '--json'], env);
  await says(running, 'waiting for deploy by').finally(() => deploy.release());
  const again = await running.done;
  expect(again.code, again.err).toBe(0);
  expect(JSON.parse(again.out)).toMatchObject({ project: p.name, stores: 1, manifest: { only: ['stopped'] } });
  // Of the database that says nothing.
  expect(told).toEqual([]);
  const { set } = JSON.parse((await backup(['run', '--only', 'db', '--json'])).out);
  const planned = async (only: string) => JSON.parse((await backup(['restore', '--only', only, '--dry-run', '--json'])).out).plan.set;
  expect(await planned('db')).toBe(set);
  expect(await planned('paused')).not.toBe(set);
  expect(told.map(({ method }) => method)).toEqual(['POST']);
  expect(JSON.parse(told[0]?.body ?? '')).toMatchObject({ event: 'recovered', ok: true });
  const status = JSON.parse((await backup(['status', '--json'])).out);
  expect(status).toMatchObject({ project: p.name, last: { run: { ok: true } }, scheduled: true, next: expect.anything(), held: [] });
  const history = await readFile(join(backupFolder(p.state, p.name), 'history.jsonl'), 'utf8');
  expect(history).not.toContain(PASSWORD);
});

test('killed while containers are paused: the next command sets them going', async () => {
  await killedWhile('paused', 'paused');
  expect((await backup(['status'])).out).toContain('still       paused-1, left by a backup that was killed');
  const next = await backup(['list']);
  expect(next.code, next.err).toBe(0);
  expect(next.err).toContain('was killed while paused-1 stood still; running again');
  expect(await stateOf('paused')).toBe('running');
});

test('killed while containers are stopped, and recreated by hand since: the agent starts what there is', async () => {
  await killedWhile('stopped', 'exited');
  const created = await p.compose(['create', '--force-recreate', 'stopped']);
  expect(created.code, created.stderr).toBe(0);
  expect(await stateOf('stopped')).toBe('created');
  const agent = new AbortController();
  const said: string[] = [];
  const looking = runBackups({
    stateFolder: p.state,
    docker: openDocker(),
    report: (event) => void ('text' in event && said.push(event.text)),
    signal: agent.signal,
    addresses: async () => ({}),
    start: () => Promise.reject(new Error('nothing is due')),
    // Before anything was planned.
    now: () => new Date(0),
    everyMs: 100,
  });
  try {
    await eventually(async () => expect(await stateOf('stopped')).toBe('running'));
  } finally {
    agent.abort();
    await looking;
  }
  expect(said).toEqual([`a backup of ${p.name} was killed while stopped-1 stood still; running again`]);
});

test('the agent makes a backup when it is due, as a process of its own, and once', async () => {
  const [before] = await sets();
  told.length = 0;
  const agent = new AbortController();
  const own = startOwn(packageScript(), p.state, {});
  const jobs: string[] = [];
  const dueAt = new Date(Date.now() + 24 * 3_600_000);
  const looking = runBackups({
    stateFolder: p.state,
    docker: openDocker(),
    report: () => {},
    signal: agent.signal,
    addresses: async () => ({}),
    // Checks and drills have tests of their own.
    start: async (args, options) => {
      jobs.push(args[1] ?? '');
      return args[1] === 'run' ? own(args, options) : { code: 0, stdout: '', stderr: '' };
    },
    now: () => dueAt,
    everyMs: 50,
  });
  try {
    await eventually(() => expect(jobs).toContain('prune'), { timeoutMs: 60_000 });
  } finally {
    agent.abort();
    await looking;
  }
  expect(jobs.filter((job) => job === 'run')).toHaveLength(1);
  // Nothing has failed since the last one.
  expect(told.map(({ method, path }) => `${method} ${path}`)).toEqual(['GET /beat']);
  const [made] = await sets();
  expect(made?.set).not.toBe(before?.set);
  expect(made?.complete).toBe(true);
  expect(made?.only).toBeUndefined();
  const run = (await readResults(p.state, p.name)).findLast(({ kind }) => kind === 'run');
  expect(run).toMatchObject({ scheduled: true, ok: true, set: made?.set });
});

test('of two runs at once the second says who is at work; a deploy waits until what stands still runs again', async () => {
  const waiting = await heldBack(async () => {
    const first = slowly(['run', '--only', 'stopped']);
    await eventually(async () => expect(await stateOf('stopped')).toBe('exited'), { timeoutMs: 60_000, everyMs: 50 });
    const second = await backup(['run']);
    expect(second.code, second.err).toBe(6);
    expect(second.err).toMatch(new RegExp(`another command is at work: backup by .*pid ${first.process.pid}`));
    const deploy = p.spawnComposure(['deploy', '--yes', '--wait', '60s'], env);
    await says(deploy, 'waiting for backup, stopping stopped');
    return { first, deploy };
  });
  const [first, deploy] = await Promise.all([waiting.first.done, waiting.deploy.done]);
  expect(first.code, first.err).toBe(0);
  expect(deploy.code, deploy.err).toBe(0);
  expect(await stateOf('stopped')).toBe('running');
});

test('a container that is recreated while its files are read fails the set, and runs', async () => {
  const before = await snapshots();
  const command = await heldBack(async () => {
    const started = slowly(['run', '--only', 'stopped']);
    await eventually(async () => expect(await stateOf('stopped')).toBe('exited'), { timeoutMs: 60_000, everyMs: 50 });
    const up = await p.compose(['up', '-d', '--force-recreate', 'stopped']);
    expect(up.code, up.stderr).toBe(0);
    return started;
  });
  const { code, err } = await command.done;
  expect(code, err).toBe(5);
  expect(err).toContain('stopped-1 ran while its files were read');
  expect(await snapshots()).toEqual(before);
  expect(await stateOf('stopped')).toBe('running');
});

test('Ctrl-C sets going what stands still and keeps nothing', async () => {
  const before = await snapshots();
  await heldBack(async () => {
    const command = slowly(['run', '--only', 'paused']);
    await eventually(async () => expect(await stateOf('paused')).toBe('paused'), { timeoutMs: 60_000, everyMs: 50 });
    command.kill('SIGINT');
    const { code, err } = await command.done;
    expect(code, err).toBe(130);
  });
  expect(await stateOf('paused')).toBe('running');
  expect(await snapshots()).toEqual(before);
});

test('a full disk, of the repository or of what a run needs meanwhile, fails the set and is told', async () => {
  const small = join(p.folder, 'small');
  await mkdir(small);
  await mounted(small, '1m', async () => {
    const repository = join(small, 'repository');
    expect((await run('restic', ['init', '-r', repository], { env: { RESTIC_PASSWORD: PASSWORD } })).code).toBe(0);
    const [container] = await p.containers('stopped');
    await p.docker(['exec', container?.Id ?? '', 'dd', 'if=/dev/urandom', 'of=/data/big', 'bs=1M', 'count=3']);
    const full = await backup(['run', '--only', 'stopped'], { REPOSITORY: repository });
    expect(full.code, full.err).toBe(4);
    expect(full.err).toContain('no space left on device');
    expect(await stateOf('stopped')).toBe('running');
    expect(JSON.parse((await backup(['list', '--json'], { REPOSITORY: repository })).out).sets).toEqual([]);
  });
  await mounted(backupFolder(p.state, p.name), '32k', async () => {
    told.length = 0;
    await writeFile(join(backupFolder(p.state, p.name), 'ballast'), Buffer.alloc(32 * 1024)).catch(() => {});
    const full = await backup(['run', '--only', 'stopped']);
    expect(full.code, full.err).toBe(4);
    expect(full.err).toContain('DISK_FULL');
    expect(told.map(({ method }) => method)).toEqual(['POST']);
  });
  expect((await readResults(p.state, p.name)).at(-1)).toMatchObject({
    ok: false,
    code: 'DISK_FULL',
    message: expect.stringContaining('a disk is full'),
  });
});

test('while the project is down on purpose nothing is planned, and its status says so', async () => {
  expect((await p.composure(['down', '--dry-run'], { env })).out).toContain('its scheduled backups wait until it is up again');
  const down = await p.composure(['down', '--yes'], { env });
  expect(down.code, down.err).toBe(0);
  expect((await backup(['status'])).out).toMatch(
    /^down {8}since .* UTC by composure down: nothing is saved until it has containers again$/m,
  );
  const { next, downSince } = JSON.parse((await backup(['status', '--json'])).out) as { next: { job: string }[]; downSince: string };
  expect(Date.parse(downSince)).toBeGreaterThan(0);
  expect(next.map(({ job }) => job)).not.toContain('run');
});

/** A small file system in the place of a folder, while `body` runs. */
async function mounted(folder: string, size: string, body: () => Promise<void>): Promise<void> {
  const made = await run('mount', ['-t', 'tmpfs', '-o', `size=${size},mode=700`, 'tmpfs', folder]);
  expect(made.code, made.stderr).toBe(0);
  try {
    await body();
  } finally {
    expect((await run('umount', ['-l', folder])).code).toBe(0);
  }
  await access(folder);
}
