import { expect, test } from 'vitest';
import type { ContainerSummary, Docker } from '../docker/api.ts';
import { observeHost, pressureOf } from './host.ts';

test.each([
  ['MemAvailable:    2000000 kB', 'some avg10=9.00\nfull avg10=0.00 avg60=0.00', undefined],
  ['MemAvailable:    2000000 kB', 'full avg10=7.25 avg60=1.00', 'processes waited for memory 7.25 % of the last 10 s'],
  ['MemAvailable:     102400 kB', '', 'only 100 MiB of memory are free'],
  ['', '', undefined],
])('%s and "%s" mean %s', (meminfo, pressure, expected) => {
  expect(pressureOf(meminfo, pressure)).toBe(expected);
});

test('what always runs is counted by service; limits are asked for once, use only where a limit is missing', async () => {
  const asked: string[] = [];
  let usage = 100;
  const docker = {
    inspectContainer: async (id: string) => {
      asked.push(`limits of ${id}`);
      return { HostConfig: id.startsWith('web') ? { NanoCpus: 5e8, Memory: 64 } : { NanoCpus: 0, Memory: 0 } };
    },
    containerStats: async (id: string) => {
      asked.push(`use of ${id}`);
      usage += 50;
      const at = new Date(usage * 1000).toISOString();
      return { read: at, cpu_stats: { cpu_usage: { total_usage: usage * 1e8 } }, memory_stats: { usage, stats: { inactive_file: 20 } } };
    },
  } as unknown as Docker;
  const container = (Id: string, service: string, State = 'running') =>
    ({
      Id,
      State,
      Names: [`/${Id}`],
      Labels: service ? { 'com.docker.compose.project': 'shop', 'com.docker.compose.service': service } : {},
    }) as unknown as ContainerSummary;
  const listed = [
    container('web1', 'web'),
    container('web2', 'web'),
    container('lone', ''),
    container('w1', 'worker'),
    container('gone', 'web', 'exited'),
  ];
  const watched = new Map();
  const look = () =>
    observeHost(docker, { cores: 4, memoryBytes: 1000 }, listed, ({ Id }) => Id === 'w1', watched, new Map([['shop/web', 0.1]]));
  await look();
  const { alwaysOn } = await look();
  expect(alwaysOn).toEqual([
    { name: 'lone', containers: 1, limit: { cpus: 0, memoryBytes: 0 }, measured: { cpus: 0.1, memoryBytes: 180 } },
    { name: 'shop/web', containers: 2, limit: { cpus: 0.5, memoryBytes: 64 }, reservedCpus: 0.1 },
  ]);
  expect(asked.filter((text) => text.startsWith('limits'))).toEqual(['limits of web1', 'limits of web2', 'limits of lone']);
  expect(asked.filter((text) => text.startsWith('use'))).toEqual(['use of lone', 'use of lone']);
});
