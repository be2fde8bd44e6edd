import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Failure } from '../../kit/errors.ts';
import type { Report } from '../../kit/events.ts';
import { edgeFolder } from '../../state/folder.ts';
import { takeLock } from '../../state/lock.ts';
import type { Edge, EdgeState } from '../model.ts';
import type { Challenges } from './order.ts';
import { coversHost, joinCertificate, readCertificate } from './pem.ts';
import { type CertificateStep, type FailedAttempts, type HeldCertificate, planCertificates, renewalTime } from './plan.ts';
import { readyHosts } from './status.ts';
import { certificateText, fileNameOf, heldCertificate, readRecord, writeRecord } from './store.ts';
import type { AcmeProblem } from './transport.ts';
import { type AcmeSettings, type CertificateSource, wantedHosts } from './wanted.ts';

/** The part of the edge that certificates need. */
export interface CertificateEdge extends Challenges, Pick<Edge, 'change'> {
  /** Keeps chain and key (PEM) for a host on disk and lets new handshakes use it at once, without a reload. */
  installCertificate(host: string, pem: string): Promise<void>;
}

export interface CertificateResult {
  host: string;
  /** What was done; `wait` and `keep` did nothing. */
  action: CertificateStep['action'];
  why: string;
  /** Set when the host could not be served: the others were, all the same. */
  failure?: Failure;
  /** When to look at this host again. Milliseconds since 1970. */
  at: number;
}

/** How many orders run at the same time. */
const AT_ONCE = 3;

/**
 * Brings every wanted host's certificate up to date: issues, renews and installs what is due, one certificate per host. Hosts whose
 * certificate works are then redirected to HTTPS where their route says so, the others are not.
 * A host that fails is reported and remembered; it never keeps the others from theirs, and this never throws for it.
 */
