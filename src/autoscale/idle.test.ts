import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import type { Docker } from '../docker/api.ts';
import type { Reading } from '../triggers/model.ts';
import { askProbe, evidenceOfReadings, isTierEmpty, proveIdle } from './idle.ts';
import type { BusyProbe, Worker } from './model.ts';

const worker: Worker = {
  id: `0f6131569cf0${'0'.repeat(52)}`,
  number: 1,
  phase: 'running',
  sinceMs: 0,
  obsolete: false,
  address: '10.0.0.6',
};
const telling = (...workers: NonNullable<Reading['workers']>): Reading => ({ value: 0, queue: { waiting: 0, active: 0 }, workers });

test.each([
  ['nobody tells', [{ value: 0 }], undefined],
  ['others are told of', [telling({ hostname: 'ffffffffffff', busy: false })], undefined],
  ['a host name that is too short to be an id', [telling({ hostname: '0f', busy: false })], undefined],
  ['by its id', [telling({ hostname: '0f6131569cf0', busy: false })], true],
  ['by its address', [telling({ address: '10.0.0.6', busy: true })], false],
  ['one of its processes is busy', [telling({ hostname: '0f6131569cf0', busy: false }, { address: '10.0.0.6', busy: true })], false],
  ['one of its sources says busy', [telling({ address: '10.0.0.6', busy: false }), telling({ address: '10.0.0.6', busy: true })], false],
])('what sources say of a worker: %s', (_title, readings, expected) => {
  expect(evidenceOfReadings(readings, worker).idle).toBe(expected);
});

test.each([
  [{ value: 0 }, true],
  [{ value: 1 }, false],
  [{ value: 0, queue: { waiting: 0, active: 0, held: 1 } }, false],
  [{ value: 3, queue: { waiting: 0, active: 0 } }, true],
])('a tier with %j is empty: %s', (reading, expected) => {
  expect(isTierEmpty([reading])).toBe(expected);
});

const engine = (changes: object): Docker => changes as unknown as Docker;
/** The header of a tar entry has the size at 124, in octal. */
const tar = (text: string): Buffer => {
  const header = Buffer.alloc(512);
  header.write(text.length.toString(8).padStart(11, '0'), 124);
  return Buffer.concat([header, Buffer.from(text)]);
};

test.each([
  [0, true],
  [1, false],
  [2, undefined],
  [127, undefined],
])('a busy command that ends with %i means idle: %s', async (code, expected) => {
  const docker = engine({ exec: async () => ({ code, output: '' }) });
  expect((await askProbe(docker, { kind: 'exec', command: ['busy'] }, worker)).idle).toBe(expected);
});

test.each([
  ['idle since noon', true],
  ['busy', false],
  ['', undefined],
])('a busy file that holds "%s" means idle: %s, with and without a cat in the image', async (text, expected) => {
  const probe = { kind: 'file', path: '/run/state' } as const;
  const withCat = engine({ exec: async () => ({ code: 0, output: text }) });
  const without = engine({ exec: async () => ({ code: 127, output: 'no such program' }), getArchive: async () => tar(text) });
  expect([(await askProbe(withCat, probe, worker)).idle, (await askProbe(without, probe, worker)).idle]).toEqual([expected, expected]);
});

test.each([
  [204, true],
  [409, false],
  [503, false],
  [404, undefined],
])('a busy address that answers %i means idle: %s', async (status, expected) => {
  const server = createServer((_request, response) => response.writeHead(status).end());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  try {
    const evidence = await askProbe(engine({}), { kind: 'http', port, path: '/busy' }, { ...worker, address: '127.0.0.1' });
    expect(evidence.idle).toBe(expected);
  } finally {
    server.close();
  }
});

/** A container whose CPU counter grows by so much of a core. */
function usingCpu(cores: number): Docker {
  const began = performance.now();
  return engine({
    containerStats: async () => {
      const ms = performance.now() - began;
      return {
        read: new Date(1_000_000 + ms).toISOString(),
        cpu_stats: { cpu_usage: { total_usage: ms * 1e6 * cores } },
        memory_stats: {},
      };
    },
  });
}
const prove = (docker: Docker, readings: () => Reading[], busy?: Parameters<typeof proveIdle>[1]['busy']) =>
  proveIdle(docker, busy ? { busy } : {}, worker, async () => readings(), { quietMs: 200 });

test.each([
  ['nobody knows it, and it is quiet', 0, { value: 0 }, true],
  ['nobody knows it, and it computes', 0.5, { value: 0 }, false],
  ['nobody knows it, it is quiet, and jobs wait', 0, { value: 2 }, undefined],
])('the last resort: %s', async (_title, cores, reading, expected) => {
  expect((await prove(usingCpu(cores), () => [reading])).idle).toBe(expected);
});

test('while its CPU is watched, a source that names it decides', async () => {
  let reads = 0;
  const evidence = await proveIdle(
    usingCpu(0),
    {},
    worker,
    async () => [++reads < 3 ? { value: 0 } : telling({ address: '10.0.0.6', busy: true })],
    {
      quietMs: 1500,
    },
  );
  expect(evidence).toEqual({ idle: false, why: 'it runs a job' });
});

test('the file’s probe and the sources have to agree, and a probe that does not answer proves nothing', async () => {
  const probe: BusyProbe = { kind: 'exec', command: ['busy'] };
  const answering = (code: number) => engine({ exec: async () => ({ code, output: '' }) });
  const idle = () => [telling({ address: '10.0.0.6', busy: false })];
  const busy = () => [telling({ address: '10.0.0.6', busy: true })];
  const found = await Promise.all([
    prove(answering(0), idle, probe),
    prove(answering(0), busy, probe),
    prove(answering(1), idle, probe),
    prove(answering(9), idle, probe),
  ]);
  expect(found.map((evidence) => evidence.idle)).toEqual([true, false, false, undefined]);
});
