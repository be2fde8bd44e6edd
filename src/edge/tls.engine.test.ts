import { X509Certificate } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { connect as connectHttp2 } from 'node:http2';
import { request } from 'node:https';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { expect, test } from 'vitest';
import { selfSigned } from '../../test/support/certificate.ts';
import { backend, get, server, withEdge } from '../../test/support/edge.ts';
import { certificateFolder } from './files.ts';
import type { EdgeRoute } from './model.ts';

const tls = (host: string): EdgeRoute => ({ kind: 'http', host, path: '/', redirectFrom: [], tls: 'acme', redirectToHttps: true });

/** The certificate that a new handshake is shown. */
function shown(port: number, name: string): Promise<{ names: string | undefined; fingerprint: string }> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', servername: name, rejectUnauthorized: false }, () => {
      const certificate = new X509Certificate(socket.getPeerCertificate().raw);
      socket.destroy();
      resolve({ names: certificate.subjectAltName, fingerprint: certificate.fingerprint256 });
    });
    socket.on('error', reject);
  });
}

function getSecure(port: number, host: string, ca: string): Promise<{ status: number; hsts: unknown; proto: string }> {
  return new Promise((resolve, reject) => {
    const call = request(
      { port, host: '127.0.0.1', servername: host, ca, path: '/headers', headers: { host }, agent: false },
      (response) => {
        let body = '';
        response.on('data', (chunk: Buffer) => {
          body += chunk.toString();
        });
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            hsts: response.headers['strict-transport-security'],
            proto: JSON.parse(body)['x-forwarded-proto'],
          }),
        );
      },
    );
    call.on('error', reject);
    call.end();
  });
}

test('a certificate goes live without a reload, is renewed under an open connection, and outlives the process', async () => {
  await withEdge(async ({ edge, set, app, httpPort, httpsPort, docker, container }) => {
    const one = await app('1');
    const api = backend({ routes: [tls('shop.test')], securityHeaders: true, servers: [server('one', one.port)] });
    await set(api);
    await edge.ensureRunning();
    expect((await shown(httpsPort, 'shop.test')).names).toBe('DNS:edge.invalid');
    // Without a certificate that works nobody is sent to HTTPS.
    expect((await get(httpPort)).status).toBe(200);

    const first = await selfSigned(['shop.test']);
    await edge.installCertificate('shop.test', first.certificate + first.key);
    await edge.change((state) => ({ ...state, secureHosts: ['shop.test'] }));
    expect(await getSecure(httpsPort, 'shop.test', first.certificate)).toEqual({ status: 200, hsts: 'max-age=31536000', proto: 'https' });
    const redirect = await get(httpPort, '/x?y=z');
    expect([redirect.status, redirect.headers.location]).toEqual([308, `https://shop.test:${httpsPort}/x?y=z`]);

    const session = connectHttp2(`https://127.0.0.1:${httpsPort}`, { ca: first.certificate, servername: 'shop.test' });
    const h2 = () =>
      new Promise<number>((resolve, reject) => {
        const stream = session.request({ ':path': '/', ':authority': 'shop.test' });
        stream.on('response', (headers) => resolve(headers[':status'] ?? 0));
        stream.on('error', reject);
        stream.resume();
      });
    expect(await h2()).toBe(200);
    const second = await selfSigned(['shop.test']);
    const uptime = (await edge.status()).running?.uptimeSeconds ?? 0;
    await edge.installCertificate('shop.test', second.certificate + second.key);
    expect((await shown(httpsPort, 'shop.test')).fingerprint).toBe(new X509Certificate(second.certificate).fingerprint256);
    expect(await h2()).toBe(200);
    session.close();
    expect((await edge.status()).running?.uptimeSeconds).toBeGreaterThanOrEqual(uptime);
    expect((await edge.status()).finishing.processes).toBe(0);

    process.kill((await docker.inspectContainer(await container())).State.Pid, 'SIGKILL');
    await new Promise((resolve) => setTimeout(resolve, 1500));
    expect((await shown(httpsPort, 'shop.test')).fingerprint).toBe(new X509Certificate(second.certificate).fingerprint256);
  });
});

test('a bad certificate is refused, and one that lies there already costs no other host its own', async () => {
  await withEdge(async ({ edge, set, app, httpsPort, folder, events }) => {
    const one = await app('1');
    const [good, other] = [await selfSigned(['good.test']), await selfSigned(['other.test'])];
    await expect(edge.installCertificate('bad.test', good.certificate + other.key)).rejects.toMatchObject({ code: 'CERTIFICATE_FAILED' });
    await edge.installCertificate('good.test', good.certificate + good.key);
    await writeFile(join(certificateFolder(folder), 'broken.test.pem'), 'not a certificate');
    await set(backend({ routes: [tls('good.test'), tls('broken.test')], servers: [server('one', one.port)] }));
    await edge.ensureRunning();
    expect((await getSecure(httpsPort, 'good.test', good.certificate)).status).toBe(200);
    expect(events).toContainEqual({ kind: 'warning', text: expect.stringMatching(/^certificate broken\.test is left out/) });
  });
});

test('challenges are answered before routes and redirects, at once, and after a restart too', async () => {
  await withEdge(async ({ edge, set, app, httpPort, docker, container }) => {
    const one = await app('1');
    await set(backend({ routes: [tls('shop.test')], servers: [server('one', one.port)] }));
    await edge.change((state) => ({ ...state, secureHosts: ['shop.test'] }));
    await edge.setChallenge('before', 'before.thumbprint');
    await edge.ensureRunning();
    await edge.setChallenge('token-1', 'token-1.thumbprint');
    const answer = async (token: string) => await get(httpPort, `/.well-known/acme-challenge/${token}`);
    expect((await answer('token-1')).body).toBe('token-1.thumbprint');
    process.kill((await docker.inspectContainer(await container())).State.Pid, 'SIGKILL');
    await new Promise((resolve) => setTimeout(resolve, 1500));
    expect((await answer('before')).body).toBe('before.thumbprint');
    expect((await answer('token-1')).body).toBe('token-1.thumbprint');
    await edge.clearChallenge('token-1');
    expect((await answer('token-1')).status).toBe(308);
    await expect(edge.setChallenge('a b', 'x')).rejects.toMatchObject({ code: 'CERTIFICATE_FAILED' });
  });
});
