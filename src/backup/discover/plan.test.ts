import { expect, test } from 'vitest';
import type { Project, Service, ServiceBackup } from '../../project/model.ts';
import { project, service } from '../../rollout/fixtures.ts';
import type { PlannedStore } from '../model.ts';
import type { Observed, ObservedFolder, ObservedMount, ObservedService } from './observe.ts';
import { planBackup } from './plan.ts';
import { printBackupPlan } from './print.ts';

const backup = (changes: Partial<ServiceBackup>): { backup: ServiceBackup } => ({
  backup: { skip: false, exclude: [], consistency: 'none', empty: false, ...changes },
});
const VOLUMES = '/var/lib/docker/volumes';
const volume = (key: string, target: string, changes: Partial<ObservedMount> = {}): ObservedMount => ({
  type: 'volume',
  volume: `shop_${key}`,
  key,
  source: `${VOLUMES}/shop_${key}/_data`,
  target,
  writable: true,
  ...changes,
});
const bind = (source: string, target: string, writable = true): ObservedMount => ({ type: 'bind', source, target, writable });
const anonymous = (target: string): ObservedMount => ({
  type: 'volume',
  volume: 'f'.repeat(64),
  source: `${VOLUMES}/${'f'.repeat(64)}/_data`,
  target,
  writable: true,
});
const seen = (mounts: ObservedMount[], changes: Partial<ObservedService> = {}): ObservedService => ({
  state: 'running',
  environment: {},
  imageVolumes: [],
  mounts,
  ...changes,
});
const folder = (changes: Partial<ObservedFolder> = {}): ObservedFolder => ({
  kind: 'folder',
  files: 3,
  bytes: 2048,
  databases: [],
  mountPoint: '/',
  ...changes,
});

interface World {
  services: [Service, ObservedService][];
  folders?: Record<string, Partial<ObservedFolder>>;
  files?: string[];
  observed?: Partial<Observed>;
  settings?: Partial<Project>;
}

/** Every mounted volume is a folder of three files where nothing else is said. */
function plan({ services, folders = {}, files = [], observed = {}, settings = {} }: World) {
  const sources = services.flatMap(([, { mounts }]) => mounts.map(({ source }) => source)).filter(Boolean);
  return planBackup(
    { ...project(...services.map(([entry]) => entry)), ...settings },
    {
      services: Object.fromEntries(services.map(([{ name }, entry]) => [name, entry])),
      folders: Object.fromEntries(sources.map((source) => [source, folder(folders[source])])),
      strays: [],
      unread: [],
      project: { files: ['/srv/shop/compose.yaml', ...files], largeContexts: [] },
      ...observed,
    },
  );
}
const printed = (world: World): string => printBackupPlan('shop', plan(world));
const files = (world: World): Extract<PlannedStore, { kind: 'files' | 'sqlite' }>[] =>
  plan(world).stores.flatMap((store) => (store.kind === 'files' || store.kind === 'sqlite' ? [store] : []));

const PG18 = { PG_MAJOR: '18', PGDATA: '/var/lib/postgresql/18/docker' };
const db = service('db', { image: 'postgres:18-alpine' });
const web = service('web');

