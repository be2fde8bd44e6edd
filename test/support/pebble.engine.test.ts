import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { Agent } from 'node:https';
import acme from 'acme-client';
import { expect, test } from 'vitest';
import { startPebble } from './pebble.ts';
import { freePort, releasePort } from './ports.ts';

test('the test authority issues over HTTP-01, and only to who answers its challenge', { timeout: 60_000 }, async () => {
  const httpPort = await freePort();
  const tokens = new Map<string, string>();
  const site = createServer((request, response) => {
    const answer = tokens.get(request.url?.split('/').at(-1) ?? '');
    response.writeHead(answer ? 200 : 404).end(answer);
  });
  await new Promise<void>((resolve) => site.listen(httpPort, '127.0.0.1', resolve));
  const pebble = await startPebble({ httpPort, certificateSeconds: 3600 });
  try {
    acme.axios.defaults.httpsAgent = new Agent({ ca: await readFile(pebble.caFile) });
    const client = new acme.Client({
      directoryUrl: pebble.directoryUrl,
      accountKey: await acme.crypto.createPrivateEcdsaKey(),
      backoffMin: 100,
      backoffMax: 500,
    });
    const order = async (keep: boolean) => {
      const [, csr] = await acme.crypto.createCsr({ altNames: ['shop.test'] });
      return client.auto({
        csr,
        email: 'ops@shop.test',
        termsOfServiceAgreed: true,
        skipChallengeVerification: true,
        challengeCreateFn: async (_authorization, challenge, keyAuthorization) =>
          void (keep && tokens.set(challenge.token, keyAuthorization)),
        challengeRemoveFn: async () => {},
      });
    };
    await expect(order(false)).rejects.toThrow();
    const chain = await order(true);
    const certificate = new X509Certificate(chain);
    expect(certificate.checkHost('shop.test')).toBe('shop.test');
    expect(Date.parse(certificate.validTo) - Date.now()).toBeLessThanOrEqual(3_600_000);
    expect(new X509Certificate(pebble.root).ca).toBe(true);
  } finally {
    await pebble.stop();
    site.close();
    releasePort(httpPort);
  }
});
