import { randomBytes } from 'node:crypto';
import { cp, mkdir, mkdtemp, open as openFile, readdir, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../../test/support/eventually.ts';
import { processOf } from '../../test/support/processes.ts';
import { type Fault, type S3, startS3 } from '../../test/support/s3.ts';
import type { ProgressEvent } from '../kit/events.ts';
import type { BackupSettings, Project } from '../project/model.ts';
import { createRepository } from './initialize.ts';
import type { BackupWorld, Manifest } from './model.ts';
import { applyPrune, readPrunePlan } from './prune.ts';
import { openRestic, type Restic } from './restic/program.ts';
import { saveFolder, saveStream } from './restic/save.ts';
import { indexLoosePacks } from './resume.ts';
import { appendHistory } from './run/history.ts';
import { listSets, MANIFEST_FILE, readManifest, tagsOf } from './sets.ts';
import { removeLocks } from './unlock.ts';
import { verify } from './verify.ts';

/** Packs of 4 MiB, restic's smallest: a few MiB of data are several. */
const SECRETS = { RESTIC_PASSWORD: 'for tests only', RESTIC_PACK_SIZE: '4' };
const PARTS = 2;

let folder = '';
let data = '';
let s3: S3;
const events: ProgressEvent[] = [];

const settings = (repository: string, rest: Partial<BackupSettings> = {}): BackupSettings => ({
  repository,
  timezone: 'UTC',
  keep: { last: 1 },
  secrets: [],
  ...rest,
});

const open = (repository: string, rest: Partial<BackupSettings> = {}): Promise<Restic> =>
  openRestic(settings(repository, rest), { ...SECRETS, ...s3.credentials }, { report: (event) => events.push(event) });

const worldOf = (restic: Restic, keep: BackupSettings['keep'] = { last: 1 }, services: object = {}): BackupWorld =>
  ({
    project: { name: 'shop', settings: { backup: settings(restic.repository, { keep }) }, services } as unknown as Project,
    stateFolder: join(folder, 'state'),
    report: (event: ProgressEvent) => events.push(event),
    signal: new AbortController().signal,
  }) as unknown as BackupWorld;

async function fill(): Promise<void> {
  for (let index = 0; index < 8; index++) await writeFile(join(data, `file${index}`), randomBytes(2 << 20));
}

/** A new repository: a copy of one, because making a key takes restic a while. */
async function newRepository(name: string): Promise<string> {
  await cp(join(folder, 'new'), join(folder, name), { recursive: true });
  return join(folder, name);
}

/** A set of one store and its manifest. */
async function saveSet(restic: Restic, set: string, only: string[] = []): Promise<Manifest> {
  const chosen = only.map((service) => `only=${service}`);
  const tags = [...tagsOf('shop', set, 'app/files/data'), ...chosen];
  const saved = await saveFolder(restic, { folder: data, tags, exclude: [], host: 'here' });
  const at = new Date().toISOString();
  const store = { id: 'app/files/data', kind: 'files' as const, service: 'app', name: 'data', tool: 'restic', path: '/', ...saved };
  const manifest: Manifest = {
    version: 1,
    project: 'shop',
    set,
    startedAt: at,
    endedAt: at,
    composure: '0',
    host: 'here',
    images: {},
    composeHash: '',
    stores: [{ ...store, startedAt: at, endedAt: at, contentAt: at }],
  };
  await saveStream(restic, {
    file: MANIFEST_FILE,
    tags: [...tagsOf('shop', set, 'manifest'), ...chosen],
    scratch: folder,
    host: 'here',
    verdict: async () => undefined,
    stream: (async function* () {
      yield Buffer.from(JSON.stringify(manifest));
    })(),
  });
  return manifest;
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'composure-repository-'));
  data = join(folder, 'data');
  await mkdir(data);
  await fill();
  s3 = await startS3();
  await createRepository(await open(join(folder, 'new')));
});
afterAll(async () => {
  await s3.stop();
  await rm(folder, { recursive: true, force: true });
});

