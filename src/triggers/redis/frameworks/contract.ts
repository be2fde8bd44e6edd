import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Framework, OpenTrigger, Reading, TriggerNotice } from '../../model.ts';
import { redis } from '../redis.ts';

/** A queue of a real library, as the tests drive it. */
export interface FrameworkSource {
  address(): { host: string; port: number };
  /** How far the library rounds down the time at which a delayed job is due. Default: not at all. */
  dueRoundingMs?: number;
  /** Jobs that take so long, some of them only from later on. */
  put(jobs: { seconds: number; inSeconds?: number }[]): Promise<void>;
  /** A worker that runs one job at a time; ready when this returns. */
  startWorker(): Promise<FrameworkWorker>;
  remove(): Promise<void>;
}

export interface FrameworkWorker {
  hostname: string;
  /** SIGTERM; returns when it has ended. */
  stop(): Promise<void>;
}

export interface FrameworkContract {
  framework: Framework;
  metadata: Record<string, unknown>;
  start(): Promise<FrameworkSource>;
  /** How long the workers may take to tell what they do. */
  tellsWithinMs: number;
  /** What a worker takes without running it. */
  prefetches?: boolean;
}

/** The tests that every library's layout has to pass, with the library itself. Called at the top of a test file. */
export function frameworkContract({ framework, metadata, start, tellsWithinMs, prefetches = false }: FrameworkContract): void {
  describe(`a queue of ${framework}`, () => {
    let source: FrameworkSource;
    let trigger: OpenTrigger;
    const notices: TriggerNotice[] = [];
    const running: FrameworkWorker[] = [];

    beforeAll(async () => {
      source = await start();
      trigger = redis.open(redis.metadata.parse({ address: 'redis:6379', ...metadata }), {
        framework,
        resolve: async () => source.address(),
        environment: {},
        exec: () => Promise.reject(new Error('no commands here')),
        workers: async () => running.map(({ hostname }) => ({ hostname, addresses: [] })),
        usage: async () => [],
        now: Date.now,
      });
      trigger.watch?.((notice) => notices.push(notice));
    });
    afterAll(async () => {
      await trigger?.close();
      await source?.remove();
    });

    const becomes = (look: (reading: Reading) => unknown, wanted: unknown, timeout = tellsWithinMs + 5_000) =>
      expect.poll(async () => look(await trigger.read()), { timeout, interval: 100 }).toEqual(wanted);
    const counts = ({ queue }: Reading) => ({ waiting: queue?.waiting, active: queue?.active, held: queue?.held ?? 0 });
    const busyness = ({ workers = [] }: Reading) =>
      Object.fromEntries(workers.filter(({ hostname }) => hostname).map(({ hostname, busy }) => [hostname, busy]));

    test('tells of the first job and counts it before any worker is there', async () => {
      await trigger.read();
      await source.put([{ seconds: 1 }]);
      await expect.poll(() => notices, { timeout: 2_000 }).toContainEqual({ kind: 'changed' });
      const reading = await trigger.read();
      expect(counts(reading)).toEqual({ waiting: 1, active: 0, held: 0 });
      expect(reading.value).toBe(1);
    });

    test('knows when a delayed job is due, and counts it from then on, without a worker', async () => {
      const before = Date.now();
      await source.put([{ seconds: 1, inSeconds: 4 }]);
      const after = Date.now();
      const reading = await trigger.read();
      expect(counts(reading)).toEqual({ waiting: 1, active: 0, held: 0 });
      expect(reading.queue?.nextDueMs).toBeGreaterThanOrEqual(before + 4_000 - (source.dueRoundingMs ?? 1));
      expect(reading.queue?.nextDueMs).toBeLessThanOrEqual(after + 4_000 + 1);
      await becomes(({ queue }) => [queue?.waiting, queue?.nextDueMs], [2, undefined], 8_000);
    });

    test('tells what runs from what waits, and the idle worker from the busy one', async () => {
      running.push(await source.startWorker());
      running.push(await source.startWorker());
      const idle = Object.fromEntries(running.map(({ hostname }) => [hostname, false]));
      await becomes(counts, { waiting: 0, active: 0, held: 0 }, 30_000);
      await becomes(busyness, idle);
      await source.put([{ seconds: 6 }]);
      await becomes(counts, { waiting: 0, active: 1, held: 0 });
      await becomes((reading) => Object.values(busyness(reading)).sort(), [false, true]);
      expect((await trigger.read()).value).toBe(1);
      await becomes(busyness, idle, 6_000 + tellsWithinMs + 5_000);
      await becomes(counts, { waiting: 0, active: 0, held: 0 });
    });

    test('misses no job, wherever it is', async () => {
      await source.put(Array.from({ length: 12 }, () => ({ seconds: 4 })));
      await becomes(
        (reading) => {
          const { waiting = 0, active = 0, held = 0 } = counts(reading);
          return { all: waiting + active + held, active, isHolding: held > 0 };
        },
        { all: 12, active: 2, isHolding: prefetches },
      );
      expect((await trigger.read()).value).toBeGreaterThan(1);
      await becomes(({ value }) => value, 0, 12 * 4_000 + tellsWithinMs);
    });

    test('no longer names a worker that has ended', async () => {
      const [gone, stays] = running as [FrameworkWorker, FrameworkWorker];
      await gone.stop();
      running.shift();
      await becomes(busyness, { [stays.hostname]: false });
      await stays.stop();
      running.shift();
      await becomes(busyness, {});
      expect(counts(await trigger.read())).toEqual({ waiting: 0, active: 0, held: 0 });
    });
  });
}