test('an ordinary project: databases are dumped, their raw files stay out, the rest is saved as files', () => {
  expect(
    printed({
      services: [
        [
          db,
          seen([volume('db', '/var/lib/postgresql')], {
            environment: PG18,
            imageVolumes: ['/var/lib/postgresql'],
            databases: ['shop', 'stats'],
          }),
        ],
        [service('cache', { image: 'redis:8-alpine' }), seen([anonymous('/data')], { databases: [''] })],
        [
          service('web', backup({ consistency: 'pause' })),
          seen([
            volume('uploads', '/app/uploads'),
            bind('/srv/shop/nginx.conf', '/etc/nginx/nginx.conf', false),
            bind('/etc/localtime', '/etc/localtime', false),
          ]),
        ],
        [service('worker'), seen([volume('uploads', '/data'), bind('/var/run/docker.sock', '/var/run/docker.sock')])],
      ],
      folders: { '/srv/shop/nginx.conf': { kind: 'file', files: 1 } },
      files: ['/srv/shop/.env', '/srv/shop/nginx.conf'],
    }),
  ).toMatchInlineSnapshot(`
    "Backup of shop: 6 stores

      project            3 files                                     (compose and env files, resolved model, images, certificates)
      db/postgres-roles  dump the roles                              (they belong to the server and are in no database’s dump)
      db/postgres/shop   dump shop                                   (image postgres:18-alpine)
      db/postgres/stats  dump stats                                  (image postgres:18-alpine)
      cache/redis        dump                                        (image redis:8-alpine)
      web/files/uploads  3 files, 2 KiB, with web and worker paused  (volume shop_uploads)

    Not saved:
      - /etc/localtime (web:/etc/localtime): belongs to the machine
      - /var/run/docker.sock (worker:/var/run/docker.sock): belongs to the machine
      - volume shop_db (db:/var/lib/postgresql): raw files of PostgreSQL; its dump holds what is in them
      - /srv/shop/nginx.conf (web:/etc/nginx/nginx.conf): a single file: saved with the project
    "
  `);
});

test('SQLite databases in a volume are copied apart, and neither they nor what lies beside them is read as files', () => {
  const world: World = {
    services: [[service('web', backup({ exclude: ['cache'] })), seen([volume('data', '/data')])]],
    folders: { [`${VOLUMES}/shop_data/_data`]: { databases: ['app.db', 'cache/x.db', 'odd[1].db', 'sub/b.db'], files: 9 } },
  };
  expect(printed(world)).toMatchInlineSnapshot(`
    "Backup of shop: 3 stores

      project          1 file                            (compose and env files, resolved model, images, certificates)
      web/sqlite/data  copy app.db, odd[1].db, sub/b.db  (each as it is at one moment)
      web/files/data   9 files, 2 KiB                    (volume shop_data)
    "
  `);
  expect(files(world).map(({ kind, exclude, mayBeEmpty, databases }) => ({ kind, exclude, mayBeEmpty, databases }))).toMatchInlineSnapshot(`
    [
      {
        "databases": [
          "app.db",
          "odd[1].db",
          "sub/b.db",
        ],
        "exclude": [],
        "kind": "sqlite",
        "mayBeEmpty": false,
      },
      {
        "databases": undefined,
        "exclude": [
          "cache",
          "/app.db",
          "/app.db-wal",
          "/app.db-shm",
          "/app.db-journal",
          "/odd\\[1].db",
          "/odd\\[1].db-wal",
          "/odd\\[1].db-shm",
          "/odd\\[1].db-journal",
          "/sub/b.db",
          "/sub/b.db-wal",
          "/sub/b.db-shm",
          "/sub/b.db-journal",
        ],
        "kind": "files",
        "mayBeEmpty": true,
      },
    ]
  `);
});

test('PostgreSQL 18 with the volume where older ones had it: the volume holds nothing of the data', () => {
  expect(
    plan({
      services: [
        [
          db,
          seen([volume('db', '/var/lib/postgresql/data'), anonymous('/var/lib/postgresql')], {
            environment: PG18,
            imageVolumes: ['/var/lib/postgresql'],
            databases: ['shop'],
          }),
        ],
      ],
    }).warnings,
  ).toMatchInlineSnapshot(`
    [
      "db: PostgreSQL keeps its data in /var/lib/postgresql/18/docker, and shop_db at /var/lib/postgresql/data holds nothing of it: it is lost with its container. Mount it at /var/lib/postgresql",
    ]
  `);
});

