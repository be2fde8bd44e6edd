import { createHash } from 'node:crypto';
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { readFileIfThere, writeFileDurably } from '../../kit/files.ts';
import { edgeFolder } from '../../state/folder.ts';
import { type CertificateFacts, readCertificate } from './pem.ts';
import type { FailedAttempts } from './plan.ts';

/** What is remembered of a host beside its certificate file. */
export interface HostRecord {
  host: string;
  /** Where the certificate in force came from: an ACME directory, or the user's own file. */
  source?: { kind: 'acme'; directory: string } | { kind: 'file'; certificateFile: string };
  /** Milliseconds since 1970. */
  installedAt?: number;
  failures?: FailedAttempts;
}

export interface Account {
  directory: string;
  /** PEM. */
  key: string;
  /** Given by the authority at registration. */
  url?: string;
}

/** A host name as a file name: a wildcard's star becomes "_", which no host name begins with. */
export const fileNameOf = (host: string): string => host.replace(/^\*/, '_').replaceAll(/[^a-z0-9._-]/g, '-');

const certificatePath = (state: string, host: string): string => join(edgeFolder(state), 'certs', `${fileNameOf(host)}.pem`);
const recordPath = (state: string, host: string): string => join(edgeFolder(state), 'acme', 'hosts', `${fileNameOf(host)}.json`);

function accountFolder(state: string, directory: string): string {
  const digest = createHash('sha256').update(directory).digest('hex').slice(0, 12);
  return join(edgeFolder(state), 'acme', 'accounts', `${new URL(directory).hostname}-${digest}`);
}

/** The facts of the certificate that the edge holds for a host; undefined when there is none or it cannot be read. */
export async function heldCertificate(state: string, host: string): Promise<CertificateFacts | undefined> {
  const pem = await readFileIfThere(certificatePath(state, host));
  if (pem === undefined) return undefined;
  try {
    return readCertificate(pem);
  } catch {
    return undefined;
  }
}

/** The certificate file's text: chain and key. */
export const certificateText = (state: string, host: string): Promise<string | undefined> => readFileIfThere(certificatePath(state, host));

/** Hosts that have a certificate file, by file name. */
export async function certificateFiles(state: string): Promise<string[]> {
  const folder = join(edgeFolder(state), 'certs');
  await mkdir(folder, { recursive: true, mode: 0o700 });
  return (await readdir(folder)).filter((name) => name.endsWith('.pem')).map((name) => name.slice(0, -'.pem'.length));
}

/** A record that cannot be read counts as none: it only holds what can be found out again. */
export async function readRecord(state: string, host: string): Promise<HostRecord> {
  const text = await readFileIfThere(recordPath(state, host));
  try {
    const record = JSON.parse(text ?? '') as HostRecord;
    return record.host === host ? record : { host };
  } catch {
    return { host };
  }
}

export const writeRecord = (state: string, record: HostRecord): Promise<void> =>
  writeFileDurably(recordPath(state, record.host), `${JSON.stringify(record, undefined, 2)}\n`);

export const removeRecord = (state: string, host: string): Promise<void> => rm(recordPath(state, host), { force: true });

export async function readAccount(state: string, directory: string): Promise<Account | undefined> {
  const folder = accountFolder(state, directory);
  const key = await readFileIfThere(join(folder, 'key.pem'));
  if (key === undefined) return undefined;
  const text = await readFileIfThere(join(folder, 'account.json'));
  try {
    const { url } = JSON.parse(text ?? '') as { url: string };
    return { directory, key, url };
  } catch {
    return { directory, key };
  }
}

/** The key is written before the account's address: a crash between the two registers the same key again, which gives the same account. */
export async function writeAccount(state: string, account: Account): Promise<void> {
  const folder = accountFolder(state, account.directory);
  await writeFileDurably(join(folder, 'key.pem'), account.key);
  const about = { directory: account.directory, ...(account.url ? { url: account.url } : {}) };
  await writeFileDurably(join(folder, 'account.json'), `${JSON.stringify(about, undefined, 2)}\n`);
}
