import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../../../test/support/eventually.ts';
import { allCommandLines, type Process, processOf } from '../../../test/support/processes.ts';
import { type RestServer, startRestServer } from '../../../test/support/rest-server.ts';
import { type S3, startS3 } from '../../../test/support/s3.ts';
import { type Sftp, startSftp } from '../../../test/support/sftp.ts';
import { pathWithoutRestic } from '../../../test/support/without-restic.ts';
import { OURS } from '../../docker/labels.ts';
import { run } from '../../kit/spawn.ts';
import type { BackupSettings } from '../../project/model.ts';
import { createRepository, findRepository } from '../initialize.ts';
import { listSets, tagsOf } from '../sets.ts';
import { openRestic, type Restic } from './program.ts';
import { saveFolder, saveStream } from './save.ts';

/** A newline at its end is what a shell loses first, and a dollar what it takes for its own. */
const PASSWORD = 'sesame $HOME "quoted" \'and\' more\n';

let folder = '';
let s3: S3;
let sftp: Sftp;
let rest: RestServer;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'composure-forms-'));
  await mkdir(join(folder, 'data, with a "comma"'), { recursive: true });
  await writeFile(join(folder, 'data, with a "comma"', 'file'), 'content');
  [s3, sftp, rest] = await Promise.all([startS3(), startSftp(), startRestServer()]);
});
afterAll(async () => {
  await Promise.all([s3.stop(), sftp.stop(), rest.stop()]);
  await rm(folder, { recursive: true, force: true });
});

const settings = (repository: string): BackupSettings => ({
  repository,
  timezone: 'UTC',
  keep: {},
  secrets: [],
  limitUpload: 900_000,
  limitDownload: 800_000,
  cpus: 1,
});

type Form = 'on the PATH' | 'in its image';
type Kind = 'a folder' | 'S3' | 'SFTP' | 'a REST server';

const open = (form: Form, kind: Kind, password = PASSWORD): Promise<Restic> => {
  const repository = {
    'a folder': join(folder, `repository of ${form}`),
    S3: `${s3.repository}-${form === 'on the PATH' ? 'path' : 'image'}`,
    SFTP: `${sftp.repository}-${form === 'on the PATH' ? 'path' : 'image'}`,
    'a REST server': rest.repository,
  }[kind];
  const path = form === 'on the PATH' ? (process.env.PATH ?? '') : pathWithoutRestic();
  return openRestic(
    settings(repository ?? ''),
    { RESTIC_PASSWORD: password, ...s3.credentials, ...rest.credentials },
    {
      env: { ...process.env, HOME: sftp.home, PATH: `${sftp.bin}:${path}` },
    },
  );
};

/** Enough to prove that the two forms and the kinds of repository work alike. */
async function savesAndGivesBack(form: Form, kind: Kind): Promise<void> {
  const restic = await open(form, kind);
  expect(await findRepository(restic)).toBe('missing');
  await createRepository(restic);
  // What a password opens does not depend on where the repository is.
  if (kind === 'a folder' || form === 'in its image') {
    expect(await findRepository(restic)).toBe('open');
    expect(await findRepository(await open(form, kind, 'another'))).toBe('other password');
  }

  const scratch = await mkdtemp(join(folder, 'scratch-'));
  const saved = await saveStream(restic, {
    file: 'note',
    tags: tagsOf('shop', 'one', 'manifest'),
    scratch,
    host: 'here',
    stream: chunksOf('first\n', 'second\n'),
    verdict: async () => undefined,
  });
  const source = join(folder, 'data, with a "comma"');
  const files = await saveFolder(restic, { folder: source, tags: tagsOf('shop', 'one', 'files'), exclude: [], host: 'here' });
  const [set] = await listSets(restic, 'shop');
  expect(set).toMatchObject({ set: 'one', complete: true, host: 'here' });
  expect(set?.snapshots.flatMap(({ stores }) => stores)).toEqual(['manifest', 'files']);

  const chunks: Uint8Array[] = [];
  for await (const chunk of restic.read(['dump', saved.snapshot, '/note'], 'read the note')) chunks.push(chunk);
  expect(Buffer.concat(chunks).toString()).toBe('first\nsecond\n');
  const target = join(folder, `restored-${kind}-${form}`);
  await mkdir(target);
  expect(await restic.run(['restore', files.snapshot, '--target', target], { writes: [target] })).toMatchObject({ code: 0 });
  expect(await readFile(join(target, 'file'), 'utf8')).toBe('content');
  expect(await restic.run(['check', '--read-data'])).toMatchObject({ code: 0 });
  expect((await restic.run(['list', 'locks', '--no-lock'])).stdout).toBe('');
}

