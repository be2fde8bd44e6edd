import { spawn } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventually } from '../../test/support/eventually.ts';
import { type S3, startS3 } from '../../test/support/s3.ts';
import { readFileIfThere, writeFileDurably } from '../kit/files.ts';
import { createRepository } from './initialize.ts';
import type { BackupWorld } from './model.ts';
import { runningPath } from './places.ts';
import { openRestic, type Restic } from './restic/program.ts';
import { saveStream } from './restic/save.ts';
import { takeBackKilled } from './run/save-set.ts';
import { tagsOf } from './sets.ts';
import { DEAD_AFTER_MS, judgeLocks, ownWitness, readLocks, removeLocks } from './unlock.ts';

const PASSWORD = 'for tests only';
let folder = '';
let s3: S3;
let local: Restic;
let remote: Restic;

const open = (repository: string): Promise<Restic> =>
  openRestic({ repository, timezone: 'UTC', keep: {}, secrets: [] }, { RESTIC_PASSWORD: PASSWORD, ...s3.credentials });

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'composure-locks-'));
  s3 = await startS3();
  [local, remote] = await Promise.all([open(join(folder, 'repository')), open(s3.repository)]);
  await Promise.all([createRepository(local), createRepository(remote)]);
});
afterAll(async () => {
  await s3.stop();
  await rm(folder, { recursive: true, force: true });
});

/** Looked at where they lie: restic takes half a second to open a repository. */
const lockIds = async ({ repository }: Restic): Promise<string[]> =>
  (repository === s3.repository ? [...s3.objects.keys()] : await readdir(join(repository, 'locks'))).filter((path) =>
    /(^|\/locks\/)[0-9a-f]{64}$/.test(path),
  );

