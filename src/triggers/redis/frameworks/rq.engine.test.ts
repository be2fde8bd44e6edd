import { expect } from 'vitest';
import { buildPythonWorkers, startProducer } from '../../../../test/support/python-workers.ts';
import { startRedis } from '../../../../test/support/redis.ts';
import { openServers } from '../../../../test/support/servers.ts';
import { frameworkContract } from './contract.ts';

frameworkContract({
  framework: 'rq',
  metadata: { listName: 'heavy', listLength: 1 },
  tellsWithinMs: 1_000,
  async start() {
    const servers = await openServers('rq');
    const server = await startRedis(servers);
    const put = await startProducer(servers, 'rq');
    return {
      address: server.address,
      // RQ keeps whole seconds.
      dueRoundingMs: 1000,
      put: (jobs) =>
        put(
          'heavy',
          jobs.map(({ seconds, inSeconds }) => ({ seconds, ...(inSeconds === undefined ? {} : { countdown: inSeconds }) })),
        ),
      async startWorker() {
        const worker = await servers.start({
          image: await buildPythonWorkers(),
          command: ['rq', 'worker', '--url', 'redis://redis:6379/0', '--with-scheduler', 'heavy'],
        });
        await expect.poll(() => worker.logs(), { timeout: 30_000 }).toContain('Listening on heavy');
        return {
          hostname: worker.container.slice(0, 12),
          async stop() {
            await worker.kill('SIGTERM');
            await expect.poll(() => worker.state(), { timeout: 20_000 }).toBe('exited');
          },
        };
      },
      remove: servers.remove,
    };
  },
});
