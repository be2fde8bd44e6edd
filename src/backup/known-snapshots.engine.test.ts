import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { createRepository } from './initialize.ts';
import { openRestic, type Restic } from './restic/program.ts';
import { saveFolder, saveStream } from './restic/save.ts';
import { knownSets, listSets, tagsOf } from './sets.ts';

let folder: string;
let restic: Restic;
let asked: number;
const snapshots = (): string => join(folder, 'repository/snapshots');

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'composure-known-'));
  await mkdir(join(folder, 'data'));
  await writeFile(join(folder, 'data/a'), 'a');
  const env = { ...process.env, RESTIC_CACHE_DIR: join(folder, 'cache') };
  const settings = { repository: join(folder, 'repository'), timezone: 'UTC', keep: {}, secrets: [] };
  const opened = await openRestic(settings, { RESTIC_PASSWORD: 'only for this test' }, { env });
  await createRepository(opened);
  restic = {
    ...opened,
    run: (args, options) => {
      asked += 1;
      return opened.run(args, options);
    },
  };
});
afterAll(() => rm(folder, { recursive: true, force: true }));
beforeEach(() => {
  asked = 0;
});

async function save(set: string): Promise<void> {
  await saveFolder(restic, { folder: join(folder, 'data'), tags: tagsOf('shop', set, 'app/files/data'), exclude: [], host: 'here' });
  await saveStream(restic, {
    file: 'manifest.json',
    tags: [...tagsOf('shop', set, 'manifest'), 'only=app'],
    scratch: folder,
    host: 'here',
    stream: (async function* () {
      yield Buffer.from('{}');
    })(),
    verdict: async () => undefined,
  });
  asked = 0;
}

test('what this machine saved is known to it as restic lists it, without a question', async () => {
  await save('one');
  await save('two');
  const known = await knownSets(restic);
  expect(asked).toBe(0);
  expect(known).toEqual(await listSets(restic));
  expect(known.map(({ set, complete, only }) => ({ set, complete, only }))).toEqual([
    { set: 'two', complete: true, only: ['app'] },
    { set: 'one', complete: true, only: ['app'] },
  ]);
  expect(await knownSets(restic, 'blog')).toEqual([]);
});

test('a snapshot of another machine is asked for once', async () => {
  await rm(restic.cache, { recursive: true });
  const found = await knownSets(restic);
  expect(found).toHaveLength(2);
  expect(asked).toBe(1);
  expect(await knownSets(restic)).toEqual(found);
  expect(asked).toBe(1);
});

test('what cannot be read here is asked for', async () => {
  const [id = ''] = await readdir(snapshots());
  await writeFile(join(restic.cache, 'snapshots', `${id}.json`), '{"id"');
  for (let time = 0; time < 2; time++) expect(await knownSets(restic)).toHaveLength(2);
  expect(asked).toBe(1);
});

test('a snapshot that is gone is gone here too, and without a folder restic has the word', async () => {
  const [set] = await listSets(restic);
  const id = set?.snapshots.find(({ stores }) => !stores.includes('manifest'))?.id ?? '';
  await rm(join(snapshots(), id));
  expect((await knownSets(restic)).find((one) => one.set === set?.set)?.snapshots.map((one) => one.id)).not.toContain(id);
  await rm(join(folder, 'repository'), { recursive: true });
  await expect(knownSets(restic)).rejects.toMatchObject({ code: 'REPOSITORY_MISSING' });
});
