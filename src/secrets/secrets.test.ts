import { chmod, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Failure } from '../kit/errors.ts';
import { addingRecipient, changeRecipients, findRecipient, removeSecrets, setSecrets } from './change.ts';
import { decryptValue, encryptValue, newIdentity, recipientOf } from './encryption.ts';
import { printSecretsFile } from './format.ts';
import { ensureIdentity, readIdentity } from './identity.ts';
import { openSecrets } from './open.ts';
import { readSecretsFile } from './store.ts';

let folder: string;
let env: NodeJS.ProcessEnv;
let file: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'composure-secrets-'));
  env = { COMPOSURE_STATE_DIR: join(folder, 'state') };
  file = join(folder, 'secrets.age.yaml');
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const first = async () => ({ recipient: (await ensureIdentity(env)).identity.recipients[0] ?? '', label: 'here' });
const set = (values: Record<string, string>) => setSecrets(file, values, first);
const read = async (name: string, as = env) => (await openSecrets({ folder }, as))?.value(name);

async function refusal(promise: Promise<unknown>): Promise<Failure> {
  const error = await promise.then(
    () => new Error('it was accepted'),
    (reason: unknown) => reason,
  );
  if (!(error instanceof Failure)) throw error;
  return error;
}

/** Somebody else: a key in a file of its own. */
async function other(name: string): Promise<{ env: NodeJS.ProcessEnv; recipient: string }> {
  const key = await newIdentity();
  const path = join(folder, name);
  await writeFile(path, `# a key\n${key}\n`, { mode: 0o600 });
  return { env: { COMPOSURE_IDENTITY: path, COMPOSURE_STATE_DIR: join(folder, 'other-state') }, recipient: await recipientOf(key) };
}

describe('values', () => {
  test('any text comes back as it was, and the file does not contain it', async () => {
    const { identity } = await ensureIdentity(env);
    const recipients = identity.recipients.map((recipient) => ({ recipient, label: '' }));
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'binary', maxLength: 200 }), async (value) => {
        expect(await decryptValue('NAME', await encryptValue('NAME', value, recipients), identity.keys, 'f')).toBe(value);
      }),
      { numRuns: 40, examples: [[''], ['\n'], ['a\n\n'], ['\uFEFFx'], ['=a=b'], ['NAME='], ['日本 🔑'], [' lead and trail ']] },
    );
  }, 30_000);

  test('1 MiB comes back as it was', async () => {
    const value = 'ü0123456789\n'.repeat(90_000);
    expect(Buffer.byteLength(value)).toBeGreaterThan(2 ** 20);
    await set({ BIG: value });
    expect(await read('BIG')).toBe(value);
  });

  test.each(['a\0b', 'half \ud800'])('%j is refused: it is not text', async (value) => {
    expect((await refusal(set({ A: value }))).code).toBe('USAGE');
    expect(await readSecretsFile(file)).toBeUndefined();
  });

  test.each(['', '9A', 'A-B', 'A B', 'ä', '__proto__x-'])('%j is no name', async (name) => {
    expect(await refusal(set({ [name]: 'x' }))).toMatchObject({ code: 'USAGE' });
  });

  test('one entry changes when one secret is set, and no other line', async () => {
    await set({ A: 'one', B: 'two' });
    const before = await readSecretsFile(file);
    const { replaced, added } = await set({ B: 'three', C: 'four' });
    const after = await readSecretsFile(file);
    expect({ replaced, added }).toEqual({ replaced: ['B'], added: ['C'] });
    expect(after?.secrets.A).toBe(before?.secrets.A);
    expect(after?.secrets.B).not.toBe(before?.secrets.B);
    expect(await read('B')).toBe('three');
  });

  test('an environment’s own file is asked first, then the common one', async () => {
    await set({ A: 'common', B: 'both' });
    await setSecrets(join(folder, 'secrets.prod.age.yaml'), { A: 'prod' }, first);
    const secrets = await openSecrets({ folder, environment: 'prod' }, env);
    expect(secrets?.names).toEqual(['A', 'B']);
    expect([await secrets?.value('A'), await secrets?.value('B')]).toEqual(['prod', 'both']);
    expect(await read('A')).toBe('common');
  });

  test('a fingerprint changes with the value, stays with it, and differs by identity', async () => {
    const { env: theirs, recipient } = await other('their.key');
    const print = async (as = env) => (await openSecrets({ folder }, as))?.fingerprint('A');
    await set({ A: 'one' });
    const one = await print();
    await changeRecipients(file, env, await addingRecipient(recipient, 'them'));
    expect(await print()).toBe(one);
    expect(await print(theirs)).not.toBe(one);
    await set({ A: 'two' });
    expect(await print()).not.toBe(one);
  });
});

