import { mkdtemp, readdir, readFile, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { main } from '../../src/cli/main.ts';
import { newIdentity, recipientOf } from '../../src/secrets/encryption.ts';

const CANARY = 'c4n4ry-of-the-secrets-test';
let folder: string;
let file: string;
const outputs: string[] = [];

beforeEach(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), 'composure-cli-secrets-')));
  file = join(folder, 'secrets.age.yaml');
  await writeFile(join(folder, 'compose.yaml'), 'services:\n  app:\n    image: busybox:1\n');
  outputs.length = 0;
});
afterEach(() => rm(folder, { recursive: true, force: true }));

interface Options {
  stdin?: string;
  isTTY?: boolean;
  env?: Record<string, string>;
}

async function composure(
  line: string,
  { stdin, isTTY = false, env = {} }: Options = {},
): Promise<{ code: number; out: string; err: string }> {
  const said = { out: '', err: '' };
  const code = await main(line.split(' '), {
    cwd: folder,
    env: { COMPOSURE_STATE_DIR: join(folder, '.state'), PATH: process.env.PATH, ...env },
    stdout: (text) => {
      said.out += text;
    },
    stderr: (text) => {
      said.err += text;
    },
    ...(stdin === undefined ? {} : { stdin }),
    isTTY,
  });
  outputs.push(said.out, said.err);
  return { code, ...said };
}

const recipientsOf = async (): Promise<string[]> =>
  [...(await readFile(file, 'utf8')).matchAll(/recipient: (age1\S+)/g)].map(([, one = '']) => one);

test('the first set makes the identity and the file, get prints the value and nothing else', async () => {
  const { code, out, err } = await composure('secrets set TOKEN', { stdin: `${CANARY}\n` });
  expect({ code, err }).toEqual({ code: 0, err: '' });
  const [recipient] = await recipientsOf();
  expect(out).toBe(`TOKEN set in ${file} for 1 recipient
this machine got an identity: ${folder}/.state/identity, its recipient is ${recipient}
without it nobody can read the file: add a recipient that you keep elsewhere (composure secrets recipients add)
`);
  expect(await composure('secrets get TOKEN')).toEqual({ code: 0, out: CANARY, err: '' });
  expect(JSON.parse((await composure('secrets get TOKEN --json')).out)).toEqual({ name: 'TOKEN', value: CANARY });
  expect((await composure('secrets set TOKEN', { stdin: 'second' })).out).toBe(`TOKEN replaced in ${file} for 1 recipient\n`);
  expect((await composure('secrets get TOKEN')).out).toBe('second');
});

test('a terminal is shown a value only when that is asked for', async () => {
  await composure('secrets set TOKEN', { stdin: CANARY });
  const refused = await composure('secrets get TOKEN', { isTTY: true });
  expect(refused).toMatchObject({ code: 2, out: '' });
  expect(refused.err).toContain('--show');
  expect((await composure('secrets get TOKEN --json', { isTTY: true })).out).not.toContain(CANARY);
  expect((await composure('secrets get TOKEN --show', { isTTY: true })).out).toBe(`${CANARY}\n`);
});

test('a file is taken as it is, newline and all; bytes that are no text are refused', async () => {
  await writeFile(join(folder, 'key.pem'), 'line 1\nline 2\n\n');
  await composure('secrets set KEY --from-file key.pem');
  expect((await composure('secrets get KEY')).out).toBe('line 1\nline 2\n\n');
  await writeFile(join(folder, 'raw'), Buffer.from([0xff, 0x00]));
  expect((await composure('secrets set RAW --from-file raw')).code).toBe(2);
  expect((await composure('secrets set RAW --from-file none')).err).toContain('does not exist');
});

test('a value on the command line is refused before it is used', async () => {
  const { code } = await composure(`secrets set TOKEN ${CANARY}`, { stdin: 'x' });
  expect(code).toBe(2);
  expect(await readdir(folder)).toEqual(['compose.yaml']);
});