test.each<[string, World, string]>([
  [
    'an anonymous volume',
    { services: [[web, seen([anonymous('/cache')])]] },
    'web: /cache is an anonymous volume: it is not saved, and a new container may begin with an empty one; give it a name in the compose file',
  ],
  [
    'a database without a volume of its own',
    { services: [[service('db', { image: 'mariadb:11' }), seen([anonymous('/var/lib/mysql')], { databases: ['shop'] })]] },
    'db: no named volume holds /var/lib/mysql, where MySQL or MariaDB keeps its data: it is lost with its container',
  ],
  [
    'a database that does not run',
    {
      services: [
        [db, seen([volume('db', '/var/lib/postgresql')], { environment: PG18, state: 'exited', fault: 'its container is exited' })],
      ],
    },
    'db: PostgreSQL cannot be dumped now, and the backup will fail: its container is exited',
  ],
  [
    'raw files of a database that runs',
    {
      services: [
        [
          service('db', { image: 'postgres:18', ...backup({ type: 'files' }) }),
          seen([volume('db', '/var/lib/postgresql')], { environment: PG18 }),
        ],
      ],
    },
    'db: PostgreSQL writes while its raw files are read, and such a copy may not start; set x-backup.consistency: stop',
  ],
  [
    'a bind mount that is not there',
    { services: [[web, seen([bind('/mnt/photos', '/photos')])]], folders: { '/mnt/photos': { kind: 'missing', files: 0 } } },
    'web: /mnt/photos is mounted at /photos and does not exist; the backup will fail',
  ],
  [
    'a disk that /etc/fstab has and nobody mounted',
    { services: [[web, seen([bind('/mnt/photos', '/photos')])]], folders: { '/mnt/photos': { unmounted: '/mnt' } } },
    'web: /mnt is in /etc/fstab and not mounted, and /mnt/photos belongs to it; the backup will fail',
  ],
  [
    'a project under another name than before',
    {
      services: [[web, seen([volume('uploads', '/data')])]],
      observed: { strays: [{ key: 'uploads', wanted: 'shop_uploads', volume: 'old-shop_uploads', project: 'old-shop' }] },
    },
    'volume shop_uploads is empty or does not exist, but old-shop_uploads of the project “old-shop” has the same name in its compose file: does this project use another name than before?',
  ],
  [
    'a service of another profile',
    { services: [[web, seen([])]], observed: { unread: ['reports'] } },
    'reports has a container and is not in the compose files as they are read now, so nothing of it is saved: does it belong to another profile?',
  ],
  [
    'a pattern that is below no mount',
    { services: [[service('web', backup({ exclude: ['/var/cache', '/data/tmp'] })), seen([volume('uploads', '/data')])]] },
    'web: x-backup.exclude “/var/cache” is a path in the container below none of its mounts',
  ],
  [
    'a large build context',
    { services: [[web, seen([])]], observed: { project: { files: [], largeContexts: [{ service: 'web', folder: '/srv/shop/web' }] } } },
    'web: the build context /srv/shop/web is larger than 64 MiB or has more than 10000 files and is not saved; keep it in Git',
  ],
])('%s is worth a warning', (_title, world, warning) => {
  expect(plan(world).warnings).toEqual([warning]);
});