describe('a damaged repository', () => {
  let whole: Restic;
  beforeAll(async () => {
    whole = await open(await newRepository('whole'));
    await saveSet(whole, 'one');
  });

  /** The pack with the most data of a fresh copy of the repository. */
  async function copy(name: string): Promise<{ restic: Restic; pack: string; part: number; size: number }> {
    const repository = join(folder, name);
    await cp(join(folder, 'whole'), repository, { recursive: true });
    const packs = (await readdir(join(repository, 'data'), { recursive: true })).filter((path) => /[0-9a-f]{64}$/.test(path));
    const sized = await Promise.all(packs.map(async (path) => ({ path, size: (await stat(join(repository, 'data', path))).size })));
    const { path = '', size = 0 } = sized.sort((a, b) => b.size - a.size)[0] ?? {};
    // restic puts a pack into the part that its first byte says.
    return {
      restic: await open(repository),
      pack: join(repository, 'data', path),
      size,
      part: (Number.parseInt(path.slice(0, 2), 16) % PARTS) + 1,
    };
  }

  test('a whole one is found whole in every part', async () => {
    for (const part of [1, 2]) {
      const found = await verify(whole, worldOf(whole), { all: false, part, parts: PARTS }, {});
      expect(found.numbers).toEqual({ part, parts: PARTS, sets: 1, snapshots: 2 });
    }
  });

  test('one flipped bit is found within one rotation, in exactly its part, and by --all', async () => {
    const { restic, pack, size, part } = await copy('flipped');
    const file = await openFile(pack, 'r+');
    const byte = Buffer.alloc(1);
    await file.read(byte, 0, 1, Math.floor(size / 2));
    byte[0] = (byte[0] ?? 0) ^ 1;
    await file.write(byte, 0, 1, Math.floor(size / 2));
    await file.close();
    expect((await restic.run(['check'])).code).toBe(0);
    const found: number[] = [];
    for (const read of [1, 2]) {
      const known = {};
      const result = verify(restic, worldOf(restic), { all: false, part: read, parts: PARTS }, known);
      if (read === part)
        await expect(result).rejects.toMatchObject({
          code: 'REPOSITORY_DAMAGED',
          details: expect.arrayContaining([expect.stringMatching(/^restic repair packs [0-9a-f]{64}$/)]),
        });
      else await result;
      found.push(read);
      expect(known).toMatchObject({ numbers: { part: read, parts: PARTS } });
    }
    expect(found).toEqual([1, 2]);
    await expect(verify(restic, worldOf(restic), { all: true }, {})).rejects.toMatchObject({ code: 'REPOSITORY_DAMAGED' });
  });

  test.each([
    ['truncated', (pack: string, size: number) => truncate(pack, size - 1)],
    ['deleted', (pack: string) => rm(pack)],
  ])('a %s pack is found whichever part is read', async (name, damage) => {
    const { restic, pack, size, part } = await copy(name);
    await damage(pack, size);
    const other = (part % PARTS) + 1;
    await expect(verify(restic, worldOf(restic), { all: false, part: other, parts: PARTS }, {})).rejects.toMatchObject({
      code: 'REPOSITORY_DAMAGED',
      where: restic.repository,
    });
  });

  test('a snapshot that was taken out of a set is missed, though the repository is whole', async () => {
    const { restic } = await copy('incomplete');
    const [set] = await listSets(restic, 'shop');
    const store = set?.snapshots.find(({ stores }) => !stores.includes('manifest'));
    expect((await restic.run(['forget', store?.id ?? ''])).code).toBe(0);
    await expect(verify(restic, worldOf(restic), { all: false, part: 1, parts: PARTS }, {})).rejects.toMatchObject({
      code: 'REPOSITORY_DAMAGED',
      details: [expect.stringContaining('one: the snapshot of app/files/data is gone')],
    });
  });
});

