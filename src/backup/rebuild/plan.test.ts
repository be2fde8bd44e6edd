import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { ProjectRecord } from '../files/project.ts';
import type { BackupSet } from '../model.ts';
import { manifest, origin, store } from '../restore/fixtures.ts';
import { makeFolder, placeFiles, placeIdentity, type Undo } from './files.ts';
import { chooseProject, planRebuild } from './plan.ts';
import { printRebuild, printTimes } from './print.ts';

const record: ProjectRecord = {
  version: 1,
  name: 'shop',
  folder: '/srv/shop',
  composeArgs: [],
  composeFiles: ['/srv/shop/compose.yaml'],
  profiles: [],
  hosts: ['shop.example.com'],
  files: ['files/compose.yaml', 'files/secrets.age.yaml', 'outside/etc/shop/extra.yaml'].map((path) => ({ path, original: path })),
};
const set = manifest([
  store('project'),
  store('db/postgres/shop'),
  store('app/files/uploads', { origin: origin('/data', { volume: 'shop_uploads' }), contentAt: '2026-11-24T05:59:00.000Z' }),
  store('app/files//shared', { origin: origin('/shared', { folder: '/srv/shop/shared' }) }),
]);
const volumes = { volumes: { pg: { name: 'shop_pg', external: false }, shared: { name: 'elsewhere', external: true } } };

test('the plan says what is written where', () => {
  expect(
    printRebuild(planRebuild(set, record, volumes, undefined), Date.parse('2026-11-24T06:29:00.000Z')),
  ).toBe(`Rebuild shop on this machine from set 20261124T060000Z-ab12
  saved 2026-11-24 06:00:20 UTC on vps1; its oldest data is of 2026-11-24 05:59:00 UTC, 30 min ago

Steps
  1  write 3 files of the project to /srv/shop
       and /etc/shop/extra.yaml
     and the certificates of shop.example.com
     its secrets stay encrypted; this machine’s identity opens them
  2  have the images of 2 services, as they ran
       db: postgres:18 (sha256:0123456789ab)
       app: shop/app:7
  3  restore 3 KiB and compare with what was counted
       db/postgres/shop (1 KiB) into the data of db
       app/files/uploads (1 KiB) into volume shop_uploads
       app/files//shared (1 KiB) into /srv/shop/shared
  4  release it: containers, routes, certificates

Nothing that is here is written over: where anything of it exists, nothing is begun.
`);
});

test('in another folder the project’s own files and folders move along, and nothing else', () => {
  const plan = planRebuild(set, record, volumes, '/home/shop');
  expect(plan.files.map(({ to }) => to)).toEqual(['/home/shop/compose.yaml', '/home/shop/secrets.age.yaml', '/etc/shop/extra.yaml']);
  expect(plan.folders).toEqual(['/home/shop/shared']);
  expect(plan.volumes).toEqual(['shop_pg']);
});

test.each(['files/../../etc/passwd', '../evil', 'files/a//b', 'files', 'edge/certs/x.pem', '/etc/passwd', 'outside/../x'])(
  'a file of the set called %s is refused',
  (path) => {
    expect(() => planRebuild(set, { ...record, files: [{ path, original: path }] }, volumes, undefined)).toThrow(
      'a file of the set leads out of its place',
    );
  },
);

test('which project is meant has to be clear', () => {
  const sets = (...names: string[]) => names.map((project) => ({ project, complete: true }) as BackupSet);
  expect(chooseProject(sets('shop', 'shop'), undefined)).toBe('shop');
  expect(chooseProject(sets('shop', 'blog'), 'blog')).toBe('blog');
  expect(() => chooseProject(sets('shop', 'blog'), undefined)).toThrow('the repository has backups of 2 projects');
  expect(() => chooseProject(sets('shop'), 'blog')).toThrow('the repository has no backup of a project blog');
  expect(() => chooseProject([{ project: 'shop', complete: false } as BackupSet], undefined)).toThrow('the repository has no backup');
});

test('times are printed in a column with their sum', () => {
  expect(
    printTimes([
      { step: 'files', ms: 900 },
      { step: 'data', ms: 65_000 },
    ]),
  ).toBe(`  files       900 ms\n  data    1 min 05 s\n  in all  1 min 06 s`);
});

let top = '';
let undo: Undo = [];
beforeEach(async () => {
  top = await mkdtemp(join(tmpdir(), 'composure-rebuild-'));
  undo = [];
});
afterEach(() => rm(top, { recursive: true, force: true }));

const goBack = async () => {
  for (const back of undo.reverse()) await back();
};

test('files come with their mode, never over others, and are gone again after a failure', async () => {
  const from = join(top, 'from');
  await mkdir(join(from, 'files'), { recursive: true });
  await writeFile(join(from, 'files/a'), 'new');
  await chmod(join(from, 'files/a'), 0o640);
  await symlink('/etc/passwd', join(from, 'files/link'));
  const to = join(top, 'x/y/a');
  await placeFiles(from, [{ from: 'files/a', to }], undo);
  expect([await readFile(to, 'utf8'), (await stat(to)).mode & 0o777]).toEqual(['new', 0o640]);
  await writeFile(join(top, 'own'), 'mine');
  await expect(placeFiles(from, [{ from: 'files/a', to: join(top, 'own') }], undo)).rejects.toThrow();
  expect(await readFile(join(top, 'own'), 'utf8')).toBe('mine');
  await expect(placeFiles(from, [{ from: 'files/link', to: join(top, 'z') }], undo)).rejects.toThrow('the set lacks the file');
  await goBack();
  expect((await readdir(top)).sort()).toEqual(['from', 'own']);
});

test('folders that were made go again where they are empty, and only those', async () => {
  await mkdir(join(top, 'a'));
  await makeFolder(join(top, 'a/b/c'), undo);
  await writeFile(join(top, 'a/b/file'), '');
  await goBack();
  expect(await readdir(join(top, 'a'))).toEqual(['b']);
  expect(await readdir(join(top, 'a/b'))).toEqual(['file']);
});

test('keys of the kit are added to an identity that is there, once, and taken away again', async () => {
  const file = join(top, 'identity');
  await writeFile(file, '# mine\nAGE-SECRET-KEY-1A\n');
  await placeIdentity(file, ['AGE-SECRET-KEY-1A', 'AGE-SECRET-KEY-1B'], undo);
  await placeIdentity(file, ['AGE-SECRET-KEY-1B'], undo);
  const keys = (await readFile(file, 'utf8')).split('\n').filter((line) => line.startsWith('AGE'));
  expect(keys).toEqual(['AGE-SECRET-KEY-1A', 'AGE-SECRET-KEY-1B']);
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  await goBack();
  expect(await readFile(file, 'utf8')).toBe('# mine\nAGE-SECRET-KEY-1A\n');
});
