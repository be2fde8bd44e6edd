import { expect, test } from 'vitest';
import type { ProjectRecord } from '../files/project.ts';
import type { Manifest, SavedStore } from '../model.ts';
import type { DrillEvidence, DrillObserved } from './model.ts';
import { planDrill } from './plan.ts';
import { printDrillPlan, printEvidence } from './print.ts';

const store = (id: string, kind: SavedStore['kind'], more: Partial<SavedStore> = {}): SavedStore => ({
  id,
  kind,
  service: id.includes('/') ? (id.split('/')[0] ?? '') : '',
  name: '',
  tool: '',
  snapshot: '12345678',
  path: '/',
  bytes: 100 * 1024 * 1024,
  added: 0,
  startedAt: '2026-11-24T03:00:00.000Z',
  endedAt: '2026-11-24T03:01:00.000Z',
  contentAt: '2026-11-24T03:00:00.000Z',
  ...more,
});
const origin = (folder: string, volume?: string) => ({
  origin: { folder, target: '/data', uid: 0, gid: 0, mode: 0o755, ...(volume ? { volume } : {}) },
});
const manifest: Manifest = {
  version: 1,
  project: 'shop',
  set: '20261124T030000Z-ab12',
  startedAt: '2026-11-24T03:00:00.000Z',
  endedAt: '2026-11-24T03:01:00.000Z',
  composure: '1.0.0',
  host: 'one',
  images: {},
  composeHash: '',
  stores: [
    store('project', 'project', { bytes: 2048 }),
    store('db/postgres/shop', 'postgres'),
    store('app/files/uploads', 'files', origin('/var/lib/docker/volumes/shop_uploads/_data', 'shop_uploads')),
    store('app/files/media', 'files', origin('/srv/media')),
  ],
};
const bind = (source: string) => ({ type: 'bind', source, target: source });
const model = {
  services: {
    db: { mem_limit: '536870912', volumes: [bind('/srv/shop/my.conf')] },
    migrate: { depends_on: {}, restart: 'no' },
    app: {
      restart: 'always',
      depends_on: { migrate: { condition: 'service_completed_successfully' } },
      deploy: { resources: { limits: { memory: '268435456' } } },
      volumes: [{ type: 'volume', source: 'uploads', target: '/data' }, bind('/srv/media/pictures'), bind('/srv/cache')],
    },
    proxy: { volumes: [bind('/var/run/docker.sock')] },
  },
  volumes: { uploads: { name: 'shop_uploads' } },
};
const record: ProjectRecord = {
  version: 1,
  name: 'shop',
  folder: '/srv/shop',
  composeArgs: [],
  composeFiles: [],
  profiles: [],
  hosts: [],
  files: [{ path: 'files/my.conf', original: '/srv/shop/my.conf' }],
};
const GIB = 1024 ** 3;
const observed: DrillObserved = {
  engine: 28,
  freeBytes: 100 * GIB,
  availableBytes: 8 * GIB,
  taken: ['shop', 'shop_uploads'],
  images: Object.fromEntries(
    ['db', 'migrate', 'app', 'proxy'].map((name) => [
      name,
      { id: `sha256:${name}`, volumes: name === 'db' ? ['/var/lib/postgresql'] : [] },
    ]),
  ),
};
const plan = (more: Partial<DrillObserved> = {}, changed: object = model) =>
  planDrill({ id: '1a2b3c4d', manifest, model: changed as typeof model, record, tree: '/state/drill-1a2b3c4d' }, { ...observed, ...more });

