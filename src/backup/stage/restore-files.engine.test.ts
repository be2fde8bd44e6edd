import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type TestRepository, testRepository } from '../../../test/support/restic.ts';
import { pathWithoutRestic } from '../../../test/support/without-restic.ts';
import { openDocker } from '../../docker/api.ts';
import { run } from '../../kit/spawn.ts';
import { archiveOf } from '../export/archive.ts';
import type { SavedStore } from '../model.ts';
import { openRestic, type Restic } from '../restic/program.ts';
import { saveFolder, saveStream } from '../restic/save.ts';
import { manifest } from '../restore/fixtures.ts';
import { restoreToFolder } from '../restore/to-folder.ts';
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

test('a folder further down in its snapshot comes back and is exported from there, and is listed once', async () => {
  const whole = await saved(async (folder) => {
    await mkdir(join(folder, 'srv/a "place"/inner'), { recursive: true });
    await mkdir(join(folder, 'srv/nothing'));
    await writeFile(join(folder, 'srv/beside'), 'of somebody else');
    await writeFile(join(folder, 'srv/a "place"/inner/file'), 'text');
  });
  const asked: string[] = [];
  const restic: Restic = {
    ...repository.restic,
    cache: join(repository.scratch, 'cache'),
    run: (args, options) => {
      asked.push(args[0] ?? '');
      return repository.restic.run(args, options);
    },
  };
  const store: SavedStore = { ...whole, kind: 'files', service: 'app', name: 'uploads', path: '/srv/a "place"' };
  for (let time = 0; time < 2; time++) {
    const target = await newFolder();
    await restoreFiles(restic, store, target, world());
    expect(await readdir(target, { recursive: true })).toEqual(['inner', 'inner/file']);
  }
  expect(asked).toEqual(['ls', 'restore', 'restore']);
  const empty: SavedStore = { ...store, id: 'app/files/nothing', name: 'nothing', path: '/srv/nothing' };
  const target = await newFolder();
  await restoreFiles(restic, empty, target, world());
  expect(await readdir(target)).toEqual([]);

  const set = manifest([store, empty]);
  const archive: Uint8Array[] = [];
  for await (const chunk of archiveOf(restic, set, () => {}, new AbortController().signal)) archive.push(chunk);
  const file = join(target, 'set.tar');
  await writeFile(file, Buffer.concat(archive));
  expect(await run('tar', ['--extract', '--numeric-owner', '--file', file, '--directory', target])).toMatchObject({ code: 0 });
  const files = join(target, `shop-${set.set}`, 'app/files');
  expect((await readdir(files, { recursive: true })).sort()).toEqual(['nothing', 'uploads', 'uploads/inner', 'uploads/inner/file']);
  const { uid, gid, mode } = await stat(join(files, 'nothing'));
  expect([uid, gid, mode & 0o7777]).toEqual([1234, 1235, 0o2770]);
});

test.each(['on the PATH', 'in its image'])(
  'restic %s writes a dump that belongs to who asked for it, and that only they may read',
  async (form) => {
    const settings = { repository: join(repository.scratch, 'repository'), timezone: 'UTC', keep: {}, secrets: [] };
    const path = form === 'on the PATH' ? process.env.PATH : pathWithoutRestic();
    const restic = await openRestic(settings, { RESTIC_PASSWORD: 'for tests only' }, { env: { ...process.env, PATH: path } });
    const content = 'a dump\n'.repeat(500_000);
    const { snapshot, bytes } = await saveStream(repository.restic, {
      file: 'shop.dump',
      tags: [],
      scratch: repository.scratch,
      host: 'here',
      stream: (async function* () {
        yield Buffer.from(content);
      })(),
      verdict: async () => undefined,
    });
    const dump = {
      id: 'db/postgres/shop',
      kind: 'postgres',
      service: 'db',
      name: 'shop',
      snapshot,
      path: '/shop.dump',
      bytes,
    } as SavedStore;
    const target = join(await newFolder(), 'a, "folder"');
    const [written] = await restoreToFolder(world(), restic, manifest([dump]), [dump], target);
    expect(await readFile(written?.path ?? '', 'utf8')).toBe(content);
    const { uid, mode } = await stat(written?.path ?? '');
    expect([uid, mode & 0o7777]).toEqual([process.getuid?.(), 0o600]);
    await rm(dirname(target), { recursive: true });
  },
);

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
