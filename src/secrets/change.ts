import { Failure } from '../kit/errors.ts';
import { checkRecipient, decryptValue, encryptValue } from './encryption.ts';
import { type Identity, readIdentity } from './identity.ts';
import { type Recipient, SECRET_NAME, type SecretsFile } from './model.ts';
import { changeSecretsFile, refuseEditedRecipients } from './store.ts';

export interface SecretsChanged {
  file: string;
  content: SecretsFile;
  /** Names that are new, and names whose value was there before. */
  added: string[];
  replaced: string[];
}

/** Throws USAGE: a name must be one that an environment variable can have. */
export function checkName(name: string): void {
  if (SECRET_NAME.test(name)) return;
  throw new Failure('USAGE', `${JSON.stringify(name.slice(0, 60))} is no name for a secret`, {
    next: 'use the name of the environment variable that it becomes: letters, digits and _, not a digit first',
  });
}

/** Throws USAGE: no program can be given text with a zero byte as a variable, and neither half characters. */
export function checkValue(name: string, value: string): void {
  if (!value.includes('\0') && value.isWellFormed()) return;
  throw new Failure('USAGE', `the value of ${name} is not text`, { next: 'store binary data as text, for example by base64' });
}

/**
 * Sets values, each encrypted to all recipients. A file that does not exist yet, or has no recipients, gets `first` as its recipient.
 * Needs no identity: whoever has the file can add to it.
 */
export async function setSecrets(
  file: string,
  values: Readonly<Record<string, string>>,
  first: () => Promise<Recipient>,
): Promise<SecretsChanged> {
  for (const [name, value] of Object.entries(values)) {
    checkName(name);
    checkValue(name, value);
  }
  const names = Object.keys(values);
  let replaced: string[] = [];
  const content = await changeSecretsFile(file, `secrets set ${names.join(' ')}`, async (before) => {
    const recipients = before.recipients.length > 0 ? before.recipients : [await first()];
    await refuseEditedRecipients({ ...before, recipients }, file);
    replaced = names.filter((name) => name in before.secrets);
    const fresh = await Promise.all(
      Object.entries(values).map(async ([name, value]) => [name, await encryptValue(name, value, recipients)] as const),
    );
    return { recipients, secrets: { ...before.secrets, ...Object.fromEntries(fresh) } };
  });
  return { file, content, replaced, added: names.filter((name) => !replaced.includes(name)) };
}

/** Throws SECRET_UNKNOWN when one of the names is not there; then nothing is removed. */
export function removeSecrets(file: string, names: readonly string[]): Promise<SecretsFile> {
  return changeSecretsFile(file, `secrets rm ${names.join(' ')}`, async (before) => {
    const missing = names.find((name) => !(name in before.secrets));
    if (missing !== undefined) throw unknownSecret(missing, file, Object.keys(before.secrets));
    return { ...before, secrets: Object.fromEntries(Object.entries(before.secrets).filter(([name]) => !names.includes(name))) };
  });
}

export function unknownSecret(name: string, file: string, known: readonly string[]): Failure {
  return new Failure('SECRET_UNKNOWN', `there is no secret ${name}`, {
    where: file,
    next: known.length > 0 ? `there are: ${[...known].sort().join(', ')}` : `composure secrets set ${name}`,
  });
}

/**
 * Changes who can read the file and encrypts every value anew, for which this machine must be able to read them all. What a recipient
 * could read before stays readable for it in Git's history: removing one protects only values that are set afterwards.
 */
export function changeRecipients(
  file: string,
  env: NodeJS.ProcessEnv,
  change: (before: readonly Recipient[]) => Recipient[],
): Promise<SecretsFile> {
  return changeSecretsFile(file, 'secrets recipients', async (before) => {
    const recipients = change(before.recipients);
    if (recipients.length === 0) {
      throw new Failure('USAGE', 'the last recipient cannot be removed: nobody could read the file any more', {
        where: file,
        next: 'add another recipient first',
      });
    }
    const names = Object.keys(before.secrets);
    const identity = names.length > 0 ? await readIdentity(env) : undefined;
    const secrets = await Promise.all(
      names.map(async (name) => [name, await encryptAgain(name, before, recipients, identity, file)] as const),
    );
    return { recipients, secrets: Object.fromEntries(secrets) };
  });
}

async function encryptAgain(
  name: string,
  before: SecretsFile,
  recipients: readonly Recipient[],
  identity: Identity | undefined,
  file: string,
): Promise<string> {
  return encryptValue(name, await decryptValue(name, before.secrets[name] ?? '', identity?.keys ?? [], file), recipients);
}

/** For changeRecipients: adds one, or gives one that is there another label. Throws USAGE when the text is no recipient. */
export async function addingRecipient(
  recipient: string,
  label: string | undefined,
): Promise<(before: readonly Recipient[]) => Recipient[]> {
  await checkRecipient(recipient);
  return (before) => {
    const present = before.find((entry) => entry.recipient === recipient);
    if (!present) return [...before, { recipient, label: label ?? '' }];
    return before.map((entry) => (entry === present && label !== undefined ? { ...entry, label } : entry));
  };
}

/** The one that a recipient or a label names. Throws USAGE when there is none, or several. */
export function findRecipient(recipients: readonly Recipient[], named: string): Recipient {
  const found = recipients.filter(({ recipient, label }) => recipient === named || label === named);
  if (found.length === 1 && found[0]) return found[0];
  throw new Failure('USAGE', found.length === 0 ? `${named} is no recipient of this file` : `several recipients are called ${named}`, {
    next:
      found.length === 0
        ? `its recipients are: ${recipients.map(({ recipient, label }) => label || recipient).join(', ') || 'none'}`
        : 'give the recipient itself (age1…)',
  });
}
