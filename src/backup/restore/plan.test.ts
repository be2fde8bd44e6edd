import fc from 'fast-check';
import { expect, test } from 'vitest';
import { manifest, origin, project, service, store, volume } from './fixtures.ts';
import type { Unit } from './model.ts';
import { planRestore } from './plan.ts';
import { printRestore } from './print.ts';
import { chooseUnits, namesOf, unitsOf } from './units.ts';

const db = service('db', {
  image: 'postgres:18',
  mounts: [volume('pg', '/var/lib/postgresql'), volume('pg', '/init', true)],
  stopGraceMs: 60_000,
});
const app = service('app', {
  mounts: [volume('uploads', '/data'), { type: 'bind', source: '/srv/shop/shared', target: '/shared', readOnly: false }],
  environment: { DATABASE_URL: 'postgres://db:5432/shop' },
});
const worker = service('worker', { dependsOn: { app: { condition: 'service_started', required: true, restart: false } } });
const viewer = service('viewer', { mounts: [{ type: 'bind', source: '/srv/shop', target: '/all', readOnly: true }] });
const shop = project([db, app, worker, viewer, service('mail')], ['pg', 'uploads']);
const set = manifest([
  store('project'),
  store('db/postgres-roles'),
  store('db/postgres/shop', { bytes: 5 * 1024 * 1024 }),
  store('app/files/uploads', { origin: origin('/data', { volume: 'shop_uploads' }), contentAt: '2026-11-24T05:59:00.000Z' }),
  store('app/sqlite/uploads', { origin: origin('/data', { volume: 'shop_uploads' }) }),
  store('app/files//shared', { origin: origin('/shared', { folder: '/srv/shop/shared' }) }),
]);
const all = ['app', 'db', 'mail', 'viewer', 'worker'];
const NOW = Date.parse('2026-11-24T09:12:00.000Z');

const plan = (only: string[], running = all, more: Partial<Unit> = {}) => {
  const units = unitsOf(set, shop).map((unit) => (unit.kind === 'database' ? { ...unit, ...more } : unit));
  return planRestore({ id: 'ab12cd', project: shop, manifest: set, units, chosen: chooseUnits(units, only, set), running });
};

test('the plan of everything says what is replaced, what is lost, who stands still and why', () => {
  expect(printRestore(plan([]), NOW)).toBe(`Restore shop from set 20261124T060000Z-ab12
  saved 2026-11-24 06:00:20 UTC, 3 h 11 min ago; unproven

Replaced as a whole
  PostgreSQL of db: db/postgres-roles, db/postgres/shop (5 MiB)
    in volume shop_pg
    lost from it: whatever was written after 2026-11-24 06:00:01 UTC, 3 h 11 min ago
  files of app at /data: app/files/uploads, app/sqlite/uploads (2 KiB)
    in volume shop_uploads
    lost from it: whatever was written after 2026-11-24 05:59:00 UTC, 3 h 13 min ago
  files of app at /shared: app/files//shared (1 KiB)
    in /srv/shop/shared
    lost from it: whatever was written after 2026-11-24 06:00:01 UTC, 3 h 11 min ago

Steps
  1  restore into scratch volumes and compare with what was counted; nothing live is touched until all is the same
  2  save what is there now, as a set of its own
  3  stop worker, viewer, app, db
  4  replace volume shop_pg; the old content is kept beside it
  5  replace volume shop_uploads; the old content is kept beside it
  6  replace /srv/shop/shared; the old content is kept beside it
  7  start db, app, viewer, worker and wait until they are healthy; if one is not, everything goes back

Stopped meanwhile, for as long as they take to stop (at most 60s) and to become healthy
  worker: it uses app
  viewer: it has /srv/shop/shared mounted
  app: it has volume shop_uploads mounted
  db: it has volume shop_pg mounted

Left alone
  the project’s own files: they are yours: --only project --to FOLDER writes them out

warning: the set 20261124T060000Z-ab12 has never been restored; it is proven before anything live is touched
`);
});

test('a set of another machine is named as one', () => {
  const units = unitsOf(set, shop);
  const asked = { id: 'ab12cd', project: shop, manifest: set, units, chosen: units, running: all };
  expect(planRestore({ ...asked, host: 'vps1' }).warnings.join()).not.toContain('vps1');
  expect(planRestore({ ...asked, host: 'vps2' }).warnings[0]).toBe(
    'the set was saved on vps1, and this machine is vps2: is it the data of this shop?',
  );
});

