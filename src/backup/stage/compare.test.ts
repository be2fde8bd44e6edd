import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Facts } from '../model.ts';
import { differences } from './compare.ts';

const files = { kind: 'files', files: 3, folders: 1, bytes: 10, listing: 'a' } as const;
const at = { column: 'created_at', value: '2026-11-24T06:00:00' };
const orders = (rows: number, more: object = {}): Facts => ({ kind: 'tables', tables: [{ name: 'public.orders', rows, ...more }] });

test.each<[string, Facts, Facts, string[]]>([
  ['fewer rows', orders(5), orders(4), ['the table public.orders has 4 rows, the manifest says 5']],
  ['more rows', orders(5), orders(6), ['the table public.orders has 6 rows, the manifest says 5']],
  ['a table that is missing', orders(5), { kind: 'tables', tables: [] }, ['the table public.orders is missing']],
  ['a table beyond', { kind: 'tables', tables: [] }, orders(5), []],
  ['rows between both counts', orders(5, { rowsAfter: 9 }), orders(7), []],
  ['rows between both counts when rows were deleted', orders(9, { rowsAfter: 5 }), orders(7), []],
  ['rows beyond both counts', orders(5, { rowsAfter: 9 }), orders(10), ['the table public.orders has 10 rows, the manifest says 5 to 9']],
  [
    'as many rows, but older ones',
    orders(5, { newest: at }),
    orders(5, { newest: { column: 'created_at', value: '2026-11-23T06:00:00' } }),
    ['the newest created_at in public.orders is 2026-11-23T06:00:00, the manifest says 2026-11-24T06:00:00'],
  ],
  ['a role', { kind: 'roles', names: ['app', 'report'] }, { kind: 'roles', names: ['app'] }, ['the role report is missing']],
  [
    'an account',
    { kind: 'accounts', names: ["'app'@'%'", "'report'@'%'"] },
    { kind: 'accounts', names: ["'app'@'%'"] },
    ["the account 'report'@'%' is missing"],
  ],
  ['keys that expired', { kind: 'keys', keys: 10, expiring: 4 }, { kind: 'keys', keys: 7, expiring: 1 }, []],
  ['too few keys', { kind: 'keys', keys: 10, expiring: 4 }, { kind: 'keys', keys: 5, expiring: 0 }, ['5 keys, the manifest says 6 to 10']],
  ['a file', files, { ...files, files: 2, bytes: 8 }, ['2 files, the manifest says 3', '8 bytes, the manifest says 10']],
  [
    'other names',
    files,
    { ...files, listing: 'b' },
    ['as many files and bytes, but names, sizes, modes, owners or times are not those of the manifest'],
  ],
  ['another kind', files, orders(1), ['the manifest counts files, and there are tables']],
  [
    'documents',
    { kind: 'collections', collections: [{ name: 'shop.orders', documents: 3, documentsAtMost: 5 }] },
    { kind: 'collections', collections: [{ name: 'shop.orders', documents: 2 }] },
    ['the collection shop.orders has 2 documents, the manifest says 3 to 5'],
  ],
])('%s', (_title, expected, found, text) => {
  expect(differences(expected, found)).toEqual(text);
});

test('what is lost of any table is told, and nothing is told of what is whole', () => {
  const table = fc.record({ name: fc.stringMatching(/^[a-z]{1,8}$/), rows: fc.nat({ max: 1000 }) });
  fc.assert(
    fc.property(
      fc.uniqueArray(table, { selector: ({ name }) => name, minLength: 1, maxLength: 15 }),
      fc.nat(),
      fc.integer({ min: 1, max: 9 }),
      (tables, pick, lost) => {
        const index = pick % tables.length;
        const less = tables.map((one, at) => (at === index ? { ...one, rows: one.rows - lost } : one));
        expect(differences({ kind: 'tables', tables }, { kind: 'tables', tables })).toEqual([]);
        expect(differences({ kind: 'tables', tables }, { kind: 'tables', tables: less })).toHaveLength(1);
      },
    ),
  );
});

test('an empty database is not told table by table', () => {
  const tables = Array.from({ length: 30 }, (_, index) => ({ name: `t${index}`, rows: 1 }));
  const told = differences({ kind: 'tables', tables }, { kind: 'tables', tables: [] });
  expect([told.length, told.at(-1)]).toEqual([21, 'and 10 more']);
});
