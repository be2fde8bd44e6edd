import { mkdir, mkdtemp, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type TestRepository, testRepository } from '../../../test/support/restic.ts';
import { openDocker } from '../../docker/api.ts';
import type { SavedStore } from '../model.ts';
import { saveFolder } from '../restic/save.ts';
import { requireEmpty, restoreFiles } from './restore-files.ts';

let repository: TestRepository;
beforeAll(async () => {
  repository = await testRepository();
});
afterAll(() => repository.remove());

const world = () => ({ docker: openDocker(), report: () => {}, signal: new AbortController().signal });
const newFolder = (): Promise<string> => mkdtemp(join(repository.scratch, 'folder-'));

async function saved(
  fill: (folder: string) => Promise<void>,
  origin: Partial<NonNullable<SavedStore['origin']>> = {},
): Promise<SavedStore> {
  const folder = await newFolder();
  await fill(folder);
  const { snapshot } = await saveFolder(repository.restic, { folder, tags: [], exclude: [], host: 'here' });
  const place = { origin: { folder, target: '/data', uid: 1234, gid: 1235, mode: 0o2770, ...origin } };
  return { id: 'app/files/uploads', snapshot, path: '/', ...place } as SavedStore;
}

test('a folder comes back with what is in it, and with its own owner and mode', async () => {
  const store = await saved(async (folder) => {
    await mkdir(join(folder, '-a folder'));
    await writeFile(join(folder, '-a folder', 'new\nline'), 'text', { mode: 0o640 });
    // It leads out of the volume, as it did for the application; nothing is written through it.
    await symlink('/etc/hostname', join(folder, 'link'));
  });
  const target = await newFolder();
  await restoreFiles(repository.restic, store, target, world());
  expect(await readFile(join(target, '-a folder', 'new\nline'), 'utf8')).toBe('text');
  const { uid, gid, mode } = await stat(target);
  expect([uid, gid, mode & 0o7777]).toEqual([1234, 1235, 0o2770]);
});

test('nothing is written through a link that an earlier restore has put there', async () => {
  const outside = await newFolder();
  const first = await saved((folder) => symlink(outside, join(folder, 'data')));
  const second = await saved(async (folder) => {
    await mkdir(join(folder, 'data'));
    await writeFile(join(folder, 'data', 'shop.sqlite'), 'text');
  });
  const target = await newFolder();
  await restoreFiles(repository.restic, first, target, world());
  await expect(restoreFiles(repository.restic, second, target, world())).rejects.toMatchObject({
    code: 'RESTORE_FAILED',
    message: expect.stringContaining('"/data" is a link or file in the target, and a folder in the snapshot'),
  });
  expect(await readdir(outside)).toEqual([]);
});

test('a place that holds something is refused and left as it is', async () => {
  const target = await newFolder();
  await mkdir(join(target, 'lost+found'));
  await requireEmpty(target, 'app/files/uploads');
  await writeFile(join(target, 'precious'), 'data');
  await expect(requireEmpty(target, 'app/files/uploads')).rejects.toMatchObject({
    code: 'RESTORE_FAILED',
    where: target,
    details: ['precious'],
  });
});
