import { mkdir, readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect, test } from 'vitest';
import { observeStores } from '../../src/backup/discover/observe.ts';
import { planBackup } from '../../src/backup/discover/plan.ts';
import { printBackupPlan } from '../../src/backup/discover/print.ts';
import { folderFacts } from '../../src/backup/files/facts.ts';
import type { ProjectRecord } from '../../src/backup/files/project.ts';
import { databaseFacts } from '../../src/backup/files/sqlite.ts';
import type { BackupPlan, BackupWorld, PlannedStore, SavedStore } from '../../src/backup/model.ts';
import { isMade, saveMade } from '../../src/backup/save-made.ts';
import { saveStore } from '../../src/backup/save-store.ts';
import { openDocker } from '../../src/docker/api.ts';
import { loadProject } from '../../src/project/load.ts';
import { testRepository } from '../support/restic.ts';
import { type ScenarioProject, withProject } from '../support/scenario.ts';

const COMPOSE = (host: string): string => `
services:
  db:
    image: postgres:18-alpine
    environment: {POSTGRES_USER: shop, POSTGRES_PASSWORD: for tests only, POSTGRES_DB: shop}
    volumes: ["db:/var/lib/postgresql/data"]
    healthcheck: {test: [CMD, pg_isready, -U, shop, -h, 127.0.0.1], interval: 5s, retries: 100, start_period: 60s, start_interval: 300ms}
  cache:
    image: redis:8-alpine
  web:
    image: busybox:1
    command: sleep 3600
    init: true
    env_file: [web.env]
    volumes:
      - uploads:/uploads
      - ./data:/data
      - ./conf:/conf:ro
      - /cache
      - ./single.db:/single.db
      - /var/run/docker.sock:/var/run/docker.sock
    x-backup: {exclude: ["*.tmp", /data/cache]}
    x-edge: {host: ${host}, port: 80, tls: acme}
    depends_on: {db: {condition: service_healthy}}
  worker:
    image: busybox:1
    build: {context: worker}
    command: sleep 3600
    init: true
    volumes: ["uploads:/in:ro", "later:/later"]
    secrets: [key]
volumes: {db: {}, uploads: {}, later: {}}
secrets: {key: {file: ./key.txt}}
x-composure: {edge: {acme: {email: ops@example.com}}}
`;

async function worldOf(p: ScenarioProject): Promise<BackupWorld> {
  return {
    project: await loadProject({ cwd: p.folder, environment: p.env }),
    docker: openDocker(),
    stateFolder: p.state,
    secrets: {},
    report: () => {},
    signal: new AbortController().signal,
    version: '0.0.0',
    host: 'here',
  };
}

const planned = async (world: BackupWorld): Promise<BackupPlan> => planBackup(world.project, await observeStores(world));

