import { expect, test } from 'vitest';
import type { PlannedStore } from '../model.ts';
import { disturbsSomebody, inOrder } from './order.ts';

const dump = (service: string, name = ''): PlannedStore => ({
  id: `${service}/postgres/${name}`,
  kind: 'postgres',
  service,
  name,
  why: '',
});
const project: PlannedStore = { id: 'project', kind: 'project', service: '', name: '', why: '', files: [] };
const folder = (
  service: string,
  name: string,
  consistency: 'none' | 'pause' | 'stop' = 'none',
  users: string[] = [service],
  kind: 'files' | 'sqlite' = 'files',
): PlannedStore => ({
  id: `${service}/${kind}/${name}`,
  kind,
  service,
  name,
  why: '',
  folder: `/${name}`,
  target: '/data',
  exclude: [],
  consistency,
  users,
  mayBeEmpty: false,
});

const ids = (stores: PlannedStore[]): string => stores.map(({ id }) => id).join(' + ');
function order(stores: PlannedStore[], ...hooked: string[]): string[] {
  const { first, last } = inOrder(stores, new Set(hooked));
  return [...first, { ...last, service: undefined, held: [] }].map(({ service, groups, files, held }) =>
    [
      ...(service === undefined ? ['all'] : [service]),
      ...groups.map(ids),
      ...(files.length > 0 ? [`files ${ids(files)}`] : []),
      ...held.map(({ consistency, users, stores: still }) => `${consistency} ${users.join('+')} for ${ids(still)}`),
    ].join(', '),
  );
}

test('databases come first, files after them', () => {
  expect(order([project, folder('web', 'uploads'), dump('db', 'app'), folder('web', 'uploads', 'none', ['web'], 'sqlite')])).toEqual([
    'all, db/postgres/app, project + web/sqlite/uploads, files web/files/uploads',
  ]);
});

test('what a service has is saved between its hooks, databases of others before it, their files after it', () => {
  expect(order([folder('a', 'x'), folder('web', 'uploads'), dump('web'), dump('db'), project], 'web')).toEqual([
    'all, db/postgres/, project',
    'web, web/postgres/, files web/files/uploads',
    'all, files a/files/x',
  ]);
});

test('all volumes of a service that are to be of one moment are saved in one standstill of all who write to them', () => {
  const stores = [
    folder('web', 'a', 'pause', ['web', 'worker']),
    folder('web', 'b', 'pause', ['web']),
    folder('web', 'c'),
    folder('mail', 'd', 'stop'),
  ];
  expect(order(stores)).toEqual([
    'web, pause web+worker for web/files/a + web/files/b',
    'mail, stop mail for mail/files/d',
    'all, files web/files/c',
  ]);
});

test('nobody stands still for what is copied through its database', () => {
  expect(order([folder('web', 'a', 'stop', ['web'], 'sqlite'), folder('web', 'a', 'stop'), dump('web')])).toEqual([
    'all, web/postgres/, web/sqlite/a',
    'web, stop web for web/files/a',
    'all',
  ]);
});

test('every store is saved once', () => {
  const stores = [
    project,
    dump('db'),
    folder('db', 'x', 'pause'),
    folder('web', 'y', 'stop'),
    folder('web', 'y', 'stop', ['web'], 'sqlite'),
  ];
  const { first, last } = inOrder(stores, new Set(['db']));
  const all = [...first, { ...last, held: [] }].flatMap(({ groups, files, held }) => [
    ...groups.flat(),
    ...files,
    ...held.flatMap((group) => group.stores),
  ]);
  expect(all.map(({ id }) => id).sort()).toEqual(stores.map(({ id }) => id).sort());
});

test.each<[string, PlannedStore[], string[], boolean]>([
  ['dumps, copies and files that are read as they are', [dump('db'), folder('web', 'a'), project], [], false],
  ['a copy through SQLite, whatever the files want', [folder('web', 'a', 'stop', ['web'], 'sqlite')], [], false],
  ['files that want a standstill', [dump('db'), folder('web', 'a', 'pause')], [], true],
  ['a service with a hook', [dump('db')], ['db'], true],
  ['a hook of a service that is not saved', [dump('db')], ['web'], false],
])('who is disturbed by %s', (_title, stores, hooked, expected) => {
  expect(disturbsSomebody(stores, new Set(hooked))).toBe(expected);
});
