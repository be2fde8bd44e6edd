import { Failure } from '../kit/errors.ts';
import { invalid } from './format.ts';
import type { Recipient } from './model.ts';

/** A private key that opens what was encrypted for its recipient. It is a secret: never print it. */
export type IdentityKey = string;

const age = () => import('age-encryption');

/**
 * Encrypts one value to all recipients. The name is encrypted with it ("NAME=value"): an entry that is moved to another name is refused when
 * it is read. Age hides the value and protects it against changes, but not its length.
 */
export async function encryptValue(name: string, value: string, recipients: readonly Recipient[]): Promise<string> {
  const { armor } = await age();
  return armor.encode(
    await encryptBytes(
      Buffer.from(`${name}=${value}`),
      recipients.map(({ recipient }) => recipient),
    ),
  );
}

/** Throws IDENTITY_REFUSED when none of the keys is a recipient's, SECRETS_INVALID when the entry is damaged or not this name's. */
export async function decryptValue(name: string, armored: string, identities: readonly IdentityKey[], file: string): Promise<string> {
  const { armor } = await age();
  const next = `take the entry's last version that worked from Git, or set it again: composure secrets set ${name}`;
  let bytes: Uint8Array;
  try {
    bytes = armor.decode(armored);
  } catch {
    throw invalid(file, `the entry ${name} is damaged`, { next });
  }
  const plain = await decryptBytes(bytes, identities);
  if (plain === 'no identity') throw refused(name, file);
  const text = plain === 'damaged' ? undefined : utf8(plain);
  if (text === undefined) throw invalid(file, `the entry ${name} is damaged`, { next });
  if (!text.startsWith(`${name}=`)) throw invalid(file, `the entry ${name} holds a value that was encrypted for another name`, { next });
  return text.slice(name.length + 1);
}

function refused(name: string, file: string): Failure {
  return new Failure('IDENTITY_REFUSED', `this machine’s identity cannot read ${name}: it was not encrypted for it`, {
    where: file,
    next: 'composure secrets identity prints this machine’s recipient; somebody who can read the file runs: composure secrets recipients add RECIPIENT',
  });
}

function utf8(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

export async function encryptBytes(content: Uint8Array, recipients: readonly string[]): Promise<Uint8Array> {
  const { Encrypter } = await age();
  const encrypter = new Encrypter();
  for (const recipient of recipients) encrypter.addRecipient(recipient);
  return encrypter.encrypt(content);
}

/** One age file as text, which survives mail and paper; `age --decrypt` reads it as it is. */
export async function encryptText(text: string, recipients: readonly string[]): Promise<string> {
  return (await age()).armor.encode(await encryptBytes(Buffer.from(text), recipients));
}

/** Reads an age file, as bytes or as text with its begin and end lines. */
export async function decryptText(file: Uint8Array, identities: readonly IdentityKey[]): Promise<string | 'no identity' | 'damaged'> {
  const head = Buffer.from(file.subarray(0, 100)).toString('latin1').trimStart();
  let bytes = file;
  if (head.startsWith('-----BEGIN')) {
    try {
      bytes = (await age()).armor.decode(Buffer.from(file).toString('latin1').trim());
    } catch {
      return 'damaged';
    }
  }
  const plain = await decryptBytes(bytes, identities);
  return typeof plain === 'string' ? plain : (utf8(plain) ?? 'damaged');
}

/** The content, or why not: none of the identities fits, or the bytes are no whole age file. */
export async function decryptBytes(
  content: Uint8Array,
  identities: readonly IdentityKey[],
): Promise<Uint8Array | 'no identity' | 'damaged'> {
  const { Decrypter } = await age();
  const decrypter = new Decrypter();
  for (const identity of identities) decrypter.addIdentity(identity);
  try {
    return await decrypter.decrypt(content);
  } catch (error) {
    return error instanceof Error && /no identity matched/.test(error.message) ? 'no identity' : 'damaged';
  }
}

/** For how many recipients an entry was encrypted, which its header says to everybody; undefined when it is no age file. */
export async function countRecipients(armored: string): Promise<number | undefined> {
  const { armor } = await age();
  try {
    const bytes = Buffer.from(armor.decode(armored));
    const end = bytes.indexOf('\n---');
    const header = bytes.subarray(0, end < 0 ? 0 : end).toString('latin1');
    return header.startsWith('age-encryption.org/v1\n') ? header.split('\n').filter((line) => line.startsWith('-> ')).length : undefined;
  } catch {
    return undefined;
  }
}

/** Throws USAGE when the text is no recipient that age can encrypt to. */
export async function checkRecipient(text: string): Promise<void> {
  const refusal = (why: string) =>
    new Failure('USAGE', why, { next: 'a recipient looks like age1…; composure secrets identity (or age-keygen -y) prints it' });
  if (/AGE-SECRET-KEY/i.test(text)) throw refusal('that is a private key, which must be given to nobody');
  if (/^ssh-/.test(text)) throw refusal('keys of SSH cannot be recipients here');
  const { Encrypter } = await age();
  try {
    new Encrypter().addRecipient(text);
  } catch {
    throw refusal(`${JSON.stringify(text.slice(0, 80))} is no age recipient`);
  }
}

export async function recipientOf(identity: IdentityKey): Promise<string> {
  return (await age()).identityToRecipient(identity);
}

/** An X25519 key, which every version of age reads. */
export async function newIdentity(): Promise<IdentityKey> {
  return (await age()).generateX25519Identity();
}