test('what a project has to save is found; each store is saved, and comes back as it was', async () => {
  const repository = await testRepository();
  const files = ({ host }: { host: string }) => ({
    'compose.yaml': COMPOSE(host),
    '.env': 'GREETING=hello\n',
    'web.env': 'A=1\n',
    'key.txt': 'secret',
    'conf/app.conf': 'x',
    'worker/Dockerfile': 'FROM busybox:1\n',
    'worker/src/main.sh': 'true\n',
    'data/a.txt': 'a',
    'data/cache/b.txt': 'b',
    'data/c.tmp': 'c',
  });
  try {
    await withProject('backup discover', { files }, async (p) => {
      const single = new DatabaseSync(join(p.folder, 'single.db'));
      single.exec('PRAGMA journal_mode = wal; CREATE TABLE t (n int); INSERT INTO t VALUES (1), (2), (3)');
      expect(await p.compose(['up', '-d', '--wait', '--no-build'])).toMatchObject({ code: 0 });
      const [web, db] = [`${p.name}-web-1`, `${p.name}-db-1`];
      const sql = 'CREATE ROLE readers; CREATE TABLE orders (n int); INSERT INTO orders SELECT generate_series(1, 7)';
      expect(await p.docker(['exec', db, 'psql', '-U', 'shop', '-v', 'ON_ERROR_STOP=1', '-qc', sql])).toMatchObject({ code: 0 });
      expect(await p.docker(['exec', web, 'sh', '-c', 'echo photo >/uploads/photo.jpg; echo x >/uploads/y.tmp'])).toMatchObject({
        code: 0,
      });
      const uploads = (await openDocker().findVolume(`${p.name}_uploads`))?.Mountpoint ?? '';
      const database = new DatabaseSync(join(uploads, 'app.db'));
      database.exec('PRAGMA journal_mode = wal; CREATE TABLE users (n int); INSERT INTO users VALUES (1), (2)');
      await mkdir(join(p.state, 'edge/certs'), { recursive: true });
      await p.write(`../${p.name}.state/edge/certs/${p.host}.pem`, 'CERTIFICATE AND KEY');
      const world = await worldOf(p);
      const plan = await planned(world);
      const text = printBackupPlan('shop', plan)
        .replaceAll(p.folder, 'FOLDER')
        .replaceAll(p.name, 'shop')
        .replace(/ {2,}\(/g, '  (');
      expect(text).toMatchInlineSnapshot(`
        "Backup of shop: 8 stores

          project             8 files  (compose and env files, resolved model, images, certificates)
          cache/redis         dump  (image redis:8-alpine)
          db/postgres-roles   dump the roles  (they belong to the server and are in no database’s dump)
          db/postgres/shop    dump shop  (image postgres:18-alpine)
          web/sqlite/uploads  copy app.db  (each as it is at one moment)
          web/files/uploads   5 files, 48.1 KiB  (volume shop_uploads)
          web/files//data     3 files, 3 B  (bind mount FOLDER/data)
          worker/files/later  0 files, 0 B  (volume shop_later)

        Not saved:
          - /var/run/docker.sock (web:/var/run/docker.sock): belongs to the machine
          - volume shop_db (db:/var/lib/postgresql/data): raw files of PostgreSQL; its dump holds what is in them
          - FOLDER/conf (web:/conf): only read: saved with the project
          - FOLDER/single.db (web:/single.db): a single file: saved with the project

        Worth knowing:
          - db: PostgreSQL keeps its data in /var/lib/postgresql/18/docker, and shop_db at /var/lib/postgresql/data holds nothing of it: it is lost with its container. Mount it at /var/lib/postgresql
          - web: /cache is an anonymous volume: it is not saved, and a new container may begin with an empty one; give it a name in the compose file
          - web: the SQLite database FOLDER/single.db is mounted as a single file, and what SQLite writes beside it at /single.db is lost with the container; mount its folder
        "
      `);

      const saved = new Map<string, SavedStore>();
      const save = (store: PlannedStore) =>
        saveStore(world, repository.restic, store, { tags: ['composure', `store=${store.id}`], scratch: repository.scratch, host: 'here' });
      const made = plan.stores.filter(isMade);
      for (const store of await saveMade(world, repository.restic, made, {
        tags: ['composure'],
        scratch: repository.scratch,
        host: 'here',
      }))
        saved.set(store.id, store);
      for (const store of plan.stores.filter(({ name }) => name !== 'later'))
        if (!saved.has(store.id)) saved.set(store.id, await save(store));
      database.close();
      single.close();
      const later = plan.stores.find(({ name }) => name === 'later') as PlannedStore;
      await expect(save(later)).rejects.toMatchObject({
        code: 'BACKUP_FAILED',
        message: `worker/files/later: the volume ${p.name}_later holds no file`,
      });
      const facts = (id: string) => saved.get(id)?.facts;
      expect(facts('db/postgres/shop')).toEqual({ kind: 'tables', tables: [{ name: 'public.orders', rows: 7 }] });
      expect(facts('db/postgres-roles')).toEqual({ kind: 'roles', names: ['readers', 'shop'] });
      expect(facts('cache/redis')).toEqual({ kind: 'keys', keys: 0, expiring: 0 });
      expect(facts('web/sqlite/uploads')).toEqual({ kind: 'tables', tables: [{ name: 'app.db/users', rows: 2 }] });
      expect(facts('web/files/uploads')).toMatchObject({ files: 1, bytes: 6 });
      expect(facts('web/files//data')).toMatchObject({ files: 1, bytes: 1, mountPoint: expect.any(String) });

      const restored = async (id: string): Promise<string> => repository.restore(saved.get(id)?.snapshot ?? '', saved.get(id)?.path);
      expect(await databaseFacts(await restored('web/sqlite/uploads'), 'x')).toEqual(facts('web/sqlite/uploads'));
      expect(await readdir(await restored('web/files/uploads'))).toEqual(['photo.jpg']);
      await checkProject(p, await restored('project'), saved.get('project') as SavedStore);
      expect((await readdir(repository.scratch)).filter((name) => /^(made|pipe|empty)-/.test(name))).toEqual([]);

      await otherName(p);
      // A database that does not run fails the backup, however good the plan was.
      expect(await p.compose(['stop', 'db'])).toMatchObject({ code: 0 });
      const stopped = await planned(world);
      expect(stopped.warnings).toContain('db: PostgreSQL cannot be dumped now, and the backup will fail: its container is exited');
      const dump = stopped.stores.find(({ kind }) => kind === 'postgres') as PlannedStore;
      await expect(save(dump)).rejects.toMatchObject({
        code: 'BACKUP_FAILED',
        message: 'db/postgres: db has no running container, so its PostgreSQL cannot be dumped',
      });
    });
  } finally {
    await repository.remove();
  }
});

async function checkProject(p: ScenarioProject, folder: string, saved: SavedStore): Promise<void> {
  expect(await folderFacts(folder)).toEqual(saved.facts);
  const record = JSON.parse(await readFile(join(folder, 'project.json'), 'utf8')) as ProjectRecord;
  expect(record).toMatchObject({
    version: 1,
    name: p.name,
    folder: p.folder,
    composeFiles: [join(p.folder, 'compose.yaml')],
    hosts: [p.host],
  });
  const names = ['.env', 'compose.yaml', 'conf/app.conf', 'key.txt', 'single.db', 'web.env', 'worker/Dockerfile', 'worker/src/main.sh'];
  expect(record.files.map(({ path }) => path)).toEqual(names.map((name) => `files/${name}`));
  for (const { path, original } of record.files.filter(({ path }) => path !== 'files/single.db'))
    expect(await readFile(join(folder, path))).toEqual(await readFile(original));
  // Its rows were still beside it, where a copy of the file would have missed them.
  expect(await databaseFacts(join(folder, 'files'), 'x')).toEqual({ kind: 'tables', tables: [{ name: 'single.db/t', rows: 3 }] });
  expect(await readFile(join(folder, `edge/certs/${p.host}.pem`), 'utf8')).toBe('CERTIFICATE AND KEY');
  const images = JSON.parse(await readFile(join(folder, 'images.json'), 'utf8'));
  const { Id, RepoDigests } = (await openDocker().findImage('postgres:18-alpine')) ?? { Id: '', RepoDigests: null };
  expect(images.db).toEqual({ reference: 'postgres:18-alpine', id: Id, digest: RepoDigests?.[0] });
  // The resolved model is a compose file by itself, for its owner alone.
  expect((await stat(join(folder, 'compose.resolved.yaml'))).mode & 0o777).toBe(0o600);
  expect(await p.docker(['compose', '-f', join(folder, 'compose.resolved.yaml'), 'config', '-q'])).toMatchObject({ code: 0, stderr: '' });
}

/** The same files under another project name have volumes of their own, which are empty. */
async function otherName(p: ScenarioProject): Promise<void> {
  const world = await worldOf(p);
  const other = await loadProject({ cwd: p.folder, projectName: `${p.name}2`, environment: p.env });
  const plan = await planned({ ...world, project: other });
  expect(plan.warnings).toContain(
    `volume ${p.name}2_uploads is empty or does not exist, but ${p.name}_uploads of the project “${p.name}” has the same name in its compose file: does this project use another name than before?`,
  );
  expect(plan.leftOut).toContainEqual({ what: `volume ${p.name}2_uploads`, why: 'does not exist yet' });
}
