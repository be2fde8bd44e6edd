import 'reflect-metadata';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { get } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BasicConstraintsExtension, PemConverter, SubjectAlternativeNameExtension, X509CertificateGenerator } from '@peculiar/x509';
import { run } from '../../src/kit/spawn.ts';
import { eventually } from './eventually.ts';
import { freePort, releasePort } from './ports.ts';
import { PREFIX } from './registry.ts';

const IMAGE = 'letsencrypt/pebble:latest';

export interface Pebble {
  directoryUrl: string;
  /** PEM of the certificate that Pebble's own API shows: what an ACME client must trust. */
  caFile: string;
  /** Where the root of the certificates that it issues is to be had; a new one at each start. */
  rootsUrl: string;
  /** The root, PEM. */
  root: string;
  stop(): Promise<void>;
}

/**
 * Starts Let's Encrypt's test authority. It checks HTTP-01 on `httpPort` of 127.0.0.1, whatever name is asked for: every name
 * resolves to that address. `certificateSeconds` is how long an issued certificate is valid, default 90 days.
 */
export async function startPebble({
  httpPort,
  certificateSeconds = 90 * 86_400,
  rejectedNonces = 0,
  image = IMAGE,
}: {
  httpPort: number;
  certificateSeconds?: number;
  /** Share of good nonces that are refused all the same, percent. */
  rejectedNonces?: number;
  image?: string;
}): Promise<Pebble> {
  const ports = await Promise.all([freePort(), freePort(), freePort(), freePort(), freePort()]);
  const [api, management, dns, dnsManagement, tlsPort] = ports as [number, number, number, number, number];
  const folder = await mkdtemp(join(tmpdir(), `${PREFIX}pebble-`));
  // The containers run as another user than the test.
  await chmod(folder, 0o755);
  const config = join(folder, 'config');
  await mkdir(config);
  const { certificate, key } = await selfSigned();
  const caFile = join(config, 'api.crt');
  await writeFile(caFile, certificate);
  await writeFile(join(config, 'api.key'), key);
  const settings = {
    pebble: {
      listenAddress: `127.0.0.1:${api}`,
      managementListenAddress: `127.0.0.1:${management}`,
      certificate: '/config/api.crt',
      privateKey: '/config/api.key',
      httpPort,
      tlsPort,
      ocspResponderURL: '',
      externalAccountBindingRequired: false,
      retryAfter: { authz: 1, order: 1 },
      certificateValidityPeriod: certificateSeconds,
      // One profile only: among several, an order that names none gets any of them.
      profiles: { default: { description: 'the only one', validityPeriod: certificateSeconds } },
    },
  };
  await writeFile(join(config, 'pebble.json'), JSON.stringify(settings));

  const names = [`${PREFIX}pebble-${api}`, `${PREFIX}pebble-dns-${api}`];
  const stop = async () => {
    await run('docker', ['rm', '--force', ...names]);
    await rm(folder, { recursive: true, force: true });
    ports.forEach(releasePort);
  };
  const label = ['--label', `${PREFIX}pid=${process.pid}`];
  const common = ['run', '--detach', '--network', 'host', ...label];
  try {
    await start([
      ...[...common, '--name', names[1] as string, '--entrypoint', 'pebble-challtestsrv', image],
      ...['-dnsserver', `127.0.0.1:${dns}`, '-management', `127.0.0.1:${dnsManagement}`, '-defaultIPv4', '127.0.0.1', '-defaultIPv6', ''],
      ...['-http01', '', '-https01', '', '-tlsalpn01', '', '-doh', ''],
    ]);
    await start([
      ...[...common, '--name', names[0] as string, '--volume', `${config}:/config:ro`],
      // It waits up to 15 s before it validates, and refuses 5 % of good nonces, unless told not to.
      ...['--env', 'PEBBLE_VA_NOSLEEP=1', '--env', `PEBBLE_WFE_NONCEREJECT=${rejectedNonces}`, '--entrypoint', 'pebble', image],
      ...['-config', '/config/pebble.json', '-dnsserver', `127.0.0.1:${dns}`],
    ]);
    const directoryUrl = `https://127.0.0.1:${api}/dir`;
    const rootsUrl = `https://127.0.0.1:${management}/roots/0`;
    await eventually(() => read(directoryUrl, certificate), { timeoutMs: 15_000 });
    const root = await eventually(() => read(rootsUrl, certificate));
    return { directoryUrl, caFile, rootsUrl, root, stop };
  } catch (error) {
    const logs = await Promise.all(names.map((name) => run('docker', ['logs', name])));
    await stop();
    throw new Error(`Pebble did not start:\n${logs.map((log) => log.stdout + log.stderr).join('\n')}`, { cause: error });
  }
}

/** Removes the authorities of test processes that are gone. */
export async function removeDeadPebbles(isAlive: (pid: number) => boolean): Promise<void> {
  const result = await run('docker', ['ps', '-a', '--filter', `label=${PREFIX}pid`, '--format', `{{.ID}} {{.Label "${PREFIX}pid"}}`]);
  const dead = result.stdout
    .split('\n')
    .map((line) => line.split(' '))
    .filter(([id, pid]) => id && pid && !isAlive(Number(pid)));
  if (dead.length) await run('docker', ['rm', '--force', ...dead.map(([id]) => id as string)]);
}

async function start(args: string[]): Promise<void> {
  const result = await run('docker', args, { timeoutMs: 60_000 });
  if (result.code !== 0) throw new Error(result.stderr);
}

async function selfSigned(): Promise<{ certificate: string; key: string }> {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const certificate = await X509CertificateGenerator.createSelfSigned({
    name: 'CN=Pebble API of a test',
    notBefore: new Date(Date.now() - 3_600_000),
    notAfter: new Date(Date.now() + 86_400_000),
    signingAlgorithm: algorithm,
    keys,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new SubjectAlternativeNameExtension([
        { type: 'ip', value: '127.0.0.1' },
        { type: 'dns', value: 'localhost' },
      ]),
    ],
  });
  const key = PemConverter.encode(await crypto.subtle.exportKey('pkcs8', keys.privateKey), 'PRIVATE KEY');
  return { certificate: certificate.toString('pem'), key };
}

function read(url: string, ca: string): Promise<string> {
  return new Promise((resolve, reject) => {
    // Pebble answers 400 to who does not say who it is.
    const request = get(url, { ca, agent: false, timeout: 2000, headers: { 'user-agent': 'composure-test' } }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => {
        text += part;
      });
      response.on('end', () => (response.statusCode === 200 ? resolve(text) : reject(new Error(`${url} answered ${response.statusCode}`))));
      response.on('error', reject);
    });
    request.on('timeout', () => request.destroy(new Error(`${url} did not answer`)));
    request.on('error', reject);
  });
}