test.concurrent.each<[Form, Kind]>([
  ['on the PATH', 'a folder'],
  ['on the PATH', 'S3'],
  ['on the PATH', 'SFTP'],
  ['on the PATH', 'a REST server'],
  // Of the others a whole backup is made from the image elsewhere, or nothing but the network is different.
  ['in its image', 'SFTP'],
])('restic %s saves into %s, lists, checks and gives back what was saved', savesAndGivesBack);

describe.each<Form>(['on the PATH', 'in its image'])('restic %s', (form) => {
  test('a reader that cannot be served says why', async () => {
    const path = form === 'on the PATH' ? (process.env.PATH ?? '') : pathWithoutRestic();
    const nowhere = await openRestic(settings(join(folder, 'nowhere')), { RESTIC_PASSWORD: 'x' }, { env: { ...process.env, PATH: path } });
    await expect(nowhere.read(['dump', 'latest', '/note'], 'read the note').next()).rejects.toMatchObject({ code: 'REPOSITORY_MISSING' });
  });

  test('keeps secrets out of arguments and of docker inspect, and passes limits on', async () => {
    const secrets = { RESTIC_PASSWORD: 'kept-from-everybody', AWS_SECRET_ACCESS_KEY: 'kept-as-well' };
    const path = form === 'on the PATH' ? (process.env.PATH ?? '') : pathWithoutRestic();
    const repository = join(folder, `secrets-${form}`);
    const restic = await openRestic(settings(repository), secrets, { env: { ...process.env, PATH: path } });
    await createRepository(restic);
    let seen: Process | undefined;
    let inspected = '';
    await saveStream(restic, {
      file: 'slow',
      tags: [],
      scratch: folder,
      host: 'here',
      verdict: async () => undefined,
      stream: (async function* () {
        yield Buffer.from('x');
        seen = await eventually(() => processOf('restic', repository), { timeoutMs: 20_000 });
        const all = allCommandLines();
        for (const value of Object.values(secrets)) expect(all.filter((line) => line.includes(value))).toEqual([]);
        const ids = (await run('docker', ['ps', '-q', '--filter', `label=${OURS.restic}`])).stdout.split('\n').filter(Boolean);
        if (ids.length > 0) inspected = (await run('docker', ['inspect', ...ids])).stdout;
        yield Buffer.from('y');
      })(),
    });
    expect(seen?.command.slice(0, 6)).toEqual(['restic', '--limit-upload', '900000', '--limit-download', '800000', 'backup']);
    expect(seen?.environment).toContain('GOMAXPROCS=1');
    expect(seen?.environment).toContain('RESTIC_PASSWORD=kept-from-everybody');
    if (form === 'in its image') expect(inspected).toContain(repository);
    for (const value of Object.values(secrets)) expect(inspected).not.toContain(value);
  });
});

test('restic in its image ends with the program that asked for it, and leaves no lock', async () => {
  const restic = await openRestic(
    settings(join(folder, 'orphan')),
    { RESTIC_PASSWORD: PASSWORD },
    { env: { ...process.env, PATH: pathWithoutRestic() } },
  );
  await createRepository(restic);
  let docker: Process | undefined;
  const saving = saveStream(restic, {
    file: 'never',
    tags: [],
    scratch: folder,
    host: 'here',
    verdict: async () => undefined,
    stream: (async function* () {
      yield Buffer.from('x');
      docker = await eventually(() => processOf('docker', join(folder, 'orphan')), { timeoutMs: 20_000 });
      process.kill(docker.pid, 'SIGKILL');
      await eventually(async () => expect((await restic.run(['list', 'locks', '--no-lock'])).stdout).toBe(''), { timeoutMs: 20_000 });
      yield Buffer.from('y');
    })(),
  });
  await expect(saving).rejects.toMatchObject({ code: 'REPOSITORY_FAILED' });
  expect(docker).toBeDefined();
  expect((await restic.run(['snapshots', '--json'])).stdout.trim()).toBe('[]');
});

test('without restic and without its image it says how to get either', async () => {
  const opening = openRestic(
    settings(folder),
    { RESTIC_PASSWORD: 'x' },
    { env: { ...process.env, PATH: pathWithoutRestic() }, image: 'restic/not-there:0' },
  );
  await expect(opening).rejects.toMatchObject({ code: 'RESTIC_MISSING', message: expect.stringContaining('restic/not-there:0') });
});

async function* chunksOf(...texts: string[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield Buffer.from(text);
}