export async function obtainCertificates(
  edge: CertificateEdge,
  state: EdgeState,
  { stateFolder, now = Date.now, report, signal }: { stateFolder: string; now?: () => number; report: Report; signal?: AbortSignal },
): Promise<CertificateResult[]> {
  const context = { edge, stateFolder, now, report, signal };
  const queue = [...wantedHosts(state)];
  const results: CertificateResult[] = [];
  const worker = async () => {
    for (let next = queue.shift(); next && !signal?.aborted; next = queue.shift()) results.push(await obtainOne(context, ...next));
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  await releaseRedirects(edge, state, await readyHosts(stateFolder, state, now()));
  return results;
}

/** Tells the edge which hosts may be redirected to HTTPS, when that changed. */
async function releaseRedirects(edge: CertificateEdge, state: EdgeState, ready: Set<string>): Promise<void> {
  const secureHosts = [...ready].sort();
  if (secureHosts.join() === (state.secureHosts ?? []).join()) return;
  await edge.change((present) => ({ ...present, secureHosts }));
}

interface Context {
  edge: CertificateEdge;
  stateFolder: string;
  now: () => number;
  report: Report;
  signal: AbortSignal | undefined;
}

async function obtainOne(context: Context, host: string, source: CertificateSource): Promise<CertificateResult> {
  try {
    return source.kind === 'file' ? await installOwn(context, host, source) : await issue(context, host, source.acme);
  } catch (error) {
    context.signal?.throwIfAborted();
    const failure =
      error instanceof Failure
        ? error
        : new Failure('CERTIFICATE_FAILED', `certificate of ${host}: ${(error as Error).message}`, { cause: error });
    context.report({ kind: 'warning', text: [failure.message, ...failure.details].join('; ') });
    return { host, action: 'wait', why: failure.message, failure, at: context.now() + 60_000 };
  }
}

async function planHost(context: Context, host: string, directory: string): Promise<CertificateStep> {
  const [held, record] = await Promise.all([heldCertificate(context.stateFolder, host), readRecord(context.stateFolder, host)]);
  const have: HeldCertificate[] =
    held && coversHost(held.names, host)
      ? [
          {
            host,
            notBefore: held.notBefore,
            notAfter: held.notAfter,
            directory: record.source?.kind === 'acme' ? record.source.directory : 'a file',
          },
        ]
      : [];
  const [step] = planCertificates({
    wanted: [{ host, directory }],
    have,
    failures: record.failures ? { [host]: record.failures } : {},
    now: context.now(),
  });
  if (!step) throw new Error(`no step for ${host}`);
  return step;
}

async function issue(context: Context, host: string, settings: AcmeSettings | undefined): Promise<CertificateResult> {
  if (!settings) {
    throw new Failure('CERTIFICATE_FAILED', `certificate of ${host}: no e-mail address for the certificate authority`, {
      where: host,
      next: 'set x-composure.edge.acme.email',
    });
  }
  const due = (step: CertificateStep) => step.action === 'issue' || step.action === 'renew';
  const first = await planHost(context, host, settings.directory);
  if (!due(first)) return first;
  // A deploy and the agent may both find the same host due: the second one finds it done.
  const lock = await takeLock(join(edgeFolder(context.stateFolder), 'acme', 'hosts', `${fileNameOf(host)}.lock`), {
    purpose: `certificate of ${host}`,
    waitMs: 180_000,
  });
  try {
    const step = await planHost(context, host, settings.directory);
    if (!due(step)) return step;
    return await order(context, host, settings, step);
  } finally {
    await lock.release();
  }
}

async function order(context: Context, host: string, settings: AcmeSettings, step: CertificateStep): Promise<CertificateResult> {
  const { stateFolder, report, edge } = context;
  const name = `certificate ${host}`;
  const began = performance.now();
  report({
    kind: 'step-start',
    step: name,
    text: `${step.action === 'renew' ? 'renewing' : 'ordering'} the certificate of ${host}: ${step.why}`,
  });
  try {
    // The client and what it brings are a tenth of an agent's memory, and most of the time nothing is due.
    const { orderCertificate } = await import('./order.ts');
    const pem = await orderCertificate({
      stateFolder,
      acme: settings,
      host,
      challenges: edge,
      ...(context.signal ? { signal: context.signal } : {}),
    });
    await edge.installCertificate(host, pem);
    const { notBefore, notAfter, issuer } = readCertificate(pem);
    await writeRecord(stateFolder, { host, source: { kind: 'acme', directory: settings.directory }, installedAt: context.now() });
    const ms = performance.now() - began;
    report({
      kind: 'step-done',
      step: name,
      text: `${host} has a certificate of ${issuer} until ${new Date(notAfter).toISOString().slice(0, 10)}`,
      ms,
    });
    return { ...step, at: renewalTime({ notBefore, notAfter }) };
  } catch (error) {
    context.signal?.throwIfAborted();
    await remember(context, host, error);
    report({ kind: 'step-failed', step: name, text: `no certificate for ${host}`, ms: performance.now() - began });
    throw error;
  }
}

/** A failure is kept so that the next attempt, also that of another process, knows how long to wait. */
async function remember({ stateFolder, now }: Context, host: string, error: unknown): Promise<void> {
  const record = await readRecord(stateFolder, host);
  const problem = error instanceof Failure ? (error.cause as AcmeProblem | undefined) : undefined;
  const failures: FailedAttempts = {
    at: [...(record.failures?.at ?? []), now()].slice(-10),
    message: error instanceof Failure ? [error.message, ...error.details].join('; ') : (error as Error).message,
    ...(typeof problem?.retryAt === 'number' ? { notBefore: problem.retryAt } : {}),
  };
  await writeRecord(stateFolder, { ...record, failures });
}

async function installOwn(
  { edge, stateFolder, now, report }: Context,
  host: string,
  files: { certificateFile: string; keyFile: string },
): Promise<CertificateResult> {
  const [chain, key] = await Promise.all([files.certificateFile, files.keyFile].map((path) => readOwn(host, path)));
  const pem = joinCertificate(host, chain ?? '', key ?? '', now(), { certificate: files.certificateFile, key: files.keyFile });
  const { notAfter } = readCertificate(pem);
  const record = await readRecord(stateFolder, host);
  const until = new Date(notAfter).toISOString().slice(0, 10);
  if (record.source?.kind === 'file' && (await certificateText(stateFolder, host)) === pem) {
    return { host, action: 'keep', why: `own certificate, valid until ${until}`, at: notAfter };
  }
  await edge.installCertificate(host, pem);
  await writeRecord(stateFolder, { host, source: { kind: 'file', certificateFile: files.certificateFile }, installedAt: now() });
  report({ kind: 'note', text: `${host} has its own certificate from ${files.certificateFile}, valid until ${until}` });
  return { host, action: 'issue', why: 'the files changed', at: notAfter };
}

async function readOwn(host: string, path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new Failure('CERTIFICATE_FAILED', `certificate of ${host}: cannot read ${path} (${(error as NodeJS.ErrnoException).code})`, {
      where: path,
      next: 'give paths that exist on this machine and that this user may read',
      cause: error,
    });
  }
}
