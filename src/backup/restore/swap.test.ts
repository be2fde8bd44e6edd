import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { putNew, putOld, type Swap, swapState, whyNoSwap } from './swap.ts';

let top = '';
let swap: Swap;
beforeEach(async () => {
  top = await mkdtemp(join(tmpdir(), 'composure-swap-'));
  swap = { what: 'volume data', live: join(top, 'a/_data'), staged: join(top, 'b/_data'), kept: join(top, 'c/_data'), wasEmpty: false };
  for (const path of [swap.live, swap.staged, swap.kept]) await mkdir(path, { recursive: true });
  await writeFile(join(swap.live, 'file'), 'old');
  await writeFile(join(swap.staged, 'file'), 'new');
});
afterEach(() => rm(top, { recursive: true, force: true }));

const content = (path: string) => readFile(join(path, 'file'), 'utf8');

/** The folders after so many renames of a swap that goes forward. */
const crashedAfter: Record<number, () => Promise<void>> = {
  0: async () => {},
  1: () => rename(swap.live, swap.kept),
  2: async () => {
    await rename(swap.live, swap.kept);
    await rename(swap.staged, swap.live);
  },
  // And of one that goes back.
  3: async () => {
    await crashedAfter[2]?.();
    await rename(swap.live, swap.staged);
  },
  // Docker started a container meanwhile.
  4: async () => {
    await rename(swap.live, swap.kept);
    await mkdir(swap.live);
  },
};

test.each([
  [0, 'old'],
  [1, 'between'],
  [2, 'new'],
  [3, 'between'],
  [4, 'between'],
])('killed at moment %i it is known to be %s, and leads to the whole old and to the whole new content', async (moment, state) => {
  await crashedAfter[moment]?.();
  expect(await swapState(swap)).toBe(state);
  await putNew(swap);
  await putNew(swap);
  expect([await content(swap.live), await content(swap.kept)]).toEqual(['new', 'old']);
  expect(await swapState(swap)).toBe('new');
  await putOld(swap);
  await putOld(swap);
  expect([await content(swap.live), await content(swap.staged)]).toEqual(['old', 'new']);
  expect(await swapState(swap)).toBe('old');
});

test('an empty volume is replaced and comes back empty', async () => {
  await rm(join(swap.live, 'file'));
  swap.wasEmpty = true;
  await putNew(swap);
  expect(await content(swap.live)).toBe('new');
  await putOld(swap);
  expect(await readdir(swap.live)).toEqual([]);
});

test('without any content in place nothing is moved, and where it may be is said', async () => {
  await rm(swap.live, { recursive: true });
  await rm(swap.staged, { recursive: true });
  await rm(swap.kept, { recursive: true });
  const refused = expect.objectContaining({
    code: 'RESTORE_FAILED',
    message: 'volume data: neither its old nor its new content is in place',
  });
  await expect(putNew(swap)).rejects.toEqual(refused);
  await expect(putOld(swap)).rejects.toEqual(refused);
});

test.each([
  [0, 'old'],
  [1, 'between'],
  [2, 'new'],
])(
  'killed at moment %i, and its scratch removed by somebody, it is known to be %s and leads back to the old content',
  async (moment, state) => {
    await crashedAfter[moment]?.();
    await rm(join(swap.staged, '..'), { recursive: true });
    expect(await swapState(swap)).toBe(state);
    await putOld(swap);
    await putOld(swap);
    expect(await content(swap.live)).toBe('old');
  },
);

test('old content is never lost to what lies where it should be put aside', async () => {
  await writeFile(join(swap.kept, 'file'), 'of somebody else');
  await expect(putNew(swap)).rejects.toMatchObject({ code: 'ENOTEMPTY' });
  expect([await content(swap.live), await content(swap.kept)]).toEqual(['old', 'of somebody else']);
});

test('what cannot change places by a rename is known before', async () => {
  expect(await whyNoSwap(swap.live, top)).toBeUndefined();
  expect(await whyNoSwap(join(top, 'gone'), top)).toBe(`${top}/gone does not exist`);
  expect(await whyNoSwap(join(swap.live, 'file'), top)).toBe(`${swap.live}/file is no folder`);
  expect(await whyNoSwap('/proc', '/')).toBe('/proc is where a file system is mounted');
  expect(await whyNoSwap(swap.live, '/proc')).toBe(`${swap.live} and /proc lie on different file systems`);
});
