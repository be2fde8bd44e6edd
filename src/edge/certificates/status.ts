import type { EdgeState } from '../model.ts';
import { coversHost } from './pem.ts';
import { renewalTime } from './plan.ts';
import { heldCertificate, readRecord } from './store.ts';
import { wantedHosts } from './wanted.ts';

export interface CertificateStatus {
  host: string;
  /** `missing`: visitors of HTTPS get the edge's self-signed default. `due`: to be renewed; it still works. */
  state: 'valid' | 'due' | 'expired' | 'missing';
  source: string;
  issuer?: string;
  /** Milliseconds since 1970. */
  notBefore?: number;
  notAfter?: number;
  renewAt?: number;
  lastFailure?: { at: number; message: string };
}

/** How each host that wants TLS stands, read from the state folder; it asks nobody. */
export async function certificateStatus(stateFolder: string, state: EdgeState, now: number): Promise<CertificateStatus[]> {
  return Promise.all(
    [...wantedHosts(state)].map(async ([host, source]) => {
      const [held, record] = await Promise.all([heldCertificate(stateFolder, host), readRecord(stateFolder, host)]);
      const from = source.kind === 'file' ? source.certificateFile : (source.acme?.directory ?? 'no certificate authority set');
      const failedAt = record.failures?.at.at(-1);
      const lastFailure =
        record.failures && failedAt !== undefined ? { lastFailure: { at: failedAt, message: record.failures.message } } : {};
      if (!held || !coversHost(held.names, host)) return { host, state: 'missing', source: from, ...lastFailure } as const;
      const { notBefore, notAfter, issuer } = held;
      const renewAt = renewalTime(held);
      const standing = notAfter <= now ? 'expired' : renewAt <= now && source.kind === 'acme' ? 'due' : 'valid';
      return {
        host,
        state: standing,
        source: from,
        issuer,
        notBefore,
        notAfter,
        ...(source.kind === 'acme' ? { renewAt } : {}),
        ...lastFailure,
      } as const;
    }),
  );
}

/** Hosts whose certificate works now: only these may be redirected from HTTP to HTTPS. */
export async function readyHosts(stateFolder: string, state: EdgeState, now: number): Promise<Set<string>> {
  const all = await certificateStatus(stateFolder, state, now);
  return new Set(all.filter(({ state }) => state === 'valid' || state === 'due').map(({ host }) => host));
}
