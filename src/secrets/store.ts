import { realpath } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { Failure } from '../kit/errors.ts';
import { readFileIfThere, writeFileDurably } from '../kit/files.ts';
import { takeLock } from '../state/lock.ts';
import { countRecipients } from './encryption.ts';
import { invalid, parseSecretsFile, printSecretsFile } from './format.ts';
import { type SecretsFile, type SecretsPlace, secretsPath } from './model.ts';

/** How long a change waits for another one, which takes well under a second. */
const WAIT_MS = 30_000;

export const EMPTY: SecretsFile = { recipients: [], secrets: {} };

/** The files that hold the project's secrets, the one that is asked first in front; those that are not there are left out. */
export async function readSecretsFiles(place: SecretsPlace): Promise<{ file: string; content: SecretsFile }[]> {
  const paths = [...(place.environment === undefined ? [] : [secretsPath(place)]), secretsPath({ folder: place.folder })];
  const found = await Promise.all(paths.map(async (file) => ({ file, content: await readSecretsFile(file) })));
  return found.flatMap(({ file, content }) => (content ? [{ file, content }] : []));
}

export async function readSecretsFile(file: string): Promise<SecretsFile | undefined> {
  const text = await readFileIfThere(file);
  return text === undefined ? undefined : parseSecretsFile(text, file);
}

/**
 * Changes the file while no other command does, and replaces it in one step. `change` gets what is there (nothing, when there is no file)
 * and answers what is to be there. Throws what it throws, SECRETS_INVALID, LOCKED, and what storage refuses.
 */
export async function changeSecretsFile(
  file: string,
  purpose: string,
  change: (before: SecretsFile) => Promise<SecretsFile>,
): Promise<SecretsFile> {
  // A link, as releases in folders of their own have it, is kept: what it points to is changed.
  const target = await realpath(file).catch(() => file);
  const lock = await takeLock(join(dirname(target), `.${basename(target)}.lock`), { purpose, waitMs: WAIT_MS }).catch((error: unknown) => {
    if (!(error instanceof Failure) || error.code !== 'LOCKED') throw error;
    throw new Failure('LOCKED', error.message, { where: file, next: 'wait for it to end, then run the command again', cause: error });
  });
  try {
    const after = await change((await readSecretsFile(target)) ?? EMPTY);
    await writeFileDurably(target, printSecretsFile(after), 0o644);
    return after;
  } finally {
    await lock.release();
  }
}

/** Names of entries that were encrypted for another number of recipients than the file lists. */
export async function outOfStep({ recipients, secrets }: SecretsFile): Promise<string[]> {
  const counts = await Promise.all(Object.entries(secrets).map(async ([name, armored]) => [name, await countRecipients(armored)] as const));
  return counts.flatMap(([name, count]) => (count === recipients.length ? [] : [name])).sort();
}

/**
 * Refuses to encrypt anything new while the list of recipients is not the one that the values were encrypted for: whoever edited the list
 * by hand could otherwise read what is set from now on.
 */
export async function refuseEditedRecipients(content: SecretsFile, file: string): Promise<void> {
  const names = await outOfStep(content);
  if (names.length === 0) return;
  throw invalid(
    file,
    `${names.join(', ')} ${names.length === 1 ? 'was' : 'were'} not encrypted for the ${content.recipients.length} recipients that it lists`,
    {
      next: 'look at the recipients (composure secrets recipients list) and at their history in Git; if they are right: composure secrets recipients sync',
    },
  );
}
