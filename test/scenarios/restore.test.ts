import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openDocker } from '../../src/docker/api.ts';
import { run } from '../../src/kit/spawn.ts';
import { type ScenarioProject, withProject } from '../support/scenario.ts';
import { running, serving, succeeds } from '../support/stacks.ts';

/** A server, an application that uses it and has a volume and a folder, and a service that has nothing to do with either. */
const COMPOSE = (repository: string): string => `
services:
  db:
    image: postgres:18-alpine
    environment: {POSTGRES_PASSWORD: for tests only}
    volumes: [db:/var/lib/postgresql]
    healthcheck: {test: [CMD, pg_isready, -q, -h, 127.0.0.1], interval: 5s, retries: 60, start_period: 60s, start_interval: 300ms}
  app:
    image: busybox:1
    command: [sleep, infinity]
    stop_signal: SIGKILL
    environment: {DATABASE_URL: "postgres://db/app"}
    volumes: [uploads:/data, ./shared:/shared]
  other:
    image: busybox:1
    command: [sleep, infinity]
    stop_signal: SIGKILL
volumes: {db: {}, uploads: {}}
x-composure: {backup: {repository: ${repository}}}
`;

const docker = openDocker();
let p: ScenarioProject;
let repository = '';
/** Two sets: the rows 1 to 1000 and the file "one"; then 2000 rows and "two". */
let sets: string[] = [];
let end: () => void = () => {};
let ended: Promise<void> = Promise.resolve();

beforeAll(async () => {
  p = await new Promise<ScenarioProject>((resolve, reject) => {
    const options = {
      files: (facts: { state: string }) => ({ 'compose.yaml': COMPOSE(`${facts.state}.repository`), 'shared/note': 'one\n' }),
      env: { RESTIC_PASSWORD: 'for tests only' },
    };
    ended = withProject('restore', options, (project) => {
      resolve(project);
      return new Promise<void>((done) => {
        end = done;
      });
    });
    ended.catch(reject);
  });
  repository = `${p.state}.repository`;
  succeeds(await p.compose(['up', '-d', '--wait']));
  await sql('CREATE TABLE orders AS SELECT g AS id FROM generate_series(1, 1000) g; CREATE ROLE reader');
  await inApp('echo one > /data/file; chown -R 1234:1234 /data; chmod 750 /data');
  succeeds(await p.composure(['backup', 'init', '--yes']));
  const first = await backup();
  await sql('INSERT INTO orders SELECT generate_series(1001, 2000)');
  await inApp('echo two > /data/file; echo two > /shared/note; touch /data/added');
  sets = [first, await backup()];
}, 240_000);
afterAll(async () => {
  end();
  await ended;
  await rm(repository, { recursive: true, force: true });
}, 60_000);

const lastLine = (text: string): Record<string, unknown> => JSON.parse(text.trim().split('\n').at(-1) ?? '') as Record<string, unknown>;
const backup = async (): Promise<string> => String(lastLine(succeeds(await p.composure(['backup', 'run', '--json'])).out).set);
const restore = (...args: string[]) => p.composure(['backup', 'restore', ...args]);

async function sql(text: string): Promise<string> {
  const [container = ''] = await running(p, 'db');
  return succeeds(
    await p.docker(['exec', container, 'psql', '-U', 'postgres', '-h', '127.0.0.1', '-v', 'ON_ERROR_STOP=1', '-AtXqc', text]),
  ).stdout.trim();
}

async function inApp(script: string): Promise<string> {
  const [container = ''] = await running(p, 'app');
  return succeeds(await p.docker(['exec', container, 'sh', '-c', script])).stdout.trim();
}

const rows = () => sql('SELECT count(*) FROM orders');
const files = () => inApp('cat /data/file /shared/note; ls /data; stat -c "%u %a" /data /data/file');
const ofSet = { one: 'one\none\nfile\n1234 750\n1234 644', two: 'two\ntwo\nadded\nfile\n1234 750\n1234 644' };

/** Volumes and folders beyond the project's own. */
async function besides(): Promise<string[]> {
  const volumes = (await docker.listVolumes())
    .map(({ Name }) => Name)
    .filter((name) => name.startsWith(p.name) && !/_(db|uploads)$/.test(name));
  return [...volumes, ...(await readdir(p.folder)).filter((name) => !['shared', 'compose.yaml'].includes(name))];
}

