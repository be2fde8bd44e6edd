import { mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { composeVariables } from '../docker/compose.ts';
import { setSecrets } from '../secrets/change.ts';
import { parseDotenv } from '../secrets/dotenv.ts';
import { newIdentity, recipientOf } from '../secrets/encryption.ts';
import { ensureIdentity } from '../secrets/identity.ts';
import { loadProject } from './load.ts';

let folder: string;
let environment: NodeJS.ProcessEnv;
beforeEach(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), 'composure-project-secrets-')));
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('COMPOS'));
  environment = { ...Object.fromEntries(inherited), COMPOSURE_STATE_DIR: join(folder, '.state') };
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const set = (values: Record<string, string>, file = 'secrets.age.yaml') =>
  setSecrets(join(folder, file), values, async () => ({
    recipient: (await ensureIdentity(environment)).identity.recipients[0] ?? '',
    label: '',
  }));
const write = (file: string, text: string) => writeFile(join(folder, file), text);
const load = (more: NodeJS.ProcessEnv = {}, env?: string) =>
  loadProject({ cwd: folder, environment: { ...environment, ...more }, ...(env === undefined ? {} : { env }) });

test('a variable is taken from the environment first, then from the secrets, then from .env', async () => {
  await write('compose.yaml', 'services:\n  a:\n    image: busybox:1\n    environment: {ONE: $ONE, TWO: $TWO, THREE: $THREE}\n');
  await write('.env', 'ONE=dotenv\nTWO=dotenv\nTHREE=dotenv\n');
  await set({ ONE: 'secret', TWO: 'secret $x "quoted"\nline' });
  expect((await load({ ONE: 'given' })).services.a?.environment).toEqual({
    ONE: 'given',
    TWO: 'secret $x "quoted"\nline',
    THREE: 'dotenv',
  });
});

test('secrets reach every kind of use: passed on, in env files, in files that are included or extended', async () => {
  await write(
    'compose.yaml',
    'include: [more.yaml]\nservices:\n  a:\n    extends: {file: base.yaml, service: base}\n    environment: [PASSED]\n    env_file: a.env\n',
  );
  await write('more.yaml', 'services:\n  b:\n    image: busybox:1\n    environment: {B: "$INCLUDED"}\n');
  await write('base.yaml', 'services:\n  base:\n    image: busybox:1\n    environment: {BASE: "$EXTENDED"}\n');
  await write('a.env', 'FROM=${IN_ENV_FILE}\nBARE\n');
  await set({ PASSED: '1', INCLUDED: '2', EXTENDED: '3', IN_ENV_FILE: '4', BARE: '5', UNUSED: '6' });
  const { services, compose, unsetVariables } = await load();
  expect(services.a?.environment).toEqual({ PASSED: '1', BASE: '3', FROM: '4', BARE: '5' });
  expect(services.b?.environment).toEqual({ B: '2' });
  expect(unsetVariables).toEqual([]);
  expect(Object.keys(compose.env)).not.toContain('UNUSED');
});

test('with --env the environment’s own secrets come first', async () => {
  await write('compose.yaml', 'services:\n  a:\n    image: busybox:1\n    environment: {A: $A, B: $B}\n');
  await write('.env.prod', 'C=1\n');
  await set({ A: 'common', B: 'common' });
  await set({ A: 'prod' }, 'secrets.prod.age.yaml');
  expect((await load({}, 'prod')).services.a?.environment).toEqual({ A: 'prod', B: 'common' });
  expect((await load()).services.a?.environment).toEqual({ A: 'common', B: 'common' });
});

test('what cannot be read stops a project that uses it, and no other', async () => {
  const stranger = await recipientOf(await newIdentity());
  await setSecrets(join(folder, 'secrets.age.yaml'), { A: 'x' }, async () => ({ recipient: stranger, label: '' }));
  await write('compose.yaml', 'services:\n  a:\n    image: busybox:1 # $A\n');
  expect((await load()).name).toMatch(/^composure-project/);
  await write('compose.yaml', 'services:\n  a:\n    image: busybox:1\n    environment: {A: $A}\n');
  await expect(load()).rejects.toMatchObject({ code: 'IDENTITY_MISSING' });
  await ensureIdentity(environment);
  await expect(load()).rejects.toMatchObject({ code: 'IDENTITY_REFUSED' });
});

test('a value that is too long for a variable is said to be, not met with an error of the system', async () => {
  await write('compose.yaml', 'services:\n  a:\n    image: busybox:1\n    environment: {A: $A}\n');
  await set({ A: 'x'.repeat(131_072 - 3) });
  expect((await load()).services.a?.environment.A).toHaveLength(131_069);
  await set({ A: 'x'.repeat(131_072 - 2) });
  await expect(load()).rejects.toMatchObject({ code: 'SECRETS_INVALID', message: expect.stringContaining('A has 131070 bytes') });
});

test('a read-only service that asks for a secret from a variable is refused with its place', async () => {
  await write(
    'compose.yaml',
    'services:\n  a:\n    image: busybox:1\n    read_only: true\n    secrets: [token]\nsecrets:\n  token: {environment: TOKEN}\n',
  );
  await expect(load({ TOKEN: 'x' })).rejects.toMatchObject({ code: 'CONFIG_INVALID', where: 'compose.yaml:4:5' });
});

test('an env file means the same to import as to Compose', async () => {
  const text = `export A=plain value # c\nB="dq \\" esc \\n nl" # c\nC='single $X # not'\nD=\nE="multi\nline"\nF: yaml style\nG=a#b\nI=it's\nJ='a\\'b'\nK="tab\\tback\\\\slash"\nL=  spaced  \nN="a \\$dollar"\nO='multi\nsingle'\nP=back\\slash\nQ=a\\nb\nR=x"y"z\n`;
  await write('.env', text);
  const { values, problems } = parseDotenv(text);
  expect(problems).toEqual([]);
  expect(Object.keys(values)).toHaveLength(16);
  expect(await composeVariables({ args: [], cwd: folder, env: {} }, folder, [...Object.keys(values), 'NOT_THERE'])).toEqual(values);
});