describe('recipients', () => {
  test('everyone who is added can read, and who was removed cannot read what is set afterwards', async () => {
    const [ann, bob] = [await other('ann.key'), await other('bob.key')];
    await set({ A: 'old' });
    expect(await refusal(Promise.resolve(read('A', ann.env)))).toMatchObject({ code: 'IDENTITY_REFUSED', where: file });
    await changeRecipients(file, env, await addingRecipient(ann.recipient, 'ann'));
    await changeRecipients(file, ann.env, await addingRecipient(bob.recipient, 'bob'));
    for (const as of [env, ann.env, bob.env]) expect(await read('A', as)).toBe('old');
    await changeRecipients(file, bob.env, (before) => before.filter((entry) => entry !== findRecipient(before, 'ann')));
    await set({ B: 'new' });
    for (const name of ['A', 'B']) expect(await refusal(Promise.resolve(read(name, ann.env)))).toMatchObject({ code: 'IDENTITY_REFUSED' });
    for (const as of [env, bob.env]) expect(await read('B', as)).toBe('new');
  });

  test('setting needs no identity, changing the recipients does, and a failed change leaves the file as it was', async () => {
    await set({ A: 'a' });
    const text = await readFile(file, 'utf8');
    const { recipient } = await other('ann.key');
    const nobody = { COMPOSURE_STATE_DIR: join(folder, 'empty') };
    const added = await addingRecipient(recipient, 'ann');
    expect(await refusal(changeRecipients(file, nobody, added))).toMatchObject({ code: 'IDENTITY_MISSING' });
    expect(await readFile(file, 'utf8')).toBe(text);
    await setSecrets(file, { B: 'b' }, () => Promise.reject(new Error('no new identity is wanted')));
    expect(await read('B')).toBe('b');
  });

  test('a recipient that was written into the file by hand gets nothing until somebody says that it is right', async () => {
    await set({ A: 'a' });
    const { recipient } = await other('thief.key');
    const content = await readSecretsFile(file);
    if (!content) throw new Error('no file');
    await writeFile(file, printSecretsFile({ ...content, recipients: [...content.recipients, { recipient, label: 'x' }] }));
    expect(await refusal(set({ B: 'b' }))).toMatchObject({
      code: 'SECRETS_INVALID',
      message: expect.stringContaining('A was not encrypted for the 2'),
    });
    expect(await read('A')).toBe('a');
    await changeRecipients(file, env, (before) => [...before]);
    await set({ B: 'b' });
    expect(await read('B')).toBe('b');
  });

  test('the last one stays', async () => {
    await set({ A: 'a' });
    expect(await refusal(changeRecipients(file, env, () => []))).toMatchObject({ code: 'USAGE' });
  });

  test.each(['ssh-ed25519 AAAAC3Nz', 'age1short', 'AGE-SECRET-KEY-1CANARY', ''])('%j is no recipient', async (text) => {
    const failure = await refusal(addingRecipient(text, undefined));
    expect(failure.code).toBe('USAGE');
    expect(failure.message).not.toContain('CANARY');
  });
});

describe('a file that was tampered with', () => {
  test('two entries that changed places are both refused', async () => {
    await set({ A: 'value of a', B: 'value of b' });
    const content = await readSecretsFile(file);
    await writeFile(
      file,
      printSecretsFile({ recipients: content?.recipients ?? [], secrets: { A: content?.secrets.B ?? '', B: content?.secrets.A ?? '' } }),
    );
    for (const name of ['A', 'B']) {
      const failure = await refusal(Promise.resolve(read(name)));
      expect(failure).toMatchObject({
        code: 'SECRETS_INVALID',
        message: expect.stringContaining(`the entry ${name} holds a value that was encrypted for another name`),
      });
      expect(failure.message).not.toContain('value of');
    }
  });

  test('any flipped bit of an entry is noticed', async () => {
    const { identity } = await ensureIdentity(env);
    const armored = await encryptValue('A', 'value', [await first()]);
    const lines = armored.trim().split('\n');
    const bytes = Buffer.from(lines.slice(1, -1).join(''), 'base64');
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: bytes.length * 8 - 1 }), async (bit) => {
        const bad = Buffer.from(bytes);
        bad[bit >> 3] = (bad[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        const body = bad.toString('base64').match(/.{1,64}/g) ?? [];
        const failure = await refusal(decryptValue('A', [lines[0], ...body, lines.at(-1)].join('\n'), identity.keys, 'f'));
        expect(['SECRETS_INVALID', 'IDENTITY_REFUSED']).toContain(failure.code);
      }),
      { numRuns: 60 },
    );
  });
});