test('list shows names and recipients, to machines without an identity as well', async () => {
  expect((await composure('secrets list')).out).toBe(`the project has no secrets yet: composure secrets set NAME makes ${file}\n`);
  await composure('secrets set B', { stdin: CANARY });
  await composure('secrets set A', { stdin: CANARY });
  const [recipient] = await recipientsOf();
  const json = JSON.parse((await composure('secrets list --json', { env: { COMPOSURE_STATE_DIR: join(folder, 'elsewhere') } })).out);
  expect(json).toEqual({
    files: [{ file, names: ['A', 'B'], recipients: [{ recipient, label: expect.any(String), thisMachine: false }], outOfStep: [] }],
  });
  expect((await composure('secrets list')).out).toMatch(
    new RegExp(`^${file}\n {2}A\n {2}B\nreadable by\n {2}\\S+ \\(this machine\\) {2}${recipient}\n$`),
  );
});

test('another machine asks to be let in, and is put out again', async () => {
  await composure('secrets set TOKEN', { stdin: CANARY });
  const there = { env: { COMPOSURE_STATE_DIR: join(folder, 'there') } };
  expect(await composure('secrets get TOKEN', there)).toMatchObject({
    code: 4,
    err: expect.stringContaining('composure secrets identity'),
  });
  const { out: recipient } = await composure('secrets identity', there);
  expect(await composure('secrets get TOKEN', there)).toMatchObject({ code: 4, err: expect.stringContaining('IDENTITY_REFUSED') });
  const dry = await composure(`secrets recipients add ${recipient.trim()} --label there --dry-run`);
  expect(dry.out).toContain(`1 value of ${file} would be encrypted anew for:`);
  expect(await recipientsOf()).toHaveLength(1);
  expect((await composure(`secrets recipients add ${recipient.trim()} --label there`)).out).toBe(
    `there can read ${file}; 1 value encrypted for 2 recipients\n`,
  );
  expect((await composure('secrets get TOKEN', there)).out).toBe(CANARY);
  expect((await composure('secrets recipients rm there')).out).toContain('change them where they are used, then set them: TOKEN');
  expect((await composure('secrets get TOKEN', there)).code).toBe(4);
  expect((await composure('secrets recipients rm nobody')).code).toBe(2);
});

test('putting out this machine itself is asked about', async () => {
  await composure('secrets set TOKEN', { stdin: CANARY });
  const key = await recipientOf(await newIdentity());
  await composure(`secrets recipients add ${key} --label laptop`);
  const [own = ''] = await recipientsOf();
  expect(await composure(`secrets recipients rm ${own}`)).toMatchObject({ code: 9 });
  expect(await composure(`secrets recipients rm ${own}`, { isTTY: true, stdin: 'n' })).toMatchObject({ code: 9 });
  expect(await recipientsOf()).toEqual([own, key]);
  expect(await composure(`secrets recipients rm ${own} --yes`)).toMatchObject({ code: 0 });
  expect(await recipientsOf()).toEqual([key]);
});

test('import takes every entry of an env file and says that the plain file is still there', async () => {
  await writeFile(join(folder, '.env.secret'), `# all\nexport A="x\\ny"\nB='${CANARY}' # b\n`);
  const dry = JSON.parse((await composure('secrets import .env.secret --dry-run --json')).out);
  expect(dry).toMatchObject({ added: ['A', 'B'], replaced: [], plain: join(folder, '.env.secret') });
  const { out } = await composure('secrets import .env.secret');
  expect(out).toContain(`A, B set in ${file} for 1 recipient\n`);
  expect(out).toContain(`${folder}/.env.secret is still there and holds them in plain text`);
  expect((await composure('secrets get A')).out).toBe('x\ny');
  await writeFile(join(folder, 'bad.env'), `C=1\nD=\${X}${CANARY}\n`);
  expect(await composure('secrets import bad.env')).toMatchObject({
    code: 2,
    err: expect.stringContaining('bad.env:2: D: Compose would fill in'),
  });
  expect((await composure('secrets get C')).code).toBe(3);
});

