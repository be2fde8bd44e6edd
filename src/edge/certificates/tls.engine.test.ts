import { readFile, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { connect, type TLSSocket } from 'node:tls';
import { expect, test } from 'vitest';
import { buildTestApp } from '../../../test/support/app.ts';
import { selfSigned } from '../../../test/support/certificate.ts';
import { eventually } from '../../../test/support/eventually.ts';
import { startPebble } from '../../../test/support/pebble.ts';
import { routeThroughEdge } from '../../../test/support/route.ts';
import { withProject } from '../../../test/support/scenario.ts';
import { obtainCertificates } from './obtain.ts';

const DAY = 86_400_000;
const image = await buildTestApp();
const files = { 'compose.yaml': `services:\n  web: {image: ${image}, environment: {VERSION: "1"}, stop_grace_period: 1s}\n` };

/** A TLS connection to the edge; `ca` makes it insist on a certificate of that authority. */
function open(port: number, host: string, ca?: string): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, servername: host, ...(ca ? { ca } : { rejectUnauthorized: false }) }, () =>
      resolve(socket),
    );
    socket.once('error', reject);
  });
}

const serialOf = async (port: number, host: string, ca?: string): Promise<string> => {
  const socket = await open(port, host, ca);
  const { serialNumber } = socket.getPeerCertificate();
  socket.destroy();
  return serialNumber;
};

/** One request over an open connection that stays open. */
function askOver(socket: TLSSocket, host: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    const done = () => {
      if (!/\r\n\r\n[\s\S]*version/.test(text)) return;
      socket.off('data', take);
      resolve(text.split('\r\n')[0] ?? '');
    };
    const take = (part: Buffer) => {
      text += part.toString();
      done();
    };
    socket.on('data', take);
    socket.once('close', () => reject(new Error('the connection was closed')));
    socket.write(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  });
}

function plain(port: number, host: string): Promise<{ status: number; location: string | undefined }> {
  return new Promise((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port, agent: false, headers: { host } }, (response) => {
      response.resume();
      response.on('end', () => resolve({ status: response.statusCode ?? 0, location: response.headers.location }));
    });
    sent.on('error', reject);
    sent.end();
  });
}

test('the edge gets its certificate from the authority, renews it without a reload, and redirects only once it has one', {
  timeout: 180_000,
}, async () => {
  await withProject('tls pebble', { files }, async (project) => {
    const { httpPort, httpsPort, host } = project;
    const pebble = await startPebble({ httpPort });
    try {
      expect((await project.compose(['up', '-d', '--wait'])).code).toBe(0);
      const acme = { email: 'ops@shop.test', directory: pebble.directoryUrl, caFile: pebble.caFile };
      const edge = await routeThroughEdge(project, { service: 'web', route: { host, tls: 'acme', redirectToHttps: true }, acme });
      await eventually(async () => expect((await plain(httpPort, host)).status).toBe(200));
      // No certificate yet: HTTPS shows the self-signed one, HTTP is not led into a warning.
      await expect(open(httpsPort, host, pebble.root)).rejects.toThrow();
      await expect(serialOf(httpsPort, host)).resolves.toBeTypeOf('string');

      const obtain = async (now: number) =>
        obtainCertificates(edge, await edge.read(), { stateFolder: project.state, now: () => now, report: () => {} });
      expect((await obtain(Date.now())).map(({ action, failure }) => [action, failure])).toEqual([['issue', undefined]]);
      const first = await serialOf(httpsPort, host, pebble.root);
      expect(await plain(httpPort, host)).toEqual({ status: 308, location: `https://${host}:${httpsPort}/` });

      const { running: before } = await edge.status();
      const kept = await open(httpsPort, host, pebble.root);
      expect(await askOver(kept, host)).toContain('200');
      expect((await obtain(Date.now() + 61 * DAY)).map(({ action, failure }) => [action, failure])).toEqual([['renew', undefined]]);
      expect(await serialOf(httpsPort, host, pebble.root)).not.toBe(first);
      expect(await askOver(kept, host)).toContain('200');
      kept.destroy();
      const { running: after } = await edge.status();
      expect(after?.generation).toBe(before?.generation);
      expect(after?.uptimeSeconds).toBeGreaterThanOrEqual(before?.uptimeSeconds ?? 0);

      // What is on the disk is what a new process begins with.
      const renewed = await serialOf(httpsPort, host, pebble.root);
      await edge.upgrade();
      await eventually(async () => expect(await serialOf(httpsPort, host, pebble.root)).toBe(renewed));
    } finally {
      await pebble.stop();
    }
  });
});

test('own certificate files are used, replaced when they change, and kept when the new ones are bad', { timeout: 120_000 }, async () => {
  await withProject('tls own files', { files }, async (project) => {
    const { httpsPort, httpPort, host, folder } = project;
    const paths = { certificateFile: join(folder, 'site.crt'), keyFile: join(folder, 'site.key') };
    const put = async (names: string[]) => {
      const { certificate, key } = await selfSigned(names);
      await writeFile(paths.certificateFile, certificate);
      await writeFile(paths.keyFile, key);
    };
    await put([host]);
    expect((await project.compose(['up', '-d', '--wait'])).code).toBe(0);
    const edge = await routeThroughEdge(project, { service: 'web', route: { host, tls: paths, redirectToHttps: true } });
    const obtain = async () => obtainCertificates(edge, await edge.read(), { stateFolder: project.state, report: () => {} });
    expect(await obtain()).toMatchObject([{ host, action: 'issue' }]);
    const ca = await readFile(paths.certificateFile, 'utf8');
    const first = await serialOf(httpsPort, host, ca);
    expect((await plain(httpPort, host)).status).toBe(308);
    expect(await obtain()).toMatchObject([{ action: 'keep' }]);

    await put(['other.test']);
    expect((await obtain())[0]?.failure?.message).toContain('is for other.test');
    expect(await serialOf(httpsPort, host, ca)).toBe(first);

    await put([host, `www.${host}`]);
    expect(await obtain()).toMatchObject([{ action: 'issue' }]);
    expect(await serialOf(httpsPort, `www.${host}`, await readFile(paths.certificateFile, 'utf8'))).not.toBe(first);
  });
});
