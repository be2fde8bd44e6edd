import { expect, test } from 'vitest';
import { agentLockPath } from '../../src/state/agent.ts';
import { takeLock } from '../../src/state/lock.ts';
import { readCurrentRelease } from '../../src/state/releases.ts';
import { readWishes } from '../../src/state/wishes.ts';
import { markWorker } from '../../src/state/workers.ts';
import { eventually } from '../support/eventually.ts';
import { type ScenarioProject, withProject } from '../support/scenario.ts';
import { succeeds } from '../support/stacks.ts';
import { openJobs, startAutoscaler, workerProject } from '../support/worker.ts';

const files = (versions: { worker?: number; other?: number } = {}) => ({
  'compose.yaml': JSON.stringify({
    services: {
      worker: {
        image: 'busybox:1',
        command: ['sleep', '600'],
        init: true,
        stop_grace_period: '1s',
        environment: { VERSION: versions.worker ?? 1 },
        deploy: { resources: { limits: { memory: '32M', cpus: '0.1' } }, update_config: { monitor: '0s' } },
        'x-autoscale': {
          maxReplicaCount: 8,
          triggers: [{ type: 'redis', metadata: { address: 'redis:6379', listName: 'jobs' } }],
          tier: { class: 'light' },
        },
      },
      other: {
        image: 'busybox:1',
        command: ['sleep', '600'],
        init: true,
        stop_grace_period: '1s',
        environment: { VERSION: versions.other ?? 1 },
        deploy: { update_config: { monitor: '0s' } },
      },
    },
  }),
});

const workers = async (p: ScenarioProject): Promise<Record<string, string>> =>
  Object.fromEntries((await p.containers('worker')).map(({ Id, State }) => [Id, State]));
const change = async (p: ScenarioProject, versions: Parameters<typeof files>[0]) =>
  p.write('compose.yaml', files(versions)['compose.yaml']);
const release = async (p: ScenarioProject, ...args: string[]) => {
  const { out, err } = succeeds(await p.composure([...(args.length > 0 ? args : ['deploy']), '--yes', '--json']));
  const { services } = JSON.parse(out) as { services: { service: string; action: string; why: string }[] };
  const worker = services.find(({ service }) => service === 'worker');
  return { worker: `${worker?.action}: ${worker?.why}`, err };
};

