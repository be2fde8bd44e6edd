import { expect, test } from 'vitest';
import { reconcile } from '../../src/agent/reconcile.ts';
import { openDocker } from '../../src/docker/api.ts';
import { COMPOSE } from '../../src/docker/labels.ts';
import { openEdge } from '../../src/edge/edge.ts';
import { eventually } from '../support/eventually.ts';
import { withProject } from '../support/scenario.ts';
import { app, deploy, endsWell, MIX, replicas, route, running, succeeds } from '../support/stacks.ts';
import { startAutoscaler } from '../support/worker.ts';

test.each([
  ['the one that goes leaves the edge first', 0],
  ['none goes before another one answers', 4000],
])('a routed service that shrinks: %s, and no request is lost', { timeout: 120_000 }, async (_title, bootMs) => {
  await withProject('scale routed', { files: {} }, async (p) => {
    const web = await app(
      { VERSION: 1, BOOT_DELAY_MS: bootMs },
      {
        deploy: { ...replicas(1), resources: { limits: { memory: '128M', cpus: '0.3' } } },
        'x-edge': route(p),
        'x-autoscale': {
          minReplicaCount: 1,
          maxReplicaCount: 2,
          pollingInterval: 1,
          cooldownPeriod: 1,
          advanced: { horizontalPodAutoscalerConfig: { behavior: { scaleDown: { stabilizationWindowSeconds: 0 } } } },
          triggers: [{ type: 'redis', metadata: { address: 'redis:6379', listName: 'jobs', listLength: '1' } }],
          // What is in flight is the edge's to know.
          tier: { warm: 'none', busy: { exec: ['true'] } },
        },
      },
    );
    await deploy(p, { web, redis: { image: 'redis:8-alpine', command: 'redis-server --save ""', deploy: replicas(1) } });
    const redis = (...args: string[]) => p.compose(['exec', '-T', 'redis', 'redis-cli', ...args]);
    const docker = openDocker();
    const said: string[] = [];
    const report = () => {};
    const edge = openEdge({ stateFolder: p.state, docker, report });
    const servers = async () =>
      Object.values((await edge.read()).projects[p.name]?.backends ?? {}).flatMap((backend) =>
        backend.servers.map(({ container, state }) => [container, state]),
      );
    const stop = new AbortController();
    const filters = { type: ['container'], event: ['kill'], label: [`${COMPOSE.project}=${p.name}`, `${COMPOSE.service}=web`] };
    const following = (async () => {
      for await (const { Actor } of docker.events(filters, stop.signal)) {
        const mine = (await servers()).find(([container]) => container === Actor.ID);
        said.push(`${Actor.ID} ${mine?.[1]}`);
      }
    })().catch(() => {});
    const autoscaler = await startAutoscaler(p, { edge });
    try {
      const load = await p.load({ mix: MIX, slowMs: 1000 });
      await load.waitForVersion('1', 5000);
      succeeds(await redis('RPUSH', 'jobs', 'one', 'two'));
      await eventually(async () => expect(await running(p, 'web')).toHaveLength(2), { timeoutMs: 20_000 });
      await eventually(
        async () => {
          await reconcile({ stateFolder: p.state, docker, edge, report });
          expect((await servers()).map(([, state]) => state)).toEqual(['ready', 'ready']);
        },
        { timeoutMs: 10_000 },
      );
      const both = await running(p, 'web');
      succeeds(await redis('DEL', 'jobs'));
      await eventually(async () => expect(await running(p, 'web')).toHaveLength(1), { timeoutMs: 30_000 });
      const [left] = await running(p, 'web');
      const gone = both.find((id) => id !== left);
      await eventually(async () => expect(await servers()).toEqual([[left, 'ready']]));
      expect(said).toEqual([`${gone} drain`]);
      await endsWell(load);
    } finally {
      stop.abort();
      await following;
      await autoscaler.stop();
    }
  });
});
