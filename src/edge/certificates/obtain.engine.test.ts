import { globSync } from 'node:fs';
import { copyFile, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type Pebble, startPebble } from '../../../test/support/pebble.ts';
import { freePort, releasePort } from '../../../test/support/ports.ts';
import { writeFileDurably } from '../../kit/files.ts';
import { edgeFolder } from '../../state/folder.ts';
import type { EdgeState } from '../model.ts';
import { type CertificateEdge, obtainCertificates } from './obtain.ts';
import { certificateStatus, readyHosts } from './status.ts';
import { fileNameOf, readRecord } from './store.ts';

const DAY = 86_400_000;

interface Site {
  stateFolder: string;
  pebble: Pebble;
  /** Serves challenges on the port that the authority looks at, except for hosts that begin with "bad". */
  edge: CertificateEdge;
  /** In order: what the edge was asked to do. */
  calls: string[];
  state: (hosts: string[], over?: { email?: string; caFile?: string }) => EdgeState;
  obtain: (hosts: string[], now?: number, over?: { email?: string; caFile?: string }) => ReturnType<typeof obtainCertificates>;
}

async function withSite(options: { rejectedNonces?: number }, body: (site: Site) => Promise<void>): Promise<void> {
  const stateFolder = await mkdtemp(join(tmpdir(), 'composure-test-certificates-'));
  const httpPort = await freePort();
  const challenges = new Map<string, string>();
  const calls: string[] = [];
  const server = createServer((request, response) => {
    const host = request.headers.host?.split(':')[0] ?? '';
    const answer = host.startsWith('bad') ? undefined : challenges.get(request.url?.replace('/.well-known/acme-challenge/', '') ?? '');
    response.writeHead(answer === undefined ? 404 : 200).end(answer);
  });
  await new Promise<void>((resolve) => server.listen(httpPort, '127.0.0.1', resolve));
  const pebble = await startPebble({ httpPort, ...(options.rejectedNonces ? { rejectedNonces: options.rejectedNonces } : {}) });
  // Pebble takes its own copy away with it.
  const caFile = join(stateFolder, 'ca.pem');
  await copyFile(pebble.caFile, caFile);
  const state: Site['state'] = (hosts, over = {}) => ({
    version: 1,
    settings: { httpPort: 80, httpsPort: 443, image: '', addressPool: '', takeovers: [] },
    projects: {
      shop: {
        network: { name: '', subnet: '' },
        nextAddress: 2,
        acme: { email: over.email ?? 'ops@shop.test', directory: pebble.directoryUrl, caFile: over.caFile ?? caFile },
        backends: {
          web: {
            ...{
              name: 'web',
              service: 'web',
              port: 3000,
              healthIntervalMs: 500,
              timeouts: { responseMs: 1, tunnelMs: 1 },
              compress: false,
            },
            ...{ maxBodyBytes: 0, securityHeaders: false, servers: [], hold: false, holdMs: 0 },
            routes: hosts.map((host) => ({ kind: 'http', host, path: '/', redirectFrom: [], tls: 'acme', redirectToHttps: true })),
          },
        },
      },
    },
  });
  let stored: EdgeState | undefined;
  const edge: CertificateEdge = {
    async change(mutate) {
      stored = mutate(stored ?? state([]));
    },
    async setChallenge(token, keyAuthorization) {
      calls.push('set');
      challenges.set(token, keyAuthorization);
    },
    async clearChallenge(token) {
      calls.push('clear');
      challenges.delete(token);
    },
    async installCertificate(host, pem) {
      calls.push(`install ${host}`);
      await writeFileDurably(join(edgeFolder(stateFolder), 'certs', `${fileNameOf(host)}.pem`), pem);
    },
  };
  const obtain: Site['obtain'] = (hosts, now = Date.now(), over = {}) =>
    obtainCertificates(edge, state(hosts, over), { stateFolder, now: () => now, report: () => {} });
  try {
    await body({ stateFolder, pebble, edge, calls, state, obtain });
    expect(challenges.size).toBe(0);
  } finally {
    await pebble.stop();
    server.close();
    releasePort(httpPort);
    await rm(stateFolder, { recursive: true, force: true });
  }
}

