/**
 * `npm run bench -- edge [--rounds N] [--seconds N] [--connections N] [--json FILE]`: requests a second and p99 through the edge, relative to the
 * same backend asked directly, in turn, so that whatever else the machine does meets both.
 */
import { buildTestApp } from '../test/support/app.ts';
import { selfSigned } from '../test/support/certificate.ts';
import { withProject } from '../test/support/scenario.ts';
import { type Driven, findDriver, type Target } from './edge/drive.ts';
import { readArguments } from './support/arguments.ts';
import { median, round } from './support/numbers.ts';
import { publish, type Row, say } from './support/report.ts';

const options = readArguments({ rounds: '5', seconds: '3', connections: '32' });
const image = await buildTestApp();
const { name: client, drive } = await findDriver();
const pem = await selfSigned(['localhost']);
const results: Record<string, Driven[]> = {};

await withProject(
  'bench edge',
  {
    files: ({ host, httpPort, httpsPort }) => ({
      'tls/cert.pem': pem.certificate,
      'tls/key.pem': pem.key,
      'compose.yaml': `
services:
  web:
    image: ${image}
    x-edge:
      - { host: ${host}, port: 3000, health: /health }
      - { host: localhost, port: 3000, health: /health, tls: { cert: tls/cert.pem, key: tls/key.pem } }
x-composure: { edge: { http_port: ${httpPort}, https_port: ${httpsPort} } }
`,
    }),
  },
  async (project) => {
    const deployed = await project.composure(['deploy', '--yes']);
    if (deployed.code !== 0) throw new Error(deployed.err);
    const [web] = await project.containers('web');
    const { NetworkSettings } = await project.inspect(web?.Id ?? '');
    // The way that the edge itself takes to the container.
    const address = Object.entries(NetworkSettings.Networks).find(([network]) => network.startsWith(project.edge))?.[1].IPAddress;
    if (!address) throw new Error('the container is not on a network of the edge');
    const plain = { host: project.host, tls: false };
    const ways: [string, Target, boolean][] = [
      ['direct', { ...plain, address, port: 3000 }, false],
      ['edge', { ...plain, address: '127.0.0.1', port: project.httpPort }, false],
      ['edge, TLS', { host: 'localhost', tls: true, address: 'localhost', port: project.httpsPort }, false],
      ['direct, new connections', { ...plain, address, port: 3000 }, true],
      ['edge, new connections', { ...plain, address: '127.0.0.1', port: project.httpPort }, true],
    ];
    for (let index = 0; index <= options.count('rounds'); index += 1) {
      for (const [name, target, fresh] of ways) {
        // Round 0 warms up what is compiled only once it is hot.
        const seconds = index === 0 ? 1 : options.count('seconds');
        const driven = await drive(target, { connections: options.count('connections'), seconds, fresh });
        if (index > 0) results[name] = [...(results[name] ?? []), driven];
      }
      say(`round ${index} of ${options.count('rounds')}, ${client}`);
    }
  },
);

const of = (name: string, figure: keyof Driven): number => median((results[name] ?? []).map((driven) => driven[figure]));
/** Median of the rounds' own ratios: what disturbs a round disturbs both of its halves. */
const ratio = (name: string, base: string, figure: keyof Driven): number =>
  round(median((results[name] ?? []).map((driven, index) => driven[figure] / (results[base]?.[index]?.[figure] ?? Number.NaN))), 3);

const rows: Row[] = Object.keys(results).map((way) => ({
  way,
  client,
  perSecond: round(of(way, 'perSecond')),
  p50Ms: round(of(way, 'p50Ms'), 2),
  p99Ms: round(of(way, 'p99Ms'), 2),
  failed: (results[way] ?? []).reduce((sum, { failed }) => sum + failed, 0),
}));
publish(
  {
    bench: 'edge',
    summary: {
      requestsRatio: ratio('edge', 'direct', 'perSecond'),
      p99Ratio: ratio('edge', 'direct', 'p99Ms'),
      tlsRequestsRatio: ratio('edge, TLS', 'direct', 'perSecond'),
      tlsP99Ratio: ratio('edge, TLS', 'direct', 'p99Ms'),
      newConnectionsRatio: ratio('edge, new connections', 'direct, new connections', 'perSecond'),
      newConnectionsP99Ratio: ratio('edge, new connections', 'direct, new connections', 'p99Ms'),
      failed: rows.reduce((sum, { failed }) => sum + Number(failed), 0),
    },
    rows,
  },
  options.json,
);