describe('an object store that fails half way', () => {
  let remote: Restic;
  beforeAll(async () => {
    remote = await open(s3.repository);
    await createRepository(remote);
  });

  /** From the second pack on. */
  const onPacks = (fault: Fault, times = Number.POSITIVE_INFINITY): void => {
    let packs = 0;
    s3.fault = (method, path) => {
      if (method !== 'PUT' || !path.includes('/data/')) return undefined;
      packs += 1;
      return packs > 1 && packs <= times + 1 ? fault : undefined;
    };
  };
  const save = (restic = remote) => saveFolder(restic, { folder: data, tags: ['trial'], exclude: [], host: 'here' });
  const snapshots = () => [...s3.objects.keys()].filter((path) => path.includes('/snapshots/'));

  test.each<Fault>([503, 'cut'])('when it answers %s for a while, the backup waits and is whole', async (fault) => {
    await fill();
    const before = snapshots().length;
    onPacks(fault, 2);
    const saved = await save();
    s3.fault = () => undefined;
    expect(saved.bytes).toBe(8 * (2 << 20));
    expect(s3.requests.splice(0).filter(({ status }) => status === fault)).toHaveLength(2);
    expect(snapshots()).toHaveLength(before + 1);
    expect((await remote.run(['check', '--read-data'])).code).toBe(0);
  });

  test('when it refuses, the backup ends at once and says so; there is no snapshot, and the next backup works', async () => {
    await fill();
    const before = snapshots().length;
    onPacks(403);
    await expect(save()).rejects.toMatchObject({
      code: 'REPOSITORY_FAILED',
      details: expect.arrayContaining([expect.stringContaining('Access Denied')]),
    });
    s3.fault = () => undefined;
    expect(snapshots()).toHaveLength(before);
    await save();
    expect(snapshots()).toHaveLength(before + 1);
  });

  test('when it stays down, that is said while restic tries again; stopped then, there is no snapshot, and the next backup works', async () => {
    await fill();
    const before = snapshots().length;
    const failing = await open(s3.repository);
    onPacks(503);
    events.length = 0;
    const stop = new AbortController();
    const saving = save({ ...failing, run: (args, options) => failing.run(args, { ...options, signal: stop.signal }) }).catch(
      (error: unknown) => error,
    );
    await eventually(
      () => expect(events).toContainEqual({ kind: 'warning', text: expect.stringMatching(/retrying after .* reduce your request rate/) }),
      { timeoutMs: 30_000 },
    );
    stop.abort();
    expect(await saving).toMatchObject({ code: 'REPOSITORY_FAILED' });
    s3.fault = () => undefined;
    expect(snapshots()).toHaveLength(before);
    await save();
    expect(snapshots()).toHaveLength(before + 1);
  });

  test('keys that are refused say so', async () => {
    const refused = await openRestic(settings(s3.repository), { ...SECRETS, AWS_ACCESS_KEY_ID: 'another', AWS_SECRET_ACCESS_KEY: 'x' });
    await expect(listSets(refused)).rejects.toMatchObject({
      code: 'REPOSITORY_FAILED',
      details: expect.arrayContaining([expect.stringMatching(/denied/i)]),
    });
  });
});

test('a backup that is killed in the middle is gone on with: its packs are not sent again', async () => {
  const repository = await newRepository('resumed');
  const slow = await open(repository, { limitUpload: 6000 });
  const saving = saveFolder(slow, { folder: data, tags: ['trial'], exclude: [], host: 'here' }).catch((error: unknown) => error);
  const packs = async () =>
    (await readdir(join(repository, 'data'), { recursive: true })).filter((path) => /[0-9a-f]{64}$/.test(path)).length;
  await eventually(async () => expect(await packs()).toBeGreaterThan(1), { timeoutMs: 30_000, everyMs: 30 });
  process.kill(processOf('restic', repository).pid, 'SIGKILL');
  expect(await saving).toMatchObject({ code: 'REPOSITORY_FAILED' });
  const restic = await open(repository);
  expect((await removeLocks(restic)).removed).toHaveLength(1);
  await indexLoosePacks(worldOf(restic), restic);
  const saved = await saveFolder(restic, { folder: data, tags: ['trial'], exclude: [], host: 'here' });
  expect(saved.bytes).toBe(8 * (2 << 20));
  expect(saved.added).toBeLessThan(saved.bytes - (3 << 20));
  expect((await restic.run(['check', '--read-data'])).code).toBe(0);
});