test('the plan of a drill says what is restored where, what is started, and what is not', () => {
  expect(
    printDrillPlan('shop', plan()),
  ).toBe(`Drill of the set 20261124T030000Z-ab12 of shop, in the scratch project composure-drill-1a2b3c4d

restore and compare with the manifest
  project            2 KiB    of 2026-11-24 03:00:00 UTC
  db/postgres/shop   100 MiB  of 2026-11-24 03:00:00 UTC
  app/files/uploads  100 MiB  of 2026-11-24 03:00:00 UTC
  app/files/media    100 MiB  of 2026-11-24 03:00:00 UTC

into new volumes
  composure-drill-1a2b3c4d_db-declared-0  for what db keeps in /var/lib/postgresql
  composure-drill-1a2b3c4d_uploads        for volume shop_uploads, from app/files/uploads
  composure-drill-1a2b3c4d_folder-2       for folder /srv/media, from app/files/media
  composure-drill-1a2b3c4d_folder-3       for folder /srv/cache

start on networks without a way out, to this host neither, with nothing published
  app, db, migrate (runs to its end)

not drilled
  proxy  it has /var/run/docker.sock of the host

empty, because the set does not hold it
  app  /srv/cache

takes up to 450 MiB of disk and 896 MiB of memory; all of it is removed afterwards
`);
});

test.each<[string, Partial<DrillObserved>, string[]]>([
  [
    'a project of the drill’s name',
    { taken: ['composure-drill-1a2b3c4d'] },
    ['composure-drill-1a2b3c4d exists already and is not of this drill'],
  ],
  [
    'a volume of the drill’s name',
    { taken: ['composure-drill-1a2b3c4d_uploads'] },
    ['composure-drill-1a2b3c4d_uploads exists already and is not of this drill'],
  ],
  [
    'too little disk',
    { freeBytes: GIB / 4 },
    ['it takes 450 MiB of disk (1.5 times what was saved), and 256 MiB are free where Docker keeps its volumes'],
  ],
  ['a disk that cannot be seen', { freeBytes: undefined }, []],
  ['too little memory', { availableBytes: GIB }, []],
  [
    'less memory than the limits and what the live services are left',
    { availableBytes: GIB - 1 },
    ['the services may take 896 MiB of memory, and 1024 MiB are available beside what runs'],
  ],
])('%s', (_title, more, obstacles) => {
  expect(plan(more).obstacles).toEqual(obstacles);
});

test('a database that cannot be started closed in is an obstacle, another service is not', () => {
  const services = { ...model.services, db: { ...model.services.db, network_mode: 'host' } };
  expect(plan({}, { ...model, services }).obstacles).toEqual(['db holds a database and cannot be started closed in: network_mode: host']);
  expect(plan({}, { services: { proxy: model.services.proxy } }).obstacles).toContain(
    'none of the set’s services can be started closed in',
  );
});

test('data that is bound has a volume of its own, the project’s files lie in the set’s copy', () => {
  const { places, files, jobs, mayEnd } = plan();
  expect(places.folders).toEqual({ '/srv/media': 'composure-drill-1a2b3c4d_folder-2', '/srv/cache': 'composure-drill-1a2b3c4d_folder-3' });
  expect(files.folders).toEqual({ '/srv/shop': '/state/drill-1a2b3c4d/files' });
  expect([jobs, mayEnd]).toEqual([['migrate'], ['db', 'migrate']]);
});

test('what was found is told by store and service, with what would be lost', () => {
  const evidence: DrillEvidence = {
    project: 'shop',
    set: manifest.set,
    startedAt: '2026-11-24T06:00:00.000Z',
    endedAt: '2026-11-24T06:01:00.000Z',
    passed: true,
    stores: [{ id: 'db/postgres/shop', bytes: 1024, seconds: 2.5, counted: '2 tables, 10 rows', differences: [] }],
    services: [{ service: 'app', kind: 'healthy', text: 'healthy after 3.0 s', log: [] }],
    left: [],
    missing: [],
    numbers: { rtoSeconds: 42.5, rpoSeconds: 10_800, gapSeconds: 86_400 },
    kept: 'composure-drill-1a2b3c4d',
  };
  expect(
    printEvidence(evidence),
  ).toBe(`Drill of the set 20261124T030000Z-ab12 of shop: passed, 2026-11-24 06:00:00 to 2026-11-24 06:01:00 UTC

restored, and as the manifest says
  db/postgres/shop  1 KiB  2.5 s  2 tables, 10 rows

the application on it
  app  healthy after 3.0 s

restored and running after 42.5 s (RTO)
3.0 h of work would be lost now (RPO), by the schedule up to 24.0 h
left for a look: docker compose -p composure-drill-1a2b3c4d ps; to remove it: composure backup drill --remove 1a2b3c4d
`);
});
