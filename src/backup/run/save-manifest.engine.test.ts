import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createRepository } from '../initialize.ts';
import type { BackupWorld, Manifest } from '../model.ts';
import { openRestic, type Restic } from '../restic/program.ts';
import { readManifest } from '../sets.ts';
import { saveManifest } from './save-manifest.ts';
import type { SetRequest } from './save-together.ts';

let folder: string;
let restic: Restic;
let begun: number;
const manifest = { version: 1, project: 'shop', set: 'one', stores: [] } as unknown as Manifest;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'composure-manifest-'));
  const opened = await openRestic(
    { repository: join(folder, 'repository'), timezone: 'UTC', keep: {}, secrets: [] },
    { RESTIC_PASSWORD: 'only for this test' },
  );
  await createRepository(opened);
  restic = {
    ...opened,
    run: (args, options) => {
      if (args.includes('backup')) begun += 1;
      return opened.run(args, options);
    },
  };
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const save = (promised: Promise<Manifest>, patienceMs?: number): Promise<string> => {
  begun = 0;
  const world = { project: { name: 'shop' }, host: 'here', signal: new AbortController().signal } as unknown as BackupWorld;
  const request = { set: 'one', scratch: folder, about: {}, stores: [] } as unknown as SetRequest;
  return saveManifest(world, restic, request, promised, patienceMs === undefined ? {} : { patienceMs });
};
const snapshots = (): Promise<string[]> => readdir(join(folder, 'repository/snapshots'));

test('restic begins before there is a manifest, and saves it when it comes', async () => {
  const { promise, resolve } = Promise.withResolvers<Manifest>();
  const saving = save(promise);
  await expect.poll(() => begun).toBe(1);
  resolve(manifest);
  expect(await readManifest(restic, { set: 'one', manifest: await saving })).toEqual(manifest);
  expect(begun).toBe(1);
});

test('one that lets restic wait for too long is saved by a call of its own, once', async () => {
  const before = await snapshots();
  const { promise, resolve } = Promise.withResolvers<Manifest>();
  const saving = save(promise, 50);
  // The first call has ended, and the second waits for nothing.
  setTimeout(() => resolve(manifest), 1500);
  expect(await readManifest(restic, { set: 'one', manifest: await saving })).toEqual(manifest);
  expect(begun).toBe(2);
  expect(await snapshots()).toHaveLength(before.length + 1);
});

test('where there will be none, nothing is saved', async () => {
  const before = await snapshots();
  await expect(save(Promise.reject(new Error('a store could not be saved')))).rejects.toThrow('a store could not be saved');
  expect(await snapshots()).toEqual(before);
});
