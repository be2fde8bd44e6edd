import { fileURLToPath } from 'node:url';
import { Queue } from 'bullmq';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type RedisServer, startRedis } from '../../../../test/support/redis.ts';
import { openServers, type Server, type Servers } from '../../../../test/support/servers.ts';
import { redis } from '../redis.ts';
import { frameworkContract } from './contract.ts';

const at = (path: string) => fileURLToPath(new URL(`../../../../${path}`, import.meta.url));

/** `name` "$HOSTNAME" is what the guide recommends: the container's host name. */
function startWorker(servers: Servers, queue: string, { concurrency = 1, name = '', prefix = '' } = {}): Promise<Server> {
  return servers.start({
    image: 'node:24-alpine',
    flags: [
      ...['--volume', `${at('test/fixtures/bullmq-worker')}:/app:ro`, '--volume', `${at('node_modules')}:/node_modules:ro`],
      ...['--env', `QUEUE=${queue}`, '--env', `CONCURRENCY=${concurrency}`, '--env', `PREFIX=${prefix}`],
    ],
    command: ['sh', '-c', `exec node /app/worker.js "$QUEUE" "$CONCURRENCY" "${name}" "$PREFIX"`],
  });
}

frameworkContract({
  framework: 'bullmq',
  metadata: { listName: 'heavy', listLength: 1 },
  tellsWithinMs: 1_000,
  async start() {
    const servers = await openServers('bullmq');
    const server = await startRedis(servers);
    const queue = new Queue('heavy', { connection: server.address() });
    return {
      address: server.address,
      async put(jobs) {
        await queue.addBulk(
          jobs.map(({ seconds, inSeconds = 0 }) => ({ name: 'nap', data: { seconds }, opts: { delay: inSeconds * 1000 } })),
        );
      },
      async startWorker() {
        const worker = await startWorker(servers, 'heavy', { name: '$HOSTNAME' });
        const hostname = worker.container.slice(0, 12);
        await expect.poll(async () => String(await server.call('CLIENT', 'LIST')), { timeout: 20_000 }).toContain(`:w:${hostname}`);
        return {
          hostname,
          async stop() {
            await worker.kill('SIGTERM');
            await expect.poll(() => worker.state(), { timeout: 20_000 }).toBe('exited');
          },
        };
      },
      async remove() {
        await queue.close();
        await servers.remove();
      },
    };
  },
});

describe('BullMQ', () => {
  let servers: Servers;
  let server: RedisServer;
  beforeAll(async () => {
    servers = await openServers('bullmq-more');
    server = await startRedis(servers);
  });
  afterAll(async () => servers?.remove());

  const open = (metadata: Record<string, unknown>) =>
    redis.open(redis.metadata.parse({ address: 'redis:6379', ...metadata }), {
      framework: 'bullmq',
      resolve: async () => server.address(),
      environment: {},
      exec: () => Promise.reject(new Error('no commands here')),
      usage: async () => [],
      now: Date.now,
    });

  test('counts prioritized jobs, and nothing that a paused queue holds back', async () => {
    const queue = new Queue('light', { connection: server.address(), prefix: 'shop' });
    const trigger = open({ listName: 'light', keyPrefix: 'shop' });
    try {
      await queue.add('plain', {});
      await queue.add('urgent', {}, { priority: 1 });
      await queue.add('later', {}, { delay: 60_000 });
      const reading = await trigger.read();
      expect(reading).toMatchObject({ value: 2, queue: { waiting: 2, active: 0 }, workers: [] });
      expect(Math.abs((reading.queue?.nextDueMs ?? 0) - Date.now() - 60_000)).toBeLessThan(5_000);
      await queue.pause();
      expect((await trigger.read()).queue).toEqual({ waiting: 0, active: 0 });
      await queue.resume();
      expect((await trigger.read()).queue?.waiting).toBe(2);
    } finally {
      await trigger.close();
      await queue.close();
    }
  });

  test('knows workers without names by their address, as long as nothing runs', async () => {
    const queue = new Queue('nameless', { connection: server.address() });
    const trigger = open({ listName: 'nameless' });
    try {
      const worker = await startWorker(servers, 'nameless');
      const address = await worker.ip();
      await expect.poll(async () => (await trigger.read()).workers, { timeout: 20_000 }).toEqual([{ address, busy: false }]);
      await queue.add('nap', { seconds: 3 });
      await expect.poll(() => trigger.read(), { timeout: 5_000 }).toMatchObject({ queue: { waiting: 0, active: 1 }, workers: [] });
      await expect.poll(async () => (await trigger.read()).workers, { timeout: 10_000 }).toEqual([{ address, busy: false }]);
    } finally {
      await trigger.close();
      await queue.close();
    }
  });
});
