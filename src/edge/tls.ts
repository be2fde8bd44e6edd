import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { readFileIfThere, writeFileDurably } from '../kit/files.ts';
import { certificateFolder, configPath } from './files.ts';
import { CERTIFICATE_LIST, DEFAULT_CERTIFICATE, INSIDE } from './render.ts';
import { adminSocket, ask } from './socket.ts';

/** HAProxy's own path of a certificate of the edge folder. */
const insidePath = (name: string): string => `${INSIDE}/certs/${name}.pem`;

/** A payload and its command must fit into HAProxy's command buffer. */
const LONGEST_PAYLOAD = 15_000;

/** Why a PEM text cannot be served, or undefined when it can: it must hold a certificate and the key that belongs to it. */
export function certificateProblem(pem: string): string | undefined {
  try {
    const certificate = new X509Certificate(pem);
    const key = /-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]+?-----END [A-Z ]*PRIVATE KEY-----/.exec(pem)?.[0];
    if (!key) return 'it holds no private key';
    return certificate.checkPrivateKey(createPrivateKey(key)) ? undefined : 'its key belongs to another certificate';
  } catch {
    return 'it holds no certificate and key that can be read';
  }
}

export interface CertificateFiles {
  /** File names without ".pem". */
  good: string[];
  bad: { name: string; why: string }[];
}

export async function listCertificates(folder: string): Promise<CertificateFiles> {
  const names = await readdir(certificateFolder(folder)).catch(() => [] as string[]);
  const files: CertificateFiles = { good: [], bad: [] };
  for (const name of names
    .filter((file) => /^[A-Za-z0-9._-]+\.pem$/.test(file))
    .map((file) => file.slice(0, -4))
    .sort()) {
    const why = certificateProblem((await readFileIfThere(join(certificateFolder(folder), `${name}.pem`))) ?? '');
    if (why === undefined) files.good.push(name);
    else files.bad.push({ name, why });
  }
  return files;
}

/**
 * Writes the list of certificates that HAProxy starts from: a self-signed one for names that have none yet, then all good ones.
 * A bad file is left out, so that it costs no other host its certificate. Returns what was left out.
 */
export async function writeCertificateList(folder: string, leaveOut: string[] = []): Promise<CertificateFiles> {
  if (certificateProblem((await readFileIfThere(configPath(folder, 'default.pem'))) ?? '') !== undefined) {
    await writeFileDurably(configPath(folder, 'default.pem'), await selfSigned());
  }
  const files = await listCertificates(folder);
  const good = files.good.filter((name) => !leaveOut.includes(name));
  const text = [DEFAULT_CERTIFICATE, ...good.map(insidePath)].map((path) => `${path}\n`).join('');
  const path = configPath(folder, 'certificates.list');
  if ((await readFileIfThere(path)) !== text) await writeFileDurably(path, text);
  return { good, bad: [...files.bad, ...leaveOut.map((name) => ({ name, why: 'HAProxy refuses it' }))] };
}

/** What is shown for a name without a certificate. Loaded only when needed: issuing takes a library that is slow to start. */
async function selfSigned(): Promise<string> {
  await import('reflect-metadata');
  const x509 = await import('@peculiar/x509');
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: 'CN=no certificate yet',
    notBefore: new Date(Date.now() - 86_400_000),
    notAfter: new Date(Date.now() + 3650 * 86_400_000),
    signingAlgorithm: algorithm,
    keys,
    extensions: [new x509.SubjectAlternativeNameExtension([{ type: 'dns', value: 'edge.invalid' }])],
  });
  const key = x509.PemConverter.encode(await crypto.subtle.exportKey('pkcs8', keys.privateKey), 'PRIVATE KEY');
  return `${certificate.toString('pem')}\n${key}\n`;
}

/**
 * Lets a running HAProxy use a certificate file at once, for new handshakes, without a reload. Returns undefined when that was done
 * (or nothing is encrypted now), else why it could not be done at run time.
 */
export async function bringCertificateLive(folder: string, generation: number, name: string, pem: string): Promise<string | undefined> {
  const socket = adminSocket(folder, generation);
  const path = insidePath(name);
  const list = await ask(socket, `show ssl crt-list ${CERTIFICATE_LIST}`);
  if (!list.includes(DEFAULT_CERTIFICATE)) return undefined;
  if (pem.length > LONGEST_PAYLOAD) return 'it is too long for the runtime socket';
  const known = (await ask(socket, `show ssl cert ${path}`)).includes('Filename:');
  if (!known) await ask(socket, `new ssl cert ${path}`);
  const payload = pem
    .split(/\r?\n/)
    .filter((line) => line.trim() !== '')
    .join('\n');
  const set = await ask(socket, `set ssl cert ${path} <<\n${payload}\n`);
  const commit = /Transaction (created|updated)/.test(set) ? await ask(socket, `commit ssl cert ${path}`) : set;
  if (!commit.includes('Success!')) {
    await ask(socket, `abort ssl cert ${path}`);
    if (!known) await ask(socket, `del ssl cert ${path}`);
    return oneLine(commit);
  }
  if (list.split('\n').some((line) => line.startsWith(path))) return undefined;
  const added = await ask(socket, `add ssl crt-list ${CERTIFICATE_LIST} ${path}`);
  return added.includes('Success!') ? undefined : oneLine(added);
}

const oneLine = (text: string): string =>
  text
    .split('\n')
    .map((line) => line.trim())
    .filter(Boolean)
    .join(' ');
