import { randomBytes } from 'node:crypto';
import { link, mkdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Failure } from '../kit/errors.ts';
import { readFileIfThere, storageFailure, syncFolder } from '../kit/files.ts';
import { stateFolder } from '../state/folder.ts';
import { type IdentityKey, newIdentity, recipientOf } from './encryption.ts';

export interface Identity {
  /** Absolute. */
  file: string;
  /** Private: never print them. One, or several where the file holds several. */
  keys: IdentityKey[];
  /** Their public halves. */
  recipients: string[];
}

/** Where this machine's identity is looked for: COMPOSURE_IDENTITY, or `identity` in the state folder. */
export function identityPath(env: NodeJS.ProcessEnv): string {
  const given = env.COMPOSURE_IDENTITY;
  if (given && /AGE-SECRET-KEY/i.test(given)) {
    throw new Failure('IDENTITY_MISSING', 'COMPOSURE_IDENTITY holds a private key itself; it must name the file that holds it', {
      where: 'COMPOSURE_IDENTITY',
      next: 'write the key into a file that only you can read, and set COMPOSURE_IDENTITY to its path',
    });
  }
  return given || join(stateFolder(env), 'identity');
}

/** This machine's identity; throws IDENTITY_MISSING when there is none that can be used. */
export async function readIdentity(env: NodeJS.ProcessEnv): Promise<Identity> {
  const identity = await findIdentity(env);
  if (identity) return identity;
  throw new Failure('IDENTITY_MISSING', 'this machine has no identity, so it cannot read secrets', {
    where: identityPath(env),
    next: 'composure secrets identity makes one and prints its recipient, for somebody who can read the file to add; or set COMPOSURE_IDENTITY to the file of one that you have',
  });
}

/** As readIdentity, but undefined when no file is there. A file that COMPOSURE_IDENTITY names has to be there. */
export async function findIdentity(env: NodeJS.ProcessEnv): Promise<Identity | undefined> {
  const file = identityPath(env);
  const text = await readText(file);
  if (text === undefined) {
    if (!env.COMPOSURE_IDENTITY) return undefined;
    throw unusable(file, 'the file that COMPOSURE_IDENTITY names does not exist', 'check the path');
  }
  // A file that the user names is the user's to protect: a mounted one often has to be readable by all of a container.
  if (!env.COMPOSURE_IDENTITY && ((await stat(file)).mode & 0o077) !== 0)
    throw unusable(
      file,
      'the identity of this machine may be read by others',
      `chmod 600 ${file}; if others can log in here, make a new one`,
    );
  const lines = text.split(/\r?\n/).map((line) => line.trim());
  const keys = lines.filter((line) => line !== '' && !line.startsWith('#'));
  if (keys.length === 0) throw unusable(file, 'it holds no identity', 'an identity is a line AGE-SECRET-KEY-1…, as age-keygen writes it');
  return { file, keys, recipients: await Promise.all(keys.map((key, index) => publicHalf(key, file, index))) };
}

async function publicHalf(key: string, file: string, index: number): Promise<string> {
  try {
    return await recipientOf(key);
  } catch {
    // The line itself is not shown: it may be a key with one letter wrong.
    throw unusable(
      file,
      `its key ${index + 1} is no age identity`,
      'an identity is a line AGE-SECRET-KEY-1…, as age-keygen writes it; keys of SSH do not work here',
    );
  }
}

async function readText(file: string): Promise<string | undefined> {
  try {
    return await readFileIfThere(file);
  } catch (error) {
    const why = error instanceof Failure ? 'permission denied' : ((error as NodeJS.ErrnoException).code ?? 'it cannot be read');
    throw unusable(file, why, 'run as the user whom the identity belongs to');
  }
}

function unusable(file: string, what: string, next: string): Failure {
  return new Failure('IDENTITY_MISSING', `the identity cannot be used: ${what}`, { where: file, next });
}

/** Makes this machine's identity where it has none, readable by its owner only. Of two who do so at once, both get the same one. */
export async function ensureIdentity(env: NodeJS.ProcessEnv): Promise<{ identity: Identity; created: boolean }> {
  const present = await findIdentity(env);
  if (present) return { identity: present, created: false };
  const file = identityPath(env);
  const folder = stateFolder(env);
  const draft = `${file}.${randomBytes(4).toString('hex')}.tmp`;
  const key = await newIdentity();
  let created = true;
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const text = `# Opens the secrets of this machine's projects. Keep it to yourself, and a copy of it off this machine.\n# recipient: ${await recipientOf(key)}\n${key}\n`;
    await writeFile(draft, text, { mode: 0o600, flush: true, flag: 'wx' });
    await link(draft, file).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
      created = false;
    });
    await syncFolder(folder);
  } catch (error) {
    throw storageFailure(error, file);
  } finally {
    await rm(draft, { force: true }).catch(() => {});
  }
  return { identity: await readIdentity(env), created };
}
