import { createServer, type Server as HttpServer } from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../../test/support/eventually.ts';
import { openServers, type Server, type Servers } from '../../test/support/servers.ts';
import { triggerContract } from './contract.ts';
import type { TriggerContext } from './model.ts';
import { prometheus } from './prometheus.ts';

const CONFIG = (port: number) => `
global: {scrape_interval: 300ms, scrape_timeout: 300ms}
scrape_configs: [{job_name: jobs, static_configs: [{targets: ['host:${port}']}]}]
`;

let waiting = 0;
let exporter: HttpServer;
let servers: Servers;
let server: Server;
/** Prometheus itself, scraping a number that the test sets. */
beforeAll(async () => {
  exporter = createServer((_, response) => {
    response.setHeader('Content-Type', 'text/plain; version=0.0.4').end(`# TYPE jobs_waiting gauge\njobs_waiting ${waiting}\n`);
  });
  await new Promise<void>((done) => exporter.listen(0, '0.0.0.0', done));
  const { port } = exporter.address() as { port: number };
  servers = await openServers('prom');
  server = await servers.start({
    image: 'prom/prometheus:latest',
    port: 9090,
    flags: ['--add-host', 'host:host-gateway', '--env', `CONFIG=${CONFIG(port)}`, '--entrypoint', 'sh'],
    command: ['-c', 'printenv CONFIG >/tmp/p.yml && exec /bin/prometheus --config.file=/tmp/p.yml --storage.tsdb.path=/prometheus'],
  });
});
afterAll(async () => {
  exporter?.close();
  await servers?.remove();
});

async function hold(value: number): Promise<void> {
  waiting = value;
  const { host, port } = server.address();
  await eventually(
    async () => {
      const response = await fetch(`http://${host}:${port}/api/v1/query?query=jobs_waiting`);
      const answer = (await response.json()) as { data: { result: { value: [number, string] }[] } };
      expect(answer.data.result[0]?.value[1]).toBe(String(value));
    },
    { timeoutMs: 30_000 },
  );
}

const metadata = { serverAddress: 'http://prometheus:9090', query: 'sum(jobs_waiting)', threshold: 5 };

triggerContract({
  type: prometheus,
  server: true,
  credentials: false,
  start: async () => ({
    metadata,
    hold,
    server: { address: server.address, stop: server.stop, restart: server.restart },
    remove: async () => {},
  }),
});

describe('a prometheus trigger', () => {
  beforeAll(() => hold(4));

  const read = (change: object) =>
    prometheus
      .open(prometheus.metadata.parse({ ...metadata, ...change }), {
        environment: {},
        resolve: async () => server.address(),
      } as unknown as TriggerContext)
      .read();

  test('reads a scalar as well as a series', async () => {
    expect(await read({ query: 'scalar(jobs_waiting) * 2' })).toEqual({ value: 8 });
  });

  test('no series counts 0 as in KEDA, and fails where that is asked for', async () => {
    expect(await read({ query: 'nothing_of_this_name' })).toEqual({ value: 0 });
    await expect(read({ query: 'nothing_of_this_name', ignoreNullValues: false })).rejects.toThrow(/no series/);
    await expect(read({ query: 'jobs_waiting / 0', ignoreNullValues: false })).rejects.toThrow(/answers \+Inf/);
  });

  test('what Prometheus refuses never counts 0', async () => {
    await expect(read({ query: 'sum(' })).rejects.toThrow(/answers 400.*parse error/);
    await expect(read({ query: 'jobs_waiting[1m]' })).rejects.toThrow(/answers matrix/);
    await expect(read({ query: 'label_replace(up, "a", "b", "", "") or jobs_waiting' })).rejects.toThrow(/2 series/);
  });
});