async function dropKept(): Promise<void> {
  for (const name of await besides()) {
    if (existsSync(join(p.folder, name))) await rm(join(p.folder, name), { recursive: true });
    else await docker.removeVolume(name);
  }
}

test('without a terminal and --yes it refuses, and what is declined touches nothing', async () => {
  const before = await serving(p);
  expect(await restore()).toMatchObject({ code: 9, err: expect.stringContaining('CONFIRMATION_NEEDED') });
  expect(await p.composure(['backup', 'restore'], { isTTY: true, input: 'n' })).toMatchObject({
    code: 9,
    out: expect.stringContaining('Replaced as a whole'),
    err: expect.stringContaining('not confirmed; nothing was touched'),
  });
  expect(await serving(p)).toEqual(before);
  expect(await besides()).toEqual([]);
  expect(await rows()).toBe('2000');
  expect((lastLine((await p.composure(['backup', 'list', '--json'])).out).sets as unknown[]).length).toBe(2);
});

test('between two sets the older one is meant, and before the first there is none', async () => {
  const list = lastLine((await p.composure(['backup', 'list', '--json'])).out).sets as { set: string; at: string }[];
  const [newer, older] = list.map(({ at }) => Date.parse(at));
  const between = new Date(((newer ?? 0) + (older ?? 0)) / 2).toISOString();
  const plan = async (...args: string[]) =>
    (lastLine(succeeds(await restore('--dry-run', '--json', ...args)).out).plan as { set: string }).set;
  expect(await plan('--at', between)).toBe(sets[0]);
  expect(await plan()).toBe(sets[1]);
  expect(await plan('--set', sets[0] ?? '')).toBe(sets[0]);
  expect(await restore('--dry-run', '--at', '2020-01-01')).toMatchObject({
    code: 3,
    err: expect.stringContaining('no backup is as old as 2020-01-01'),
  });
});

test.each([
  ['a store', 'app/files/uploads', ['files of app at /data']],
  ['a service', 'app', ['files of app at /data', 'files of app at /shared']],
  ['a volume by its name in the file', 'uploads', ['files of app at /data']],
  ['a path in the container', '/shared', ['files of app at /shared']],
  ['the only database of a server', 'db/postgres/postgres', ['PostgreSQL of db']],
])('--only names %s', async (_title, name, titles) => {
  const { plan } = lastLine(succeeds(await restore('--dry-run', '--json', '--only', name)).out) as { plan: { units: { title: string }[] } };
  expect(plan.units.map(({ title }) => title)).toEqual(titles);
});

test('a name that the set does not know lists what there is', async () => {
  const { code, err } = await restore('--dry-run', '--only', 'cache');
  expect(code).toBe(3);
  expect(err).toContain('has nothing that is called cache');
  for (const line of [
    '| db/postgres/postgres',
    `| app/files/uploads  volume ${p.name}_uploads, at /data`,
    '| project  the project’s own files',
  ])
    expect(err).toContain(line);
  expect(await restore('--dry-run', '--only', 'project')).toMatchObject({
    code: 3,
    err: expect.stringContaining('--only project --to FOLDER'),
  });
});

test('exactly what the plan names is replaced; a safety set holds what was there, and takes the restore back', {
  timeout: 240_000,
}, async () => {
  const before = await serving(p);
  const done = succeeds(await restore('--set', sets[0] ?? '', '--only', 'app', '--yes', '--json'));
  expect(await files()).toBe(ofSet.one);
  expect(await rows()).toBe('2000');
  const after = await serving(p);
  for (const service of ['db', 'other']) for (const id of await running(p, service)) expect(after[id]).toBe(before[id]);
  const { safety, kept } = lastLine(done.out) as { safety: string[]; kept: string[] };
  expect(kept).toHaveLength(2);
  expect((await besides()).sort()).toEqual(kept.map((what) => what.replace(/^volume /, '').replace(`${p.folder}/`, '')).sort());
  succeeds(await restore('--set', safety[0] ?? '', '--yes'));
  expect(await files()).toBe(ofSet.two);
  await dropKept();
  expect((await p.composure(['backup', 'list'])).out).toContain('before a restore');
});

