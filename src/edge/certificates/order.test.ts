import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Failure } from '../../kit/errors.ts';
import { orderCertificate } from './order.ts';

/** An authority that says no to everything after its directory: what Pebble cannot be made to do. */
async function withRefusal(
  status: number,
  headers: Record<string, string>,
  body: string,
  act: (directory: string, stateFolder: string) => Promise<void>,
) {
  const stateFolder = await mkdtemp(join(tmpdir(), 'composure-test-order-'));
  const server = createServer((request, response) => {
    const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    if (request.url === '/dir')
      response.end(JSON.stringify({ newNonce: `${base}/nonce`, newAccount: `${base}/account`, newOrder: `${base}/order` }));
    else if (request.url === '/nonce') response.writeHead(200, { 'replay-nonce': 'abc' }).end();
    else response.writeHead(status, { 'content-type': 'application/problem+json', 'replay-nonce': 'def', ...headers }).end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    await act(`http://127.0.0.1:${(server.address() as AddressInfo).port}/dir`, stateFolder);
  } finally {
    server.closeAllConnections();
    server.close();
    await rm(stateFolder, { recursive: true, force: true });
  }
}

const challenges = { setChallenge: async () => {}, clearChallenge: async () => {} };
const problem = (type: string, detail: string) => JSON.stringify({ type: `urn:ietf:params:acme:error:${type}`, detail });

test('a rate limit is not slept through: it fails at once and says until when', async () => {
  await withRefusal(
    429,
    { 'retry-after': '7200' },
    problem('rateLimited', 'too many certificates already issued'),
    async (directory, stateFolder) => {
      const began = Date.now();
      const failure = await orderCertificate({
        stateFolder,
        acme: { email: 'ops@shop.test', directory },
        host: 'shop.test',
        challenges,
      }).catch((e: unknown) => e);
      expect(Date.now() - began).toBeLessThan(3000);
      expect(failure).toBeInstanceOf(Failure);
      const { details, cause, message } = failure as Failure;
      expect(message).toContain('limits how often');
      expect(details.join()).toContain('rateLimited: too many certificates already issued');
      expect((cause as { retryAt: number }).retryAt).toBeGreaterThan(began + 7_000_000);
    },
  );
});

test('an authority that is broken is not asked over and over', async () => {
  await withRefusal(500, {}, 'oops', async (directory, stateFolder) => {
    const began = Date.now();
    const order = orderCertificate({ stateFolder, acme: { email: 'ops@shop.test', directory }, host: 'shop.test', challenges });
    await expect(order).rejects.toMatchObject({ code: 'CERTIFICATE_FAILED' });
    expect(Date.now() - began).toBeLessThan(3000);
  });
});

test('a trust file that is not there is named', async () => {
  const order = orderCertificate({
    stateFolder: tmpdir(),
    acme: { email: 'ops@shop.test', directory: 'https://127.0.0.1:1/dir', caFile: '/nowhere/ca.pem' },
    host: 'shop.test',
    challenges,
  });
  await expect(order).rejects.toThrow('/nowhere/ca.pem does not exist');
});
