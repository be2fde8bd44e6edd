import { lookup } from 'node:dns/promises';
import { networkInterfaces } from 'node:os';
import type { AcmeProblem } from './transport.ts';

/** What this machine knows about a host name, gathered after the authority said no. */
export interface HostFacts {
  /** Addresses that the name has in DNS as seen from here. */
  resolved: string[];
  /** Addresses of this machine's interfaces. */
  local: string[];
}

export async function observeHost(host: string): Promise<HostFacts> {
  const local = Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map((entry) => entry.address));
  try {
    return { resolved: (await lookup(host, { all: true })).map((entry) => entry.address), local };
  } catch {
    return { resolved: [], local };
  }
}

/** The most probable cause of an authority's refusal and what to do about it, in plain words. */
export function probableReason(host: string, problem: AcmeProblem | undefined, facts: HostFacts): { why: string; next: string } {
  const elsewhere = facts.resolved.length > 0 && !facts.resolved.some((address) => facts.local.includes(address));
  const points = elsewhere
    ? `${host} points to ${facts.resolved.join(', ')}, which is no address of this machine (right only when a router or load balancer in front of it passes port 80 on)`
    : undefined;
  switch (problem?.type) {
    case undefined:
      return {
        why: 'the certificate authority did not answer as it should',
        next: 'check that this server reaches the authority; it is tried again by itself',
      };
    case 'dns':
      return { why: `DNS has no usable address for ${host}`, next: `create an A or AAAA record for ${host} that points to this server` };
    case 'connection':
      return {
        why: points ?? `the authority could not open http://${host}/ from outside: port 80 is not reachable`,
        next: points
          ? `let the DNS record of ${host} point to this server`
          : 'open port 80 in the firewall of the server and of the hosting provider',
      };
    case 'unauthorized':
    case 'incorrectResponse':
      return {
        why: points ?? `something other than this edge answered on http://${host}/`,
        next: `let the DNS record of ${host} point to this server, and nothing else answer there on port 80 (an old AAAA record is a frequent cause)`,
      };
    case 'caa':
      return { why: `a CAA record of ${host} forbids this authority`, next: 'change the CAA record, or use the authority that it names' };
    case 'rateLimited':
      return {
        why: 'the authority limits how often certificates are asked for',
        next: 'wait; it is tried again when the authority allows it',
      };
    case 'rejectedIdentifier':
      return { why: `the authority gives no certificates for the name ${host}`, next: 'use a public host name, or own certificate files' };
    case 'externalAccountRequired':
      return { why: 'the authority wants an account made beforehand', next: 'use a directory that takes new accounts' };
    case 'invalidContact':
      return { why: 'the authority does not accept the e-mail address', next: 'correct x-composure.edge.acme.email' };
    default:
      return { why: `the authority refused (${problem?.type})`, next: 'see what it said above; it is tried again by itself' };
  }
}