test('services that have nothing to do with what is restored go on', () => {
  expect(plan(['uploads']).stops).toEqual([{ service: 'app', why: 'has volume shop_uploads mounted' }]);
  expect(plan(['/shared']).stops.map(({ service: name }) => name)).toEqual(['viewer', 'app']);
  expect(plan(['db'], ['db', 'mail']).stops).toEqual([{ service: 'db', why: 'has volume shop_pg mounted' }]);
  expect(plan(['db'], []).stops).toEqual([]);
});

test('a server that does not answer is said', () => {
  expect(plan(['db'], all, { answers: false }).warnings).toContain(
    'PostgreSQL of db does not answer: its raw files are saved once it stands still, and it is started afterwards',
  );
});

test('what was not asked for, and what cannot be replaced, is left alone with the reason', () => {
  expect(plan(['db']).leftAlone.map(({ what, why }) => `${what}: ${why}`)).toEqual([
    'files of app at /data: not asked for',
    'files of app at /shared: not asked for',
    expect.stringContaining('the project’s own files'),
  ]);
  const refused = plan([], all, { refused: 'db has no volume that holds its data' });
  expect(refused.units.map(({ service: name }) => name)).not.toContain('db');
  expect(refused.leftAlone[0]).toEqual({ what: 'PostgreSQL of db', why: 'db has no volume that holds its data' });
});

test.each([
  ['a service that is gone', project([app], ['uploads']), 'the project has no service db any more'],
  ['a server without a volume', project([service('db', { image: 'postgres:18' }), app], []), 'db has no volume that holds its data'],
  [
    'a volume without a name',
    project([service('db', { mounts: [volume('', '/var/lib/postgresql')] }), app], []),
    'db keeps its data in a volume without a name',
  ],
])('%s is refused when it is asked for', (_title, today, why) => {
  const units = unitsOf(set, today);
  expect(units.find(({ service: name }) => name === 'db')?.refused).toBe(why);
  expect(() => chooseUnits(units, ['db'], set)).toThrow(why);
});

test('a volume that is a folder today is refused', () => {
  const moved = service('app', { mounts: [{ type: 'bind', source: '/srv/data', target: '/data', readOnly: false }] });
  expect(unitsOf(set, project([db, moved], ['pg'])).find(({ title }) => title.endsWith('/data'))?.refused).toBe(
    'volume shop_uploads was saved, and the project has /srv/data there now',
  );
});

test('one of several databases of a server is not replaced without the others', () => {
  const two = manifest([store('db/postgres-roles'), store('db/postgres/shop'), store('db/postgres/stats')]);
  const units = unitsOf(two, shop);
  expect(() => chooseUnits(units, ['db/postgres/stats'], two)).toThrow(
    'db/postgres/stats is one of 2 databases of PostgreSQL of db, which are replaced together',
  );
  expect(chooseUnits(units, ['db'], two)).toHaveLength(1);
});

test('whatever is named, only what has the name is chosen, and every store is in exactly one unit', () => {
  const units = unitsOf(set, shop);
  const known = [...new Set(units.flatMap(namesOf))];
  expect(units.flatMap(({ stores }) => stores.map(({ id }) => id)).sort()).toEqual(
    set.stores
      .filter(({ kind }) => kind !== 'project')
      .map(({ id }) => id)
      .sort(),
  );
  fc.assert(
    fc.property(fc.uniqueArray(fc.constantFrom(...known), { minLength: 1 }), (only) => {
      const chosen = chooseUnits(units, only, set);
      for (const unit of units) expect(chosen.includes(unit)).toBe(only.some((name) => namesOf(unit).includes(name)));
      const { stops } = planRestore({ id: 'x', project: shop, manifest: set, units, chosen, running: all });
      for (const { live } of chosen.flatMap(({ places }) => places))
        for (const { name, mounts } of Object.values(shop.services))
          if (mounts.some(({ source }) => live && 'volume' in live && `shop_${source}` === live.volume))
            expect(stops.map(({ service: one }) => one)).toContain(name);
    }),
  );
});
