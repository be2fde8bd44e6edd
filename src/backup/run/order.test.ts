import { expect, test } from 'vitest';
import type { PlannedStore } from '../model.ts';
import { type Batch, inOrder } from './order.ts';

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

const text = (batches: Batch[]): string[] =>
  batches.map(({ service, free, held }) =>
    [
      `${service || 'project'}: ${free.map(({ id }) => id).join(' ')}`,
      ...held.map(({ consistency, users, stores }) => `${consistency} ${users.join('+')} for ${stores.map(({ id }) => id).join(' ')}`),
    ]
      .join('; ')
      .replace(/ +;/, ''),
  );

test('databases come first, files after them, the project last', () => {
  expect(text(inOrder([project, folder('web', 'uploads'), dump('db', 'app'), dump('db', 'stats')]))).toEqual([
    'db: db/postgres/app db/postgres/stats',
    'web: web/files/uploads',
    'project: project',
  ]);
});

test('all volumes of a service that are to be of one moment are saved in one standstill of all who write to them', () => {
  const stores = [
    folder('web', 'a', 'pause', ['web', 'worker']),
    folder('web', 'b', 'pause', ['web']),
    folder('web', 'c'),
    folder('mail', 'd', 'stop'),
  ];
  expect(text(inOrder(stores))).toEqual([
    'web: web/files/c; pause web+worker for web/files/a web/files/b',
    'mail: stop mail for mail/files/d',
  ]);
});

test('nobody stands still for what is copied through its database', () => {
  expect(text(inOrder([folder('web', 'a', 'stop', ['web'], 'sqlite'), folder('web', 'a', 'stop'), dump('web')]))).toEqual([
    'web: web/postgres/ web/sqlite/a; stop web for web/files/a',
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
  const all = inOrder(stores).flatMap(({ free, held }) => [...free, ...held.flatMap((group) => group.stores)]);
  expect(all.map(({ id }) => id).sort()).toEqual(stores.map(({ id }) => id).sort());
});
