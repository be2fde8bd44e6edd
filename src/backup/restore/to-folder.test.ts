import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { placeOf } from '../export/place.ts';
import type { Restic } from '../restic/program.ts';
import type { StageWorld } from '../stage/model.ts';
import { manifest, origin, store } from './fixtures.ts';
import { chooseStores, requireTarget, restoreToFolder } from './to-folder.ts';

let top = '';
let target = '';
beforeEach(async () => {
  top = await mkdtemp(join(tmpdir(), 'composure-to-folder-'));
  target = join(top, 'target');
});
afterEach(() => rm(top, { recursive: true, force: true }));

const world = { report: () => {}, signal: new AbortController().signal } as unknown as StageWorld;
const files = store('app/files/uploads', { origin: origin('/data', { volume: 'shop_uploads' }) });

/** What every dump of the repository has. */
const DUMP = 'a dump';

/** A repository whose snapshots list these entries. What it is asked besides listing is noted. */
function repository(entries: { path: string; type: string }[], asked: string[] = []): Restic {
  return {
    version: '0.19.1',
    atOnce: 1,
    appendOnly: false,
    cache: '/cache',
    repository: '/repository',
    run: async (args, options) => {
      if (args[0] !== 'ls') asked.push(args.join(' '));
      else
        for (const entry of entries) options?.onLine?.(JSON.stringify({ message_type: 'node', struct_type: 'node', ...entry }), 'stdout');
      if (args[0] === 'dump') await writeFile(args[2] ?? '', DUMP);
      return { code: 0, stdout: '', stderr: '' };
    },
    read: async function* () {},
  };
}

test.each([
  ['..', [{ path: '/../evil', type: 'file' }]],
  [
    '.. further down',
    [
      { path: '/a', type: 'dir' },
      { path: '/a/../../evil', type: 'file' },
    ],
  ],
  ['a path that is not of the snapshot', [{ path: 'etc/passwd', type: 'file' }]],
  [
    'a file through a link',
    [
      { path: '/link', type: 'symlink' },
      { path: '/link/evil', type: 'file' },
    ],
  ],
  [
    'a folder that is a link as well',
    [
      { path: '/a', type: 'symlink' },
      { path: '/a', type: 'dir' },
    ],
  ],
])('a snapshot with %s is refused before anything is written', async (_title, entries) => {
  const asked: string[] = [];
  await expect(restoreToFolder(world, repository(entries, asked), manifest([files]), [files], target)).rejects.toMatchObject({
    code: 'RESTORE_FAILED',
    message: expect.stringContaining('does not stay within the folder'),
  });
  expect(asked).toEqual([]);
  expect(await readdir(target)).toEqual([]);
  expect(await readdir(top)).toEqual(['target']);
});

test.each(['../../evil', '/etc/evil', '..', 'a/../../evil', ''])('a store that is called %j has its place in the folder', async (name) => {
  const hostile = [
    store('db/postgres/x', { path: `/${name}.dump`, bytes: DUMP.length }),
    store('app/files/x', { name, origin: origin('/data', { volume: 'v' }) }),
    store('x/redis', { service: name, kind: 'redis', path: '/redis.rdb', bytes: DUMP.length }),
  ];
  for (const one of hostile) expect(join(target, placeOf(one)).startsWith(`${target}/`), placeOf(one)).toBe(true);
  const dumps = hostile.filter(({ kind }) => kind !== 'files');
  await restoreToFolder(world, repository([]), manifest(dumps), dumps, target);
  expect(await readdir(top)).toEqual(['target']);
});

test('a folder in which something is, a file and a link to a folder are refused and left as they are', async () => {
  await mkdir(target);
  await writeFile(join(target, 'own'), 'mine');
  await expect(restoreToFolder(world, repository([]), manifest([files]), [files], target)).rejects.toMatchObject({
    code: 'RESTORE_REFUSED',
    message: `the folder ${target} is not empty`,
  });
  expect(await readFile(join(target, 'own'), 'utf8')).toBe('mine');
  await expect(requireTarget(join(target, 'own'), [])).rejects.toMatchObject({
    code: 'RESTORE_REFUSED',
    message: `${target}/own is no folder`,
  });
  await symlink(target, join(top, 'link'));
  await expect(requireTarget(join(top, 'link'), [])).rejects.toMatchObject({ code: 'RESTORE_REFUSED' });
});

test('what does not fit is known before it is begun', async () => {
  await expect(requireTarget(target, [store('db/postgres/x', { bytes: 2 ** 60 })])).rejects.toMatchObject({ code: 'DISK_FULL' });
});