/** A restic that holds a lock until it is killed; under another host's name where one is given. */
async function holder(restic: Restic, host?: string): Promise<{ pid: number; kill: () => Promise<void> }> {
  const backup = ['restic', 'backup', '--stdin', '--quiet'];
  const [program = '', ...args] =
    host === undefined ? backup : ['unshare', '--uts', 'sh', '-c', 'hostname "$0" && exec "$@"', host, ...backup];
  const before = (await lockIds(restic)).length;
  const child = spawn(program, args, {
    env: { ...process.env, ...s3.credentials, RESTIC_PASSWORD: PASSWORD, RESTIC_REPOSITORY: restic.repository },
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  const ended = new Promise<void>((resolve) => child.on('close', () => resolve()));
  await eventually(async () => expect(await lockIds(restic)).toHaveLength(before + 1), { everyMs: 30 });
  return {
    pid: child.pid ?? 0,
    kill: async () => {
      child.kill('SIGKILL');
      await ended;
    },
  };
}

const repositories = [
  ['a folder', () => local],
  ['an object store', () => remote],
] as const;

const save = (restic: Restic, tags: string[] = []) =>
  saveStream(restic, {
    file: 'note',
    tags,
    scratch: folder,
    host: 'here',
    verdict: async () => undefined,
    stream: (async function* () {
      yield Buffer.from('x');
    })(),
  });

test.each(repositories)('in %s: the lock of a living restic is never removed, that of a killed one at once', async (_kind, of) => {
  const restic = of();
  const living = await holder(restic);
  const [lock] = await readLocks(restic);
  expect(lock).toMatchObject({ pid: living.pid, hostname: hostname(), exclusive: false });
  expect(await removeLocks(restic)).toMatchObject({ removed: [], left: [{ isDead: false, why: 'that restic runs on this host' }] });
  // Also when it stood still for so long that its lock grew old.
  const later = () => ({ ...ownWitness(), now: Date.now() + 10 * DEAD_AFTER_MS });
  expect((await removeLocks(restic, { witness: later })).removed).toEqual([]);
  expect((await restic.run(['prune'])).code).toBe(11);
  await living.kill();
  expect(await removeLocks(restic)).toMatchObject({ removed: [{ id: lock?.id, isDead: true }], left: [] });
  expect((await restic.run(['prune'])).code).toBe(0);
});

test.each(repositories)('in %s: the dead lock of another host name goes when it is older than a living one can be', async (_kind, of) => {
  const restic = of();
  const other = await holder(restic, 'container-1f2e');
  await other.kill();
  expect(await removeLocks(restic)).toMatchObject({ removed: [], left: [{ hostname: 'container-1f2e', isDead: false }] });
  // What restic's own unlock makes of it: nothing, for half an hour.
  expect((await restic.run(['unlock'])).code).toBe(0);
  expect((await restic.run(['prune'])).code).toBe(11);
  const later = () => ({ ...ownWitness(), now: Date.now() + DEAD_AFTER_MS + 1000 });
  expect(await removeLocks(restic, { witness: later })).toMatchObject({ removed: [{ hostname: 'container-1f2e' }], left: [] });
  expect((await restic.run(['prune'])).code).toBe(0);
});

test('in a folder a dead lock goes although another one lives', async () => {
  const [dead, living] = [await holder(local), await holder(local)];
  await dead.kill();
  expect(await removeLocks(local)).toMatchObject({ removed: [{ pid: dead.pid }], left: [{ pid: living.pid }] });
  await living.kill();
  expect((await removeLocks(local)).left).toEqual([]);
});

test('with "all" a living one goes too', async () => {
  const living = await holder(remote);
  expect(await removeLocks(remote, { all: true })).toMatchObject({ removed: [{ pid: living.pid, isDead: false }], left: [] });
  await living.kill();
});

test('a prune that is killed in the middle leaves an exclusive lock; the next backup, prune and check go on', async () => {
  const first = await save(remote);
  await save(remote);
  expect((await remote.run(['forget', first.snapshot])).code).toBe(0);
  s3.fault = (method, path) => (method === 'DELETE' && path.includes('/index/') ? 'hang' : undefined);
  const child = spawn('restic', ['prune', '--max-unused', '0'], {
    env: { ...process.env, ...s3.credentials, RESTIC_PASSWORD: PASSWORD, RESTIC_REPOSITORY: remote.repository },
    stdio: 'ignore',
  });
  const ended = new Promise<void>((resolve) => child.on('close', () => resolve()));
  await eventually(() => expect(s3.requests.some(({ status }) => status === 'hang')).toBe(true), { timeoutMs: 20_000 });
  child.kill('SIGKILL');
  await ended;
  s3.fault = () => undefined;
  await expect(save(remote)).rejects.toMatchObject({ code: 'REPOSITORY_LOCKED' });
  expect(await removeLocks(remote)).toMatchObject({ removed: [{ exclusive: true, pid: child.pid }], left: [] });
  await save(remote);
  expect((await remote.run(['prune'])).code).toBe(0);
  expect((await remote.run(['check', '--read-data'])).code).toBe(0);
});

test('what a killed run left is taken back also when its restic ends after the locks were looked at', async () => {
  const tags = tagsOf('shop', '20261124T061200Z-dead', 'db/postgres/');
  const { snapshot } = await save(local, tags);
  const stateFolder = join(folder, 'state');
  await writeFileDurably(runningPath(stateFolder, 'shop'), JSON.stringify({ set: '20261124T061200Z-dead' }));
  const outliving = await holder(local);
  const world = { project: { name: 'shop' }, stateFolder, report: () => {} } as unknown as BackupWorld;
  const began = performance.now();
  const taken = takeBackKilled(world, local);
  setTimeout(() => void outliving.kill(), 3000);
  await taken;
  // It would have waited for two minutes.
  expect(performance.now() - began).toBeLessThan(60_000);
  expect(await readdir(join(local.repository, 'snapshots'))).not.toContain(snapshot);
  expect(await readFileIfThere(runningPath(stateFolder, 'shop'))).toBeUndefined();
});

test('what cannot be known for dead lives', () => {
  const lock = { id: 'a', exclusive: false, hostname: 'elsewhere', pid: 7 };
  const at = (ageMs: number) => new Date(1e12 - ageMs).toISOString();
  const witness = { host: 'here', now: 1e12, isRestic: () => false };
  expect(judgeLocks([{ ...lock, time: at(-60_000) }], witness)).toMatchObject([{ isDead: false }]);
  expect(judgeLocks([{ ...lock, time: at(DEAD_AFTER_MS) }], witness)).toMatchObject([{ isDead: false, why: 'not older than 6 min' }]);
  expect(judgeLocks([{ ...lock, time: at(DEAD_AFTER_MS + 1) }], witness)).toMatchObject([{ isDead: true }]);
});