test('a database that no longer answers is replaced, and its raw files are saved first', { timeout: 240_000 }, async () => {
  const broken = (await docker.findVolume(`${p.name}_db`))?.Mountpoint ?? '';
  const [container = ''] = await running(p, 'db');
  await docker.killContainer(container, 'KILL');
  await rm(join(broken, '18/docker/global/pg_control'));
  await docker.startContainer(container);
  const done = succeeds(await restore('--only', 'db', '--set', sets[0] ?? '', '--yes', '--json'));
  expect(await rows()).toBe('1000');
  expect(await sql("SELECT count(*) FROM pg_roles WHERE rolname = 'reader'")).toBe('1');
  const [safety = ''] = (lastLine(done.out) as { safety: string[] }).safety;
  const to = join(p.folder, 'raw');
  succeeds(await restore('--set', safety, '--only', 'db', '--to', to));
  expect(await readFile(join(to, 'db/files', `${p.name}_db`, '18/docker/PG_VERSION'), 'utf8')).toBe('18\n');
  await dropKept();
});

test('another project gets new volumes, and the first one is left alone', { timeout: 240_000 }, async () => {
  const before = { serving: await serving(p), files: await files() };
  const name = `${p.name}-copy`;
  try {
    succeeds(await restore('--to', name, '--set', sets[0] ?? '', '--yes'));
    const volumes = (await docker.listVolumes()).filter(({ Name }) => Name.startsWith(name));
    expect(volumes.map(({ Name }) => Name).sort()).toEqual([`${name}_db`, `${name}_uploads`]);
    const uploads = volumes.find(({ Name }) => Name.endsWith('_uploads'));
    expect(await readFile(join(uploads?.Mountpoint ?? '', 'file'), 'utf8')).toBe('one\n');
    expect({ serving: await serving(p), files: await files() }).toEqual(before);
    expect(await restore('--to', name, '--yes')).toMatchObject({
      code: 3,
      err: expect.stringContaining(`there is something of a project ${name} already`),
    });
  } finally {
    for (const { Name } of await docker.listVolumes()) if (Name.startsWith(name)) await docker.removeVolume(Name);
  }
});

test('a folder gets dumps and files; one that is not empty is refused', async () => {
  const to = join(p.folder, 'out');
  const listed = lastLine(
    succeeds(await restore('--to', './out', '--only', 'app', '--only', 'project', '--set', sets[0] ?? '', '--json')).out,
  );
  expect(listed.stores).toHaveLength(3);
  expect(await readFile(join(to, 'app/files/uploads/file'), 'utf8')).toBe('one\n');
  expect(await readFile(join(to, 'project/files/compose.yaml'), 'utf8')).toBe(await p.read('compose.yaml'));
  expect(await readFile(join(to, 'README.md'), 'utf8')).toContain('app/files/uploads');
  expect(await restore('--to', './out')).toMatchObject({ code: 3, err: expect.stringContaining('is not empty') });
  await rm(to, { recursive: true });
});

test('an export is read by tar and zstd, and its dump by pg_restore', async () => {
  const out = join(p.folder, 'set.tar.zst');
  const exported = lastLine(succeeds(await p.composure(['backup', 'export', '--set', sets[0] ?? '', '--out', out, '--json'])).out);
  expect(exported).toMatchObject({ file: out, written: true, bytes: (await stat(out)).size });
  const into = join(p.folder, 'read');
  await mkdir(into);
  succeeds(await run('tar', ['--extract', '--zstd', '--numeric-owner', '--file', out, '--directory', into]));
  const top = join(into, `${p.name}-${sets[0]}`);
  expect((await readdir(top)).sort()).toEqual(['README.md', 'app', 'db', 'manifest.json', 'project']);
  expect(await readFile(join(top, 'app/files/uploads/file'), 'utf8')).toBe('one\n');
  const [container = ''] = await running(p, 'db');
  succeeds(await run('docker', ['cp', join(top, 'db/postgres/postgres.dump'), `${container}:/tmp/dump`]));
  const loaded = succeeds(await p.docker(['exec', container, 'pg_restore', '--data-only', '--file', '-', '/tmp/dump'])).stdout;
  expect(loaded.split('\n').filter((line) => /^\d+$/.test(line))).toHaveLength(1000);
  expect(await p.composure(['backup', 'export', '--set', sets[0] ?? '', '--out', out])).toMatchObject({
    code: 2,
    err: expect.stringContaining('there is a file of that name already'),
  });
  await rm(out);
  await rm(into, { recursive: true });
});