test('releases and rollbacks keep the autoscaler’s count, what it froze, what it keeps ready and what it is ending', {
  timeout: 180_000,
}, async () => {
  await withProject('scaled release', { files: files() }, async (p) => {
    const first = await release(p);
    expect(first.worker).toBe('first start: 1 until an agent scales it (0-8)');
    expect(Object.values(await workers(p))).toEqual(['running']);
    const agent = await takeLock(agentLockPath(p.state), { purpose: 'agent' });
    try {
      // What an autoscaler makes of it: one runs, one is frozen, one stands ready stopped, one was asked to end and works on.
      succeeds(await p.compose(['up', '-d', '--no-recreate', '--scale', 'worker=4']));
      const [runs = '', frozen = '', ready = '', ending = ''] = (await p.containers('worker')).map(({ Id }) => Id);
      succeeds(await p.docker(['stop', ready]));
      await markWorker(p.state, p.name, frozen, { kind: 'frozen', service: 'worker', sinceMs: Date.now() });
      succeeds(await p.docker(['pause', frozen]));
      const mark = {
        kind: 'draining' as const,
        signalled: true,
        // biome-ignore lint/suspicious/noThenProperty: the mark's own word; nobody awaits a mark
        then: 'remove' as const,
        why: 'idle',
        service: 'worker',
        sinceMs: Date.now(),
      };
      await markWorker(p.state, p.name, ending, mark);
      expect(succeeds(await p.composure(['status'])).out).toMatch(/^worker +3 \(0-8\) +1 frozen, 2 running /m);

      // A release of something else: Compose works beside what was frozen, and nothing of the workers is touched.
      await change(p, { other: 2 });
      const second = await release(p);
      expect(second.worker).toBe("keep: keeps 2: the autoscaler's count (0-8)");
      expect(second.err).not.toMatch(/worker: \d/);
      expect(await workers(p)).toEqual({ [runs]: 'running', [frozen]: 'running', [ready]: 'exited', [ending]: 'running' });
      expect((await readCurrentRelease(p.state, p.name))?.services.worker).toMatchObject({
        replicas: 2,
        autoscale: { min: 0, max: 8 },
        containers: expect.arrayContaining([runs, frozen]),
      });

      await markWorker(p.state, p.name, frozen, { kind: 'frozen', service: 'worker', sinceMs: Date.now() });
      succeeds(await p.docker(['pause', frozen]));
      await change(p, { other: 2, worker: 2 });
      const third = await release(p);
      expect(third.worker).toBe("replace: configuration changed; keeps 2: the autoscaler's count (0-8)");
      const after = await workers(p);
      expect(after).toMatchObject({ [runs]: 'exited', [frozen]: 'exited', [ready]: 'exited', [ending]: 'running' });
      const fresh = Object.keys(after).filter((id) => ![runs, frozen, ready, ending].includes(id));
      expect(fresh.map((id) => after[id])).toEqual(['running', 'running']);

      // Going back: the containers of that release, not the one that stood ready.
      await release(p, 'rollback');
      const back = await workers(p);
      expect(back).toMatchObject({ [runs]: 'running', [frozen]: 'running', [ready]: 'exited', [ending]: 'running' });
      expect(fresh.map((id) => back[id])).toEqual(['exited', 'exited']);

      // At 0 a release has nothing to start, and is on record.
      succeeds(await p.docker(['rm', '-f', ...Object.keys(back)]));
      await change(p, { other: 2, worker: 3 });
      const fourth = await release(p);
      expect(fourth.worker).toBe('record: configuration changed; at 0: the autoscaler starts it (0-8)');
      expect(await workers(p)).toEqual({});
      expect((await readCurrentRelease(p.state, p.name))?.services.worker).toMatchObject({
        replicas: 0,
        imageId: expect.stringMatching(/^sha256:/),
      });
      expect(succeeds(await p.composure(['deploy', '--yes'])).out).toContain('nothing to do');
      expect(succeeds(await p.composure(['status'])).out).toMatch(/^worker +0 \(0-8\) +idle /m);
    } finally {
      await agent.release();
    }
    const asked = JSON.parse(succeeds(await p.composure(['scale', 'worker=2', '--json'])).out);
    expect(asked).toMatchObject({ project: p.name, agent: false, scale: { worker: { replicas: 2 } } });
    expect((await readWishes(p.state, p.name)).scale).toMatchObject({ worker: { replicas: 2 } });
    const released = succeeds(await p.composure(['scale', 'worker=auto'])).out;
    expect(released).toMatch(/^worker is the autoscaler's alone again \(\S+ had asked for at least 2\)\nno agent runs on this host/);
    expect((await readWishes(p.state, p.name)).scale).toEqual({});
    const unknown = await p.composure(['autoscale', 'explain', 'worker', '--json']);
    expect([unknown.code, JSON.parse(unknown.out).error.code]).toEqual([3, 'SERVICE_UNKNOWN']);

    const [other = ''] = (await p.containers('other')).map(({ Id }) => Id);
    await markWorker(p.state, p.name, other, { kind: 'frozen', service: 'other', sinceMs: Date.now() });
    succeeds(await p.docker(['pause', other]));
    succeeds(await p.composure(['down', '--yes']));
    expect(await p.containers()).toEqual([]);
  });
});

test('what the autoscaler decides can be seen, explained, paused, floored and decided again', { timeout: 120_000 }, async () => {
  await withProject('scaled explain', { files: workerProject() }, async (p) => {
    succeeds(await p.compose(['up', '-d', 'redis']));
    const jobs = await openJobs(p);
    const autoscaler = await startAutoscaler(p);
    const status = async () => JSON.parse(succeeds(await p.composure(['autoscale', 'status', '--json'])).out);
    const running = async () => (await p.containers('worker')).filter(({ State }) => State === 'running').length;
    try {
      await eventually(async () => expect((await status()).tiers[0]?.triggers[0]?.summary).toMatch(/^0 waiting/), { timeoutMs: 20_000 });
      succeeds(await p.composure(['scale', 'worker=1']));
      await eventually(async () => expect(await running()).toBe(1), { timeoutMs: 20_000 });
      await eventually(async () => expect((await status()).tiers[0]).toMatchObject({ min: 0, max: 3, manualReplicas: 1 }), {
        timeoutMs: 5000,
      });
      const text = succeeds(await p.composure(['autoscale', 'explain', 'worker'])).out;
      expect(text).toMatch(new RegExp(`^${p.name}/worker: 1 serves`, 'm'));
      const told = JSON.parse(succeeds(await p.composure(['autoscale', 'explain', 'worker', '--json'])).out);
      expect(told).toMatchObject({ project: p.name, service: 'worker', running: true, decision: { granted: 1 } });

      succeeds(await p.composure(['autoscale', 'pause', 'worker']));
      await eventually(async () => expect((await status()).tiers[0]?.pause).toMatchObject({ paused: true }), { timeoutMs: 5000 });
      expect(succeeds(await p.composure(['autoscale', 'status'])).out).toContain(`${p.name}/worker: paused as it is\n`);
      // Neither without its floor nor with a job does the count change while it is paused.
      succeeds(await p.composure(['scale', 'worker=auto']));
      await jobs.add('one', 500);
      await eventually(async () => expect(await jobs.ended()).toHaveLength(1), { timeoutMs: 20_000 });
      expect(await running()).toBe(1);
      succeeds(await p.composure(['autoscale', 'resume', 'worker']));
      await eventually(async () => expect(await running()).toBe(0), { timeoutMs: 30_000 });
    } finally {
      await autoscaler.stop();
      await jobs.close();
    }
    const again = succeeds(await p.composure(['autoscale', 'replay', '--hours', '1'])).out;
    expect(again).toMatch(/^since 20\S+Z: \d+ events, decided as recorded\n$/);
  });
});
