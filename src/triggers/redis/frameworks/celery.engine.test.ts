import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildPythonWorkers, type PythonJob, startProducer } from '../../../../test/support/python-workers.ts';
import { type RedisServer, startRedis } from '../../../../test/support/redis.ts';
import { openServers, type Servers } from '../../../../test/support/servers.ts';
import type { OpenTrigger } from '../../model.ts';
import { redis } from '../redis.ts';
import { type FrameworkWorker, frameworkContract } from './contract.ts';

async function startWorker(servers: Servers, flags: string[], environment: Record<string, string> = {}): Promise<FrameworkWorker> {
  const worker = await servers.start({
    image: await buildPythonWorkers(),
    environment,
    command: ['python3', '-m', 'celery', '-A', 'tasks', 'worker', '--loglevel', 'INFO', '--without-gossip', '--without-mingle', ...flags],
  });
  await expect.poll(() => worker.logs(), { timeout: 30_000 }).toContain(' ready.');
  return {
    hostname: worker.container.slice(0, 12),
    async stop() {
      await worker.kill('SIGTERM');
      await expect.poll(() => worker.state(), { timeout: 20_000 }).toBe('exited');
    },
  };
}

frameworkContract({
  framework: 'celery',
  metadata: { listName: 'heavy', listLength: 1 },
  tellsWithinMs: 3_000,
  prefetches: true,
  async start() {
    const servers = await openServers('celery');
    const server = await startRedis(servers);
    const put = await startProducer(servers, 'celery');
    return {
      address: server.address,
      put: (jobs) =>
        put(
          'heavy',
          jobs.map(({ seconds, inSeconds }) => ({ seconds, ...(inSeconds === undefined ? {} : { countdown: inSeconds }) })),
        ),
      startWorker: () => startWorker(servers, ['-Q', 'heavy', '-c', '1']),
      remove: servers.remove,
    };
  },
});

describe('Celery', () => {
  let servers: Servers;
  let server: RedisServer;
  let put: (queue: string, jobs: PythonJob[]) => Promise<void>;
  const opened: OpenTrigger[] = [];
  const environment = { BROKER: 'redis://redis:6379/2', KEY_PREFIX: 'shop:', ACKS_LATE: '1' };

  beforeAll(async () => {
    servers = await openServers('celery-late');
    server = await startRedis(servers);
    put = await startProducer(servers, 'celery', environment);
  });
  afterAll(async () => {
    for (const trigger of opened) await trigger.close();
    await servers?.remove();
  });

  function open(listName: string, hostnames?: string[]): OpenTrigger {
    const metadata = { address: 'redis:6379', databaseIndex: 2, keyPrefix: 'shop:', acksLate: true, listName };
    const trigger = redis.open(redis.metadata.parse(metadata), {
      framework: 'celery',
      resolve: async () => server.address(),
      environment: {},
      exec: () => Promise.reject(new Error('no commands here')),
      ...(hostnames ? { workers: async () => hostnames.map((hostname) => ({ hostname, addresses: [] })) } : {}),
      usage: async () => [],
      now: Date.now,
    });
    opened.push(trigger);
    return trigger;
  }

  test('with a key prefix, another database, priorities and late acknowledgement, each queue has its own tasks', async () => {
    await put('slow', [{ seconds: 8 }, ...[0, 3, 6, 9].map((priority) => ({ seconds: 8, priority }))]);
    await put('quick', [{ seconds: 1 }, { seconds: 1 }]);
    const slow = open('slow');
    const quick = open('quick');
    expect([(await slow.read()).queue?.waiting, (await quick.read()).queue?.waiting]).toEqual([5, 2]);

    const worker = await startWorker(servers, ['-Q', 'slow', '-c', '2', '--prefetch-multiplier', '1'], environment);
    const busy = open('slow', [worker.hostname]);
    const stranger = open('quick', ['0123456789ab']);
    await busy.read();
    await stranger.read();
    await expect
      .poll(() => busy.read(), { timeout: 8_000 })
      .toMatchObject({ value: 5, queue: { waiting: 3, active: 2, held: 0 }, workers: [{ hostname: worker.hostname, busy: true }] });
    // Its own workers have not been heard of, and those of others do not count.
    const { queue, workers } = await stranger.read();
    expect({ queue, workers }).toEqual({ queue: { waiting: 2, held: 0 }, workers: [] });
  });

  test('a task with a start that lies ahead is held by its worker, and is no work for another', async () => {
    const worker = await startWorker(servers, ['-Q', 'later', '-c', '1'], environment);
    const trigger = open('later', [worker.hostname]);
    await trigger.read();
    const before = Date.now();
    await put('later', [{ seconds: 1, countdown: 60 }]);
    await expect
      .poll(() => trigger.read(), { timeout: 8_000 })
      .toMatchObject({ value: 0, queue: { waiting: 0, active: 0, held: 1 }, workers: [{ hostname: worker.hostname, busy: false }] });
    const due = (await trigger.read()).queue?.nextDueMs ?? 0;
    expect(due - before).toBeGreaterThanOrEqual(60_000 - 1);
    expect(due - before).toBeLessThan(70_000);
    // The worker gives it back as it ends: it must not look like work that calls for a new worker.
    await worker.stop();
    const after = open('later', []);
    expect((await after.read()).queue).toEqual({ waiting: 0, active: 0, held: 0, nextDueMs: due });
  });
});