test.each<[string, World, Partial<PlannedStore>[]]>([
  [
    'patterns with a slash in front are paths in the container',
    {
      services: [
        [
          service('web', backup({ exclude: ['*.tmp', '/data/cache', '!/data/cache/keep', '/other/x'] })),
          seen([volume('uploads', '/data')]),
        ],
      ],
    },
    [{ id: 'web/files/uploads', exclude: ['*.tmp', '/cache', '!/cache/keep'] } as Partial<PlannedStore>],
  ],
  [
    'raw files and the repository inside a bound folder stay out of it',
    {
      services: [
        [web, seen([bind('/srv/data', '/data')])],
        [db, seen([bind('/srv/data/pg[1]', '/var/lib/postgresql')], { environment: PG18, databases: [] })],
      ],
      settings: { settings: { ...project().settings, backup: { repository: '/srv/data/restic', timezone: 'UTC', keep: {}, secrets: [] } } },
    },
    [{ id: 'web/files//data', exclude: ['/pg\\[1]', '/restic'], mayBeEmpty: true } as Partial<PlannedStore>],
  ],
  [
    'a folder inside another that is saved is saved once',
    { services: [[web, seen([bind('/srv/data', '/data'), bind('/srv/data/photos', '/photos')])]] },
    [{ id: 'web/files//data' }],
  ],
  [
    'a volume of several services is saved once, by the settings of the one that has some',
    {
      services: [
        [web, seen([volume('uploads', '/u', { writable: false })])],
        [service('mail', backup({ consistency: 'stop', empty: true })), seen([volume('uploads', '/m')])],
        [service('jobs', backup({ skip: true })), seen([volume('uploads', '/j')])],
      ],
    },
    [{ id: 'mail/files/uploads', consistency: 'stop', mayBeEmpty: true, users: ['mail', 'jobs'] } as Partial<PlannedStore>],
  ],
])('%s', (_title, world, expected) => {
  expect(files(world)).toMatchObject(expected);
  expect(files(world)).toHaveLength(expected.length);
});

test('a single mounted file goes with the project, however large', () => {
  const world: World = {
    services: [[web, seen([bind('/srv/models/large.bin', '/model.bin'), bind('/srv/shop/app.db', '/app.db')])]],
    folders: { '/srv/models/large.bin': { kind: 'file' }, '/srv/shop/app.db': { kind: 'file', databases: [''] } },
  };
  expect(plan(world).stores).toMatchObject([
    { kind: 'project', files: ['/srv/models/large.bin', '/srv/shop/app.db', '/srv/shop/compose.yaml'] },
  ]);
  expect(plan(world).warnings).toEqual([
    'web: the SQLite database /srv/shop/app.db is mounted as a single file, and what SQLite writes beside it at /app.db is lost with the container; mount its folder',
  ]);
});

test('a project file that lies in a saved folder is saved with the project too: a rebuild needs it before any data', () => {
  const { stores } = plan({
    services: [[web, seen([bind('/srv/shop', '/app')])]],
    files: ['/srv/shop/secrets.age.yaml', '/etc/shop/key.pem'],
  });
  expect(stores[0]).toMatchObject({
    kind: 'project',
    files: ['/etc/shop/key.pem', '/srv/shop/compose.yaml', '/srv/shop/secrets.age.yaml'],
  });
});

test('what belongs to a server is dumped with its databases, where it may be read', () => {
  const ids = (closed: ObservedService['closed']): string[] =>
    plan({
      services: [
        [service('db', { image: 'mysql:9' }), seen([volume('db', '/var/lib/mysql')], { databases: ['shop'], closed: closed ?? [] })],
      ],
    }).stores.map(({ id }) => id);
  expect(ids([])).toEqual(['project', 'db/mysql-accounts', 'db/mysql/shop']);
  expect(ids(['mysql-accounts'])).toEqual(['project', 'db/mysql/shop']);
});

test('an image made from a database’s is known by what it says of itself, a client with the same variables is not', () => {
  const own = service('own', { image: 'registry.example.com/team/our-db:3' });
  const traits = { environment: { PG_MAJOR: '17', PGDATA: '/var/lib/postgresql/data' }, databases: ['shop'] };
  const ids = (imageVolumes: string[]): string[] =>
    plan({ services: [[own, seen([volume('db', '/var/lib/postgresql/data')], { ...traits, imageVolumes })]] }).stores.map(({ id }) => id);
  expect(ids(['/var/lib/postgresql/data'])).toEqual(['project', 'own/postgres-roles', 'own/postgres/shop']);
  expect(ids([])).toEqual(['project', 'own/files/db']);
});
