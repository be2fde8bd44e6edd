import { createServer } from 'node:https';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { selfSigned } from '../../test/support/certificate.ts';
import { get, secretsOfUrl, shownUrl } from './http.ts';

describe('over TLS', () => {
  const seen: (string | undefined)[] = [];
  let server: ReturnType<typeof createServer>;
  let port = 0;
  beforeAll(async () => {
    const { certificate, key } = await selfSigned(['metrics.example.com']);
    server = createServer({ cert: certificate, key }, (request, response) => {
      seen.push(request.headers.host);
      response.writeHead(request.url === '/moved' ? 302 : 200, { Location: '/' }).end('7');
    });
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    port = (server.address() as { port: number }).port;
  });
  afterAll(() => void server.close());

  const ask = (url: string, unsafeSsl: boolean) =>
    get({ resolve: async () => ({ host: '127.0.0.1', port }) }, { url, unsafeSsl, signal: AbortSignal.timeout(4_000) });

  test('a certificate that nobody signed is refused, unless any is to be taken', async () => {
    await expect(ask('https://metrics.example.com/', false)).rejects.toThrow(/self-signed certificate/);
    expect(await ask('https://metrics.example.com/', true)).toBe('7');
    expect(seen).toEqual(['metrics.example.com']);
  });

  test('a redirect is an answer without a number', async () => {
    await expect(ask('https://metrics.example.com/moved', true)).rejects.toThrow('the server answers 302: 7');
  });
});

test('an address is shown without what is secret in it', () => {
  const url = 'https://me:p%40ss@metrics.example.com:8443/path?api_key=k3y#x';
  expect(shownUrl(url)).toBe('https://metrics.example.com:8443/path');
  expect(secretsOfUrl(url)).toEqual(['p%40ss', 'p@ss']);
  expect(shownUrl('nonsense')).toBe('an address that is none');
});
