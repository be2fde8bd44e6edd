import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Restic } from './restic/program.ts';
import { manifest, store } from './restore/fixtures.ts';
import { knownManifest, rememberManifest } from './sets.ts';

let cache = '';
beforeEach(async () => {
  cache = await mkdtemp(join(tmpdir(), 'composure-sets-'));
});
afterEach(() => rm(cache, { recursive: true, force: true }));

const saved = manifest([store('db/postgres/shop')]);
const found = { set: saved.set, manifest: 'a1'.repeat(32) };

/** A repository that has this one manifest; how often it was asked is counted. */
function repository(): { restic: Restic; asked: () => number } {
  let asked = 0;
  const run: Restic['run'] = async () => {
    asked++;
    return { code: 0, stdout: JSON.stringify(saved), stderr: '' };
  };
  return { restic: { cache, run } as Restic, asked: () => asked };
}

test('a manifest is read from the repository once, and not at all by the machine that saved it', async () => {
  const { restic, asked } = repository();
  for (let time = 0; time < 2; time++) expect(await knownManifest(restic, found)).toEqual(saved);
  expect(asked()).toBe(1);
  const own = { ...found, manifest: 'b2'.repeat(32) };
  await rememberManifest(restic, own.manifest, saved);
  expect(await knownManifest(restic, own)).toEqual(saved);
  expect(asked()).toBe(1);
});

test.each([
  ['no JSON', '{"version": 1, "set"'],
  ['nothing', ''],
  ['of another set', JSON.stringify({ ...saved, set: '20261124T070000Z-cd34' })],
  ['of another version', JSON.stringify({ ...saved, version: 2 })],
  ['null', 'null'],
])('one in the cache that is %s is read from the repository, and kept anew', async (_title, text) => {
  const { restic, asked } = repository();
  const path = join(cache, 'manifests', `${found.manifest}.json`);
  await mkdir(join(cache, 'manifests'));
  await writeFile(path, text);
  expect(await knownManifest(restic, found)).toEqual(saved);
  expect(JSON.parse(await readFile(path, 'utf8'))).toEqual(saved);
  expect(asked()).toBe(1);
});

test('a cache that cannot be read is none', async () => {
  const { restic, asked } = repository();
  await writeFile(join(cache, 'manifests'), '');
  expect(await knownManifest(restic, found)).toEqual(saved);
  expect(asked()).toBe(1);
});