describe('the file', () => {
  test('twenty commands at once lose nothing', async () => {
    const names = Array.from({ length: 20 }, (_, index) => `S${index}`);
    await Promise.all(names.map((name) => set({ [name]: `value ${name}` })));
    const secrets = await openSecrets({ folder }, env);
    expect(secrets?.names).toEqual([...names].sort());
    expect(await Promise.all(names.map((name) => secrets?.value(name)))).toEqual(names.map((name) => `value ${name}`));
    expect((await readdir(folder)).sort()).toEqual(['secrets.age.yaml', 'state']);
  }, 20_000);

  test('a link stays a link, and what it points to changes', async () => {
    await set({ A: 'a' });
    await symlink(file, join(folder, 'link.yaml'));
    await setSecrets(join(folder, 'link.yaml'), { B: 'b' }, first);
    expect(await read('B')).toBe('b');
    expect((await readdir(folder, { withFileTypes: true })).find(({ name }) => name === 'link.yaml')?.isSymbolicLink()).toBe(true);
  });

  test('removing is all or nothing', async () => {
    await set({ A: 'a', B: 'b' });
    expect(await refusal(removeSecrets(file, ['A', 'X']))).toMatchObject({ code: 'SECRET_UNKNOWN', next: 'there are: A, B' });
    expect(await read('A')).toBe('a');
    await removeSecrets(file, ['A']);
    expect(await refusal(Promise.resolve(read('A')))).toMatchObject({ code: 'SECRET_UNKNOWN' });
  });

  test('no file, no secrets', async () => {
    expect(await openSecrets({ folder }, env)).toBeUndefined();
  });
});

describe('the identity', () => {
  test('is made once, for its owner only, in a folder of its owner’s', async () => {
    const made = await Promise.all([ensureIdentity(env), ensureIdentity(env), ensureIdentity(env)]);
    expect(new Set(made.map(({ identity }) => identity.recipients[0])).size).toBe(1);
    expect(made.filter(({ created }) => created)).toHaveLength(1);
    const path = made[0]?.identity.file ?? '';
    expect(path).toBe(join(folder, 'state/identity'));
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect((await stat(join(folder, 'state'))).mode & 0o777).toBe(0o700);
    expect(await readdir(join(folder, 'state'))).toEqual(['identity']);
  });

  test('that others may read is refused', async () => {
    const { identity } = await ensureIdentity(env);
    await chmod(identity.file, 0o640);
    expect(await refusal(readIdentity(env))).toMatchObject({ code: 'IDENTITY_MISSING', next: expect.stringContaining('chmod 600') });
  });

  test.each([
    ['', 'it holds no identity'],
    ['# only a comment\n', 'it holds no identity'],
    ['AGE-SECRET-KEY-1CANARY', 'its key 1 is no age identity'],
    ['-----BEGIN OPENSSH PRIVATE KEY-----\nCANARY\n', 'its key 1 is no age identity'],
  ])('of a file %j is refused without showing it', async (text, what) => {
    const path = join(folder, 'key');
    await writeFile(path, text, { mode: 0o600 });
    const failure = await refusal(readIdentity({ COMPOSURE_IDENTITY: path }));
    expect(failure).toMatchObject({ code: 'IDENTITY_MISSING', where: path });
    expect(failure.message).toContain(what);
    expect(JSON.stringify([failure.message, failure.next, failure.details])).not.toContain('CANARY');
  });

  test('named by a variable has to be there, and is a file’s path, not the key', async () => {
    expect(await refusal(readIdentity({ COMPOSURE_IDENTITY: join(folder, 'none') }))).toMatchObject({ code: 'IDENTITY_MISSING' });
    const failure = await refusal(readIdentity({ COMPOSURE_IDENTITY: 'AGE-SECRET-KEY-1CANARY' }));
    expect(failure).toMatchObject({ code: 'IDENTITY_MISSING', where: 'COMPOSURE_IDENTITY' });
    expect(JSON.stringify([failure.message, failure.next])).not.toContain('CANARY');
  });

  test('may be several keys in one file', async () => {
    const [old, present] = [await newIdentity(), await newIdentity()];
    const path = join(folder, 'keys');
    await writeFile(path, `${old}\n\n# newer\n${present}\n`, { mode: 0o600 });
    await setSecrets(file, { A: 'a' }, async () => ({ recipient: await recipientOf(present), label: '' }));
    expect(await read('A', { COMPOSURE_IDENTITY: path })).toBe('a');
  });
});