test('of a restore that fails nothing stays', async () => {
  const dump = store('db/postgres/shop');
  const breaking: Restic = {
    ...repository([]),
    run: async ([, , path = '']) => {
      await writeFile(path, 'half');
      return { code: 1, stdout: '', stderr: 'the storage is gone\n' };
    },
  };
  await expect(restoreToFolder(world, breaking, manifest([dump]), [dump], target)).rejects.toMatchObject({
    code: 'REPOSITORY_FAILED',
    details: ['the storage is gone'],
  });
  expect(await readdir(target)).toEqual([]);
});

test('a dump is written by restic into a file that only its owner may read, and has to be as long as its manifest says', async () => {
  const dump = store('db/postgres/shop', { bytes: DUMP.length });
  const asked: string[] = [];
  const [written] = await restoreToFolder(world, repository([], asked), manifest([dump]), [dump], target);
  expect(asked).toEqual([`dump --target ${written?.path} ${dump.snapshot} ${dump.path}`]);
  expect(await readFile(written?.path ?? '', 'utf8')).toBe(DUMP);
  expect((await stat(written?.path ?? '')).mode & 0o777).toBe(0o600);
  const longer = { ...dump, bytes: DUMP.length + 1 };
  await expect(restoreToFolder(world, repository([]), manifest([longer]), [longer], join(top, 'other'))).rejects.toMatchObject({
    code: 'REPOSITORY_FAILED',
    message: 'db/postgres/shop of set 20261124T060000Z-ab12 is not as long as its manifest says',
  });
  expect(await readdir(join(top, 'other'))).toEqual([]);
});

test('names choose stores, and an unknown one lists what there is', () => {
  const set = manifest([store('project'), store('db/postgres/shop'), files]);
  const ids = (...only: string[]) => chooseStores(set, only).map(({ id }) => id);
  expect(ids()).toEqual(['project', 'db/postgres/shop', 'app/files/uploads']);
  expect(ids('db', '/data')).toEqual(['db/postgres/shop', 'app/files/uploads']);
  expect(ids('shop_uploads')).toEqual(['app/files/uploads']);
  expect(ids('project')).toEqual(['project']);
  expect(() => ids('db', 'cache')).toThrow('has nothing that is called cache');
});

test('stores of one snapshot are written by one call where all of them are wanted, and each lies in its place', async () => {
  const sqlite = store('app/sqlite/uploads', {
    snapshot: 'shared',
    path: '/0-sqlite',
    bytes: 9,
    origin: origin('/data', { volume: 'shop_uploads' }),
  });
  const roles = store('db/postgres-roles', { snapshot: 'shared', path: '/1-postgres-roles/roles.sql', bytes: DUMP.length });
  const all = [sqlite, roles];
  const calls: string[] = [];
  const restic: Restic = {
    ...repository([]),
    run: async (args) => {
      if (args[0] === 'ls') return { code: 0, stdout: '', stderr: '' };
      calls.push(args.slice(0, 3).join(' '));
      if (args[0] === 'dump') await writeFile(args[2] ?? '', DUMP);
      if (args[2] === 'shared:/') {
        const whole = args[4] ?? '';
        await mkdir(join(whole, '0-sqlite'));
        await mkdir(join(whole, '1-postgres-roles'));
        await writeFile(join(whole, '0-sqlite', 'app.db'), 'a base');
        await writeFile(join(whole, '1-postgres-roles', 'roles.sql'), DUMP);
        await symlink(top, join(whole, '1-link'));
        await symlink(join(top, 'outside.sql'), join(whole, '1-file'));
      }
      return { code: 0, stdout: '', stderr: '' };
    },
  };
  const written = await restoreToFolder(world, restic, manifest(all), all, target);
  expect(calls).toEqual(['restore --json shared:/']);
  expect(written).toEqual(all.map((one) => ({ id: one.id, path: join(target, placeOf(one)) })));
  expect(await readFile(join(target, 'app/sqlite/uploads/app.db'), 'utf8')).toBe('a base');
  expect(await readFile(join(target, 'db/postgres-roles/roles.sql'), 'utf8')).toBe(DUMP);
  expect((await readdir(target)).filter((name) => name.startsWith('.'))).toEqual([]);

  calls.length = 0;
  await restoreToFolder(world, restic, manifest(all), [roles], join(top, 'one'));
  expect(calls).toEqual([expect.stringContaining('dump --target')]);

  await writeFile(join(top, 'outside.sql'), DUMP);
  for (const path of ['/../../outside.sql', '/1-link/outside.sql', '/1-file', '/1-postgres-roles', '/gone']) {
    const hostile = [sqlite, { ...roles, path }];
    await expect(restoreToFolder(world, restic, manifest(hostile), hostile, join(top, 'evil'))).rejects.toMatchObject({
      code: 'RESTORE_FAILED',
      message: expect.stringContaining('names no place within its snapshot'),
    });
    expect(await readdir(join(top, 'evil'))).toEqual([]);
  }
  expect(await readFile(join(top, 'outside.sql'), 'utf8')).toBe(DUMP);
});
