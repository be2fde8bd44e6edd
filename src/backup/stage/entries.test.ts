import { normalize } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { entryCheck, type SnapshotEntry } from './entries.ts';

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
