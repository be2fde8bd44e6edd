import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, normalize } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Restic } from '../restic/program.ts';
import { entryCheck, rememberWithin, requireWithin, type SnapshotEntry } from './entries.ts';

const firstProblem = (entries: readonly SnapshotEntry[]): string | undefined => {
  const check = entryCheck();
  for (const entry of entries) {
    const problem = check(entry);
    if (problem !== undefined) return problem;
  }
  return undefined;
};

test.each<[string, SnapshotEntry[], string | undefined]>([
  [
    'files in folders',
    [
      { path: '/a', type: 'dir' },
      { path: '/a/b', type: 'file' },
      { path: '/c', type: 'symlink' },
    ],
    undefined,
  ],
  ['a way up', [{ path: '/../etc', type: 'dir' }], '"/../etc" leads out of its folder'],
  [
    'a way up in the middle',
    [
      { path: '/a', type: 'dir' },
      { path: '/a/../../etc/x', type: 'file' },
    ],
    '"/a/../../etc/x" leads out of its folder',
  ],
  ['a path that is not of the snapshot', [{ path: 'etc/passwd', type: 'file' }], '"etc/passwd" is no path within the snapshot'],
  [
    'a file behind a link',
    [
      { path: '/a', type: 'symlink' },
      { path: '/a/passwd', type: 'file' },
    ],
    '"/a/passwd" lies in something that is no folder',
  ],
  [
    'a link and a folder of the same name',
    [
      { path: '/a', type: 'symlink' },
      { path: '/a', type: 'dir' },
    ],
    '"/a" is a folder and a link',
  ],
  ['an empty name', [{ path: '//etc', type: 'file' }], '"//etc" leads out of its folder'],
])('%s', (_title, entries, problem) => {
  expect(firstProblem(entries)).toBe(problem);
});

test('no list that passes has a path outside, or something behind a link', () => {
  const part = fc.constantFrom('a', 'b', '..', '.', '', 'c\0', '…');
  const path = fc.array(part, { minLength: 1, maxLength: 4 }).map((parts) => `/${parts.join('/')}`);
  const entry = fc.record({ path, type: fc.constantFrom<SnapshotEntry['type']>('dir', 'file', 'symlink') });
  fc.assert(
    fc.property(fc.array(entry, { maxLength: 6 }), (entries) => {
      if (firstProblem(entries) !== undefined) return;
      for (const { path: one } of entries) {
        expect(normalize(one)).toBe(one);
        for (const { path: other, type } of entries) if (type === 'symlink') expect(one.startsWith(`${other}/`)).toBe(false);
      }
    }),
  );
});

describe('a list that was read once', () => {
  const store = { id: 'app/files/uploads', snapshot: 'a1'.repeat(32), path: '/data' };
  let top = '';
  let target = '';
  let lists: string[] = [];
  beforeEach(async () => {
    top = await mkdtemp(join(tmpdir(), 'composure-entries-'));
    target = join(top, 'target');
    await mkdir(target);
    lists = [];
  });
  afterEach(() => rm(top, { recursive: true, force: true }));

  const repository = (...entries: SnapshotEntry[]): Restic =>
    ({
      cache: join(top, 'cache'),
      run: async (args, options) => {
        lists.push(args.at(-1) ?? '');
        for (const entry of entries) options?.onLine?.(JSON.stringify({ message_type: 'node', ...entry }), 'stdout');
        return { code: 0, stdout: '', stderr: '' };
      },
    }) as Restic;
  const whole = (): Restic => repository({ path: '/a', type: 'dir' }, { path: '/a/b', type: 'file' });
  const LISTED = `${store.snapshot}:/data`;

  test('is not read again for a folder that holds nothing, and is for one that holds something or is a link', async () => {
    for (let time = 0; time < 2; time++) await requireWithin(whole(), store, target);
    expect(lists).toEqual([LISTED]);
    await symlink('/etc', join(target, 'a'));
    await expect(requireWithin(whole(), store, target)).rejects.toMatchObject({
      message: expect.stringContaining('"/a" is a link or file in the target'),
    });
    await mkdir(join(top, 'empty'));
    await symlink(join(top, 'empty'), join(top, 'link'));
    await expect(requireWithin(whole(), store, join(top, 'link'))).rejects.toMatchObject({ code: 'RESTORE_FAILED' });
    expect(lists).toEqual([LISTED, LISTED, LISTED]);
  });

  test('says nothing of another folder in the snapshot, or of a beginning of an id', async () => {
    await rememberWithin(whole(), store);
    await requireWithin(whole(), { ...store, path: '/' }, target);
    const short = { ...store, snapshot: store.snapshot.slice(0, 8) };
    for (let time = 0; time < 2; time++) await requireWithin(whole(), short, target);
    expect(lists).toEqual([`${store.snapshot}:/`, `${short.snapshot}:/data`, `${short.snapshot}:/data`]);
  });

  test('of the whole snapshot says the same of every folder in it', async () => {
    await rememberWithin(whole(), { ...store, path: '/' });
    await requireWithin(whole(), store, target);
    expect(lists).toEqual([]);
  });

  test('is refused each time where it leads out', async () => {
    const hostile = repository({ path: '/../evil', type: 'file' });
    for (let time = 0; time < 2; time++)
      await expect(requireWithin(hostile, store, target)).rejects.toMatchObject({ code: 'RESTORE_FAILED' });
    expect(lists).toEqual([LISTED, LISTED]);
  });

  test('is read again where it cannot be kept', async () => {
    await writeFile(join(top, 'cache'), '');
    for (let time = 0; time < 2; time++) await requireWithin(whole(), store, target);
    expect(lists).toEqual([LISTED, LISTED]);
  });
});