test('a prune takes whole sets: failed ones do not count, the newest proven one stays, and what is kept can be read', async () => {
  const restic = await open(await newRepository('pruned'));
  const world = worldOf(restic);
  for (const set of ['one', 'two', 'three', 'four']) await saveSet(restic, set);
  // Newer than all, and without a manifest: with keep-last 1 it would take the place of the only one that counts.
  await saveFolder(restic, { folder: data, tags: tagsOf('shop', 'failed', 'app/files/data'), exclude: [], host: 'here' });
  await saveFolder(restic, { folder: data, tags: ['somebody else’s'], exclude: [], host: 'here' });
  const at = new Date().toISOString();
  await appendHistory(world.stateFolder, 'shop', {
    kind: 'drill',
    scheduled: false,
    startedAt: at,
    endedAt: at,
    ok: true,
    set: 'two',
    numbers: {},
  });

  await expect(readPrunePlan(restic, worldOf(restic, { last: 0 }))).rejects.toMatchObject({ code: 'RETENTION_REFUSED' });
  const plan = await readPrunePlan(restic, world);
  expect(plan.keep.map(({ set, reasons }) => [set, reasons])).toEqual([
    ['failed', ['younger than a day and without a manifest: its run may be at work']],
    ['four', ['last snapshot', 'newest']],
    ['two', ['newest that was restored for proof']],
  ]);
  const removed = plan.remove.flatMap(({ snapshots }) => snapshots.map((id) => `${id}.json`));
  const known = async () => (await readdir(join(restic.cache, 'snapshots'))).filter((name) => removed.includes(name)).length;
  expect(await known()).toBe(4);
  expect(await applyPrune(restic, world, plan)).toMatchObject({ numbers: { removedSets: 2, keptSets: 3, removedSnapshots: 4 } });
  expect(await known()).toBe(0);
  const left = await listSets(restic, 'shop');
  expect(left.map(({ set }) => set)).toEqual(['failed', 'four', 'two']);
  for (const set of left.filter(({ complete }) => complete)) expect((await readManifest(restic, set)).set).toBe(set.set);
  expect(JSON.parse((await restic.run(['snapshots', '--json', '--tag', 'somebody else’s'])).stdout)).toHaveLength(1);
  expect((await restic.run(['check', '--read-data'])).code).toBe(0);

  const tomorrow = await readPrunePlan(restic, world, new Date(Date.now() + 90_000_000));
  expect(tomorrow.remove.map(({ set, why }) => [set, why])).toEqual([['failed', 'it has no manifest: its run failed or was killed']]);
});

test('sets of a service with rules of its own are judged by those, and count for nothing in the project’s', async () => {
  const restic = await open(await newRepository('services'));
  const services = (last: number) => ({ app: { name: 'app', backup: { keep: { last } } } });
  await saveSet(restic, 'whole');
  for (const set of ['app-1', 'app-2', 'app-3']) await saveSet(restic, set, ['app']);
  await expect(readPrunePlan(restic, worldOf(restic, { last: 1 }, services(0)))).rejects.toMatchObject({
    code: 'RETENTION_REFUSED',
    message: 'the rules of x-backup of app would keep no backup at all',
  });
  const world = worldOf(restic, { last: 1 }, services(2));
  const plan = await readPrunePlan(restic, world);
  expect(plan.keep.map(({ set, reasons }) => [set, reasons])).toEqual([
    ['app-3', ['last snapshot', 'newest']],
    ['app-2', ['last snapshot']],
    ['whole', ['last snapshot', 'newest']],
  ]);
  expect(await applyPrune(restic, world, plan)).toMatchObject({ numbers: { removedSets: 1, keptSets: 3 } });
  expect((await listSets(restic, 'shop')).map(({ set, only }) => [set, only])).toEqual([
    ['app-3', ['app']],
    ['app-2', ['app']],
    ['whole', undefined],
  ]);
});