test('rm removes, and names that are not there are an error', async () => {
  await composure('secrets set A', { stdin: 'a' });
  expect((await composure('secrets rm A --dry-run')).out).toBe(`A would be removed from ${file}\n`);
  expect(await composure('secrets rm A B')).toMatchObject({ code: 3, err: expect.stringContaining('there is no secret B') });
  expect((await composure('secrets rm A')).code).toBe(0);
  expect((await composure('secrets get A')).code).toBe(3);
});

test('exec gives a program the secrets, what the environment has already comes first, and its exit code is the command’s', async () => {
  await composure('secrets set A', { stdin: CANARY });
  await composure('secrets set B', { stdin: 'from the file' });
  expect((await composure('secrets exec --dry-run -- docker compose up -d')).out).toBe('docker compose up -d would get A, B\n');
  await writeFile(join(folder, 'print.sh'), 'printf "%s|%s" "$A" "$B" > got\nexit 7\n');
  expect(await composure('secrets exec -- sh print.sh', { env: { B: 'given' } })).toMatchObject({ code: 7, out: '', err: '' });
  expect(await readFile(join(folder, 'got'), 'utf8')).toBe(`${CANARY}|given`);
  expect((await composure('secrets exec -- no-such-program-here')).code).toBe(4);
});

test('an environment has a file of its own', async () => {
  await writeFile(join(folder, 'compose.prod.yaml'), 'services: {}\n');
  await composure('secrets set A', { stdin: 'common' });
  await composure('secrets set A --env prod', { stdin: 'prod' });
  expect((await composure('secrets get A')).out).toBe('common');
  expect((await composure('secrets get A --env prod')).out).toBe('prod');
  expect((await readdir(folder)).filter((name) => name.startsWith('secrets'))).toEqual(['secrets.age.yaml', 'secrets.prod.age.yaml']);
});

test('a merge that left an entry for other recipients is shown, stops new values, and is healed by sync', async () => {
  await composure('secrets set A', { stdin: CANARY });
  const before = await readFile(file, 'utf8');
  const key = await recipientOf(await newIdentity());
  await writeFile(file, before.replace('secrets:\n', `  - recipient: ${key}\n    label: "merged"\nsecrets:\n`));
  expect((await composure('secrets list')).out).toContain('A  (not encrypted for the recipients listed)');
  expect(await composure('secrets set B', { stdin: 'b' })).toMatchObject({ code: 3, err: expect.stringContaining('recipients sync') });
  expect((await composure('secrets recipients sync')).out).toContain('1 value encrypted anew for:');
  expect((await composure('secrets set B', { stdin: 'b' })).code).toBe(0);
});

test('whatever goes wrong, no output holds a value, and no file but the encrypted one is written', async () => {
  await composure('secrets set TOKEN', { stdin: CANARY });
  const text = await readFile(file, 'utf8');
  await writeFile(
    file,
    text.replace(/^( {4}[A-Za-z0-9+/]{20})/m, (found) => `${found.slice(0, -1)}A`),
  );
  outputs.length = 0;
  for (const line of ['get TOKEN', 'list', 'rm TOKEN --dry-run', 'recipients sync', 'exec -- true']) {
    for (const flag of ['', ' --json']) await composure(line.startsWith('exec') ? `secrets exec${flag} -- true` : `secrets ${line}${flag}`);
  }
  await composure('secrets set OTHER', { stdin: `${CANARY}\0` });
  expect(outputs.join('\n').length).toBeGreaterThan(500);
  expect(outputs.join('\n')).not.toContain(CANARY);
  for (const name of await readdir(folder, { recursive: true, withFileTypes: true }))
    if (name.isFile()) expect(await readFile(join(name.parentPath, name.name), 'utf8')).not.toContain(CANARY);
});