test('issues, keeps, renews, and rides out an authority that is down', { timeout: 120_000 }, async () => {
  await withSite({}, async ({ stateFolder, pebble, obtain, state, calls }) => {
    const host = 'shop.test';
    expect(await certificateStatus(stateFolder, state([host]), Date.now())).toMatchObject([{ host, state: 'missing' }]);
    expect(await obtain([host])).toMatchObject([{ host, action: 'issue' }]);
    expect(calls.filter((call) => call === 'set')).toHaveLength(1);
    expect(await certificateStatus(stateFolder, state([host]), Date.now())).toMatchObject([{ host, state: 'valid' }]);
    expect(await readyHosts(stateFolder, state([host, 'other.test']), Date.now())).toEqual(new Set([host]));

    const file = join(edgeFolder(stateFolder), 'certs', `${host}.pem`);
    const first = await readFile(file, 'utf8');
    expect(first.match(/BEGIN CERTIFICATE/g)?.length).toBeGreaterThan(1);
    expect(first).toMatch(/BEGIN (EC )?PRIVATE KEY/);
    expect(first).not.toMatch(/\n\n/);
    expect((await stat(file)).mode & 0o777).toBe(0o600);

    expect(await obtain([host])).toMatchObject([{ host, action: 'keep' }]);
    expect(await obtain([host], Date.now() + 59 * DAY)).toMatchObject([{ action: 'keep' }]);
    expect(await readFile(file, 'utf8')).toBe(first);

    const later = Date.now() + 61 * DAY;
    expect((await obtain([host], later)).map(({ action, failure }) => [action, failure])).toEqual([['renew', undefined]]);
    const second = await readFile(file, 'utf8');
    expect(second).not.toBe(first);

    await pebble.stop();
    const [down] = await obtain([host], later);
    expect(down?.failure?.code).toBe('CERTIFICATE_FAILED');
    expect(down?.failure?.details.join()).toContain('ECONNREFUSED');
    expect(await readFile(file, 'utf8')).toBe(second);
    expect(await certificateStatus(stateFolder, state([host]), later)).toMatchObject([{ state: 'due', lastFailure: { at: later } }]);
    // At once again: nobody is asked, the back-off holds.
    expect(await obtain([host], later + 1000)).toMatchObject([{ action: 'wait' }]);
    expect((await obtain([host], later + 1000))[0]?.failure).toBeUndefined();
    expect((await readRecord(stateFolder, host)).failures?.at).toEqual([later]);
  });
});

test('one bad host of three fails alone, with the words of the authority and the probable reason', { timeout: 120_000 }, async () => {
  await withSite({}, async ({ stateFolder, obtain, state }) => {
    const results = await obtain(['a.shop.test', 'bad.shop.test', 'c.shop.test']);
    const failed = results.filter(({ failure }) => failure);
    expect(failed.map(({ host }) => host)).toEqual(['bad.shop.test']);
    expect(failed[0]?.failure).toMatchObject({ code: 'CERTIFICATE_FAILED', where: 'bad.shop.test' });
    expect(failed[0]?.failure?.details.join()).toMatch(/unauthorized: .*404/);
    expect(failed[0]?.failure?.next).toContain('DNS record');
    expect(await readyHosts(stateFolder, state(['a.shop.test', 'bad.shop.test', 'c.shop.test']), Date.now())).toEqual(
      new Set(['a.shop.test', 'c.shop.test']),
    );
  });
});

test('an authority that refuses good nonces and forgets the account is asked again', { timeout: 120_000 }, async () => {
  await withSite({ rejectedNonces: 25 }, async ({ stateFolder, pebble, obtain }) => {
    expect((await obtain(['a.shop.test'])).map(({ failure }) => failure)).toEqual([undefined]);
    const [account] = readAccounts(stateFolder);
    expect(account).toBeDefined();
    await writeFile(
      account as string,
      JSON.stringify({ directory: pebble.directoryUrl, url: pebble.directoryUrl.replace('/dir', '/my-account/nobody') }),
    );
    expect((await obtain(['b.shop.test'])).map(({ failure }) => failure)).toEqual([undefined]);
    expect(JSON.parse(await readFile(account as string, 'utf8')).url).not.toContain('nobody');
  });
});

test('two runs at the same time order once', { timeout: 120_000 }, async () => {
  await withSite({}, async ({ obtain, calls }) => {
    const both = await Promise.all([obtain(['shop.test']), obtain(['shop.test'])]);
    expect(
      both
        .flat()
        .map(({ action }) => action)
        .sort(),
    ).toEqual(['issue', 'keep']);
    expect(calls.filter((call) => call.startsWith('install'))).toEqual(['install shop.test']);
  });
});

const readAccounts = (stateFolder: string): string[] => globSync(join(edgeFolder(stateFolder), 'acme', 'accounts', '*', 'account.json'));
