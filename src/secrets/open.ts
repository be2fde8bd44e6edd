import { createHmac } from 'node:crypto';
import { unknownSecret } from './change.ts';
import { decryptValue } from './encryption.ts';
import { invalid } from './format.ts';
import { type Identity, readIdentity } from './identity.ts';
import type { SecretsPlace } from './model.ts';
import { readSecretsFiles } from './store.ts';

/** A project's secrets, each decrypted when it is asked for. */
export interface Secrets {
  /** The files they come from, absolute, the one that is asked first in front. Safe to copy anywhere. */
  files: string[];
  names: string[];
  /** Throws SECRET_UNKNOWN, IDENTITY_MISSING, IDENTITY_REFUSED, SECRETS_INVALID. The answer goes to the environment or the stdin of a program, and nowhere else. */
  value(name: string): Promise<string>;
  /** Changes with the value and says nothing about it to who has not this machine's identity: safe to keep and to print. */
  fingerprint(name: string): Promise<string>;
}

/** The secrets of the project in a folder, or undefined when it has no file of secrets. Reads no identity until a value is asked for. */
export async function openSecrets(place: SecretsPlace, env: NodeJS.ProcessEnv): Promise<Secrets | undefined> {
  const files = await readSecretsFiles(place);
  const first = files[0];
  if (!first) return undefined;
  const values = new Map<string, Promise<string>>();
  let identity: Promise<Identity> | undefined;
  const names = [...new Set(files.flatMap(({ content }) => Object.keys(content.secrets)))].sort();

  const key = () => {
    identity ??= readIdentity(env);
    return identity;
  };
  const decrypt = async (name: string): Promise<string> => {
    const holder = files.find(({ content }) => name in content.secrets);
    if (!holder) throw unknownSecret(name, first.file, names);
    return decryptValue(name, holder.content.secrets[name] ?? '', (await key()).keys, holder.file);
  };
  const value = (name: string): Promise<string> => {
    const known = values.get(name) ?? decrypt(name);
    values.set(name, known);
    return known;
  };
  return {
    files: files.map(({ file }) => file),
    names,
    value,
    fingerprint: async (name) =>
      createHmac('sha256', (await key()).keys.join('\n'))
        .update(await value(name))
        .digest('hex'),
  };
}

/** What the kernel lets one variable of a new process be, "NAME=value" and its end: MAX_ARG_STRLEN of 32 pages. */
const MAX_VARIABLE_BYTES = 131_072;

/** Those secrets as the environment of a program. Throws what `value` throws, and SECRETS_INVALID for one that is too long for that. */
export async function secretEnvironment(secrets: Secrets, names: readonly string[]): Promise<Record<string, string>> {
  const entries = await Promise.all(names.map(async (name) => [name, await secrets.value(name)] as const));
  for (const [name, value] of entries) {
    const bytes = Buffer.byteLength(value);
    if (name.length + 1 + bytes + 1 <= MAX_VARIABLE_BYTES) continue;
    throw invalid(secrets.files[0] ?? '', `${name} has ${bytes} bytes, and a variable may have about 128 KiB`, {
      next: `write it into a file and mount that: composure secrets get ${name} > FILE, mode 600`,
    });
  }
  return Object.fromEntries(entries);
}
