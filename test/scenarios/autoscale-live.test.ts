import { readFile } from 'node:fs/promises';
import { Queue } from 'bullmq';
import { expect, test } from 'vitest';
import { buildVersions, exampleFiles, removeVersions } from '../../bench/rollout/example.ts';
import { readSegments } from '../../src/autoscale/recording.ts';
import { replay } from '../../src/autoscale/replay.ts';
import { readStatus } from '../../src/autoscale/status.ts';
import type { Scenario } from '../../src/capacity/simulate/model.ts';
import { ours } from '../../src/capacity/simulate/policies/ours.ts';
import { World } from '../../src/capacity/simulate/world.ts';
import { type Docker, openDocker } from '../../src/docker/api.ts';
import { COMPOSE } from '../../src/docker/labels.ts';
import { sleep } from '../../src/kit/wait.ts';
import { eventually } from '../support/eventually.ts';
import { type ScenarioProject, withProject } from '../support/scenario.ts';
import { succeeds } from '../support/stacks.ts';
import { spawnAutoscaler } from '../support/worker.ts';

const TIERS = ['light', 'medium', 'heavy'] as const;
type TierName = (typeof TIERS)[number];

/** A tenth of the example's own times, so that a minute shows what a day does. */
const compressed = `
services:
${TIERS.map(
  (tier) => `  worker-${tier}:
    x-autoscale:
      cooldownPeriod: 4
      advanced: { horizontalPodAutoscalerConfig: { behavior: { scaleDown: { stabilizationWindowSeconds: 4 } } } }`,
).join('\n')}
`;

/** Three workers of half a core each have room beside the host's own half. */
const HOST = { cores: 2, memoryBytes: 8 * 1024 ** 3, alwaysOn: [] };

/** How far the running time of a tier's workers may be from what the simulation says: boots, exits and the machine's other work differ. */
const TOLERANCE = 0.25;

/** Seconds from the beginning, and what is put into the queue then. */
const TRACE: { at: number; tier: TierName; kind: string; params: Record<string, number>; count: number }[] = [
  { at: 0, tier: 'light', kind: 'rollup', params: { days: 30 }, count: 6 },
  { at: 1, tier: 'heavy', kind: 'shapley', params: { rows: 300 }, count: 1 },
  { at: 2, tier: 'medium', kind: 'refutation', params: { individuals: 2000, bootstraps: 2000, placebos: 1000 }, count: 3 },
  { at: 6, tier: 'light', kind: 'rollup', params: { days: 365 }, count: 12 },
  { at: 9, tier: 'heavy', kind: 'twins', params: { count: 1_000_000 }, count: 2 },
  { at: 12, tier: 'light', kind: 'rollup', params: { days: 10 }, count: 1 },
  { at: 18, tier: 'medium', kind: 'refutation', params: { individuals: 2000, bootstraps: 2000, placebos: 1000 }, count: 5 },
  { at: 21, tier: 'light', kind: 'rollup', params: { days: 365 }, count: 20 },
  { at: 33, tier: 'heavy', kind: 'shapley', params: { rows: 500 }, count: 2 },
  { at: 36, tier: 'light', kind: 'rollup', params: { days: 30 }, count: 3 },
  { at: 44, tier: 'light', kind: 'rollup', params: { days: 30 }, count: 3 },
  { at: 45, tier: 'medium', kind: 'refutation', params: { individuals: 2000, bootstraps: 2000, placebos: 1000 }, count: 1 },
];

interface Seen {
  atMs: number;
  tier: TierName;
  action: string;
  id: string;
  exitCode: string | undefined;
  signal: string | undefined;
}

interface Limits {
  cpus: number;
  memoryBytes: number;
}

/** What the engine tells of the workers, and the limits that the kernel holds each of them to. */
function watchWorkers(docker: Docker, project: string) {
  const abort = new AbortController();
  const events: Seen[] = [];
  const limits = new Map<string, Promise<Limits>>();
  const filters = {
    type: ['container'],
    event: ['start', 'die', 'kill', 'pause', 'unpause'],
    label: [`${COMPOSE.project}=${project}`],
  };
  const following = (async () => {
    for await (const { Action, Actor, timeNano } of docker.events(filters, abort.signal)) {
      const service = Actor.Attributes[COMPOSE.service] ?? '';
      if (!service.startsWith('worker-')) continue;
      events.push({
        atMs: timeNano / 1e6,
        tier: service.slice('worker-'.length) as TierName,
        action: Action,
        id: Actor.ID,
        exitCode: Actor.Attributes.exitCode,
        signal: Actor.Attributes.signal,
      });
      if (Action === 'start') limits.set(Actor.ID, limitsOf(docker, Actor.ID));
    }
  })().catch((error) => {
    if (!abort.signal.aborted) throw error;
  });
  return {
    events,
    limits,
    stop: async () => {
      abort.abort();
      await following;
    },
  };
}

/** As the control group of its first process has them. */
async function limitsOf(docker: Docker, id: string): Promise<Limits> {
  const { State } = await docker.inspectContainer(id);
  const groups = (await readFile(`/proc/${State.Pid}/cgroup`, 'utf8')).trim().split('\n');
  const pathOf = (controller: string): string | undefined =>
    groups.map((line) => line.split(':')).find(([, names = '']) => names.split(',').includes(controller))?.[2];
  const read = async (path: string): Promise<number[]> => (await readFile(path, 'utf8')).trim().split(' ').map(Number);
  const [memory, cpu] = [pathOf('memory'), pathOf('cpu')];
  if (memory !== undefined && cpu !== undefined) {
    const [[memoryBytes = 0], [quota = 0], [period = 1]] = await Promise.all([
      read(`/sys/fs/cgroup/memory${memory}/memory.limit_in_bytes`),
      read(`/sys/fs/cgroup/cpu${cpu}/cpu.cfs_quota_us`),
      read(`/sys/fs/cgroup/cpu${cpu}/cpu.cfs_period_us`),
    ]);
    return { cpus: quota / period, memoryBytes };
  }
  const unified = `/sys/fs/cgroup${pathOf('') ?? ''}`;
  const [[memoryBytes = 0], [quota = 0, period = 1]] = await Promise.all([read(`${unified}/memory.max`), read(`${unified}/cpu.max`)]);
  return { cpus: quota / period, memoryBytes };
}

interface Done {
  id: string;
  tier: TierName;
  addedMs: number;
  host: string;
  from: number;
  to: number;
  attempts: number;
  starts: number;
  stalled: number;
}

async function openQueues(p: ScenarioProject): Promise<Map<TierName, Queue>> {
  const [redis] = await p.containers('redis');
  const host = Object.values((await p.inspect(redis?.Id ?? '')).NetworkSettings.Networks)[0]?.IPAddress ?? '';
  const queues = new Map(TIERS.map((tier) => [tier, new Queue(tier, { connection: { host, port: 6379 } })]));
  for (const queue of queues.values()) queue.on('error', () => {});
  return queues;
}

test('the example stack under a compressed trace: no busy worker ends, the host is never overdrawn, and a replay decides the same', {
  timeout: 240_000,
}, async () => {
  await withProject('autoscale live', { files: await exampleFiles(compressed) }, async (p) => {
    await p.write('.env', `VERSION=${p.name}\nCOMPOSE_PROJECT_NAME=${p.name}\n`);
    await buildVersions([p.name]);
    const docker = openDocker();
    const watch = watchWorkers(docker, p.name);
    let queues = new Map<TierName, Queue>();
    const agent = await (async () => {
      succeeds(await p.compose(['up', '-d', '--wait', 'redis', 'postgres']));
      succeeds(await p.compose(['run', '--rm', 'migrate']));
      queues = await openQueues(p);
      return spawnAutoscaler(p, HOST);
    })();
    const status = async () => JSON.parse(succeeds(await p.composure(['autoscale', 'status', '--json'])).out);
    try {
      await eventually(
        async () => {
          const { tiers } = await status();
          expect(tiers.map(({ triggers }: { triggers: { summary: string }[] }) => triggers[0]?.summary)).toEqual(
            TIERS.map(() => expect.stringMatching(/^0 waiting/)),
          );
        },
        { timeoutMs: 20_000 },
      );
      const { budget } = await status();
      const began = Date.now();
      let added = 0;
      for (const { at, tier, kind, params, count } of TRACE) {
        await sleep(Math.max(0, began + at * 1000 - Date.now()));
        await queues.get(tier)?.addBulk(
          Array.from({ length: count }, (_, index) => ({
            name: kind,
            data: { params: { ...defaults[kind], ...params, seed: index } },
            opts: { jobId: `${tier}-${++added}`, attempts: 3 },
          })),
        );
      }
      await eventually(
        async () => {
          const counts = await Promise.all([...queues.values()].map((queue) => queue.getJobCounts('completed', 'failed')));
          expect(counts.reduce((sum, { completed = 0, failed = 0 }) => sum + completed + failed, 0)).toBe(added);
        },
        { timeoutMs: 90_000, everyMs: 500 },
      );
      // The medium and the heavy tier go to zero, and the light one keeps what its class keeps ready.
      await eventually(
        async () => {
          const running = (await p.containers()).filter(
            ({ State, Labels }) => State === 'running' && Labels[COMPOSE.service]?.startsWith('worker-'),
          );
          expect(running).toEqual([]);
        },
        { timeoutMs: 30_000, everyMs: 500 },
      );
      const endMs = Date.now();
      const tiers = (await readStatus(p.state))?.status.tiers.map(({ tier }) => tier) ?? [];
      await agent.kill('SIGTERM');
      await watch.stop();

      const done = await finished(queues);
      console.log(JSON.stringify(summary(done, watch.events)));
      expect(done).toHaveLength(added);
      for (const job of done) expect(job).toMatchObject({ attempts: 1, starts: 1, stalled: 0 });
      const ends = watch.events.filter(({ action }) => action === 'die');
      const signals = watch.events.filter(({ action }) => action === 'kill');
      expect(ends.length).toBeGreaterThan(2);
      expect(ends.map(({ exitCode }) => exitCode)).toEqual(ends.map(() => '0'));
      for (const { id, atMs, action } of [...ends, ...signals]) {
        const busyWith = done.filter(({ host, from, to }) => id.startsWith(host) && from < atMs && atMs < to);
        expect(busyWith, `${action} of ${id.slice(0, 12)}`).toEqual([]);
      }
      expect(signals.map(({ signal }) => signal)).toEqual(signals.map(() => '15'));
      // One signal for one life.
      expect(signals.length).toBe(ends.length);

      const most = await highest(watch.events, watch.limits);
      console.log(JSON.stringify({ most, budget }));
      expect(most.cpus).toBeLessThanOrEqual(budget.cpus);
      expect(most.memoryBytes).toBeLessThanOrEqual(budget.memoryBytes);
      // The trace asks for more than there is, or this would show nothing.
      expect(most.cpus).toBe(budget.cpus);

      let events = 0;
      for await (const { start, recorded } of readSegments(p.state)) {
        const again = replay(start, recorded);
        expect(again.differences).toEqual([]);
        events += again.events;
      }
      expect(events).toBeGreaterThan(100);

      const live = workerSeconds(watch.events, began, endMs);
      const simulated = simulate({ name: 'live', budget, tiers }, done, began, endMs);
      console.log(JSON.stringify({ live, simulated }));
      for (const tier of TIERS) expect(Math.abs(simulated[tier] / live[tier] - 1), tier).toBeLessThan(TOLERANCE);
    } finally {
      await watch.stop();
      await agent.kill('SIGKILL');
      await Promise.all([...queues.values()].map((queue) => queue.close()));
      await p.compose(['down', '--volumes', '--timeout', '2']);
      await removeVersions([p.name]);
    }
  });
});

/** How long workers of each tier ran between two instants, all together. */
function workerSeconds(events: readonly Seen[], fromMs: number, toMs: number): Record<TierName, number> {
  const sum = { light: 0, medium: 0, heavy: 0 };
  const since = new Map<string, number>();
  const add = (id: string, tier: TierName, atMs: number): void => {
    const from = since.get(id);
    if (from !== undefined) sum[tier] += Math.max(0, Math.min(atMs, toMs) - Math.max(from, fromMs)) / 1000;
    since.delete(id);
  };
  for (const { id, tier, action, atMs } of events) {
    if (action === 'start' || action === 'unpause') since.set(id, atMs);
    else if (action === 'die' || action === 'pause') add(id, tier, atMs);
  }
  for (const { id, tier } of events) add(id, tier, toMs);
  return sum;
}

/** The same jobs, each as long as it took, through the same policy in virtual time. */
function simulate(scenario: Scenario, done: readonly Done[], fromMs: number, toMs: number): Record<TierName, number> {
  const jobs = done.toSorted((a, b) => a.addedMs - b.addedMs);
  const indexOf = (tier: TierName): number => scenario.tiers.findIndex(({ service }) => service === `worker-${tier}`);
  const { tiers } = new World(
    scenario,
    {
      name: 'live',
      durationMs: toMs - fromMs,
      retry: { attempts: 1, delayMs: 0 },
      jobs: {
        count: jobs.length,
        atMs: Float64Array.from(jobs, ({ addedMs }) => Math.max(0, addedMs - fromMs)),
        tier: Uint8Array.from(jobs, ({ tier }) => indexOf(tier)),
        serviceMs: Float64Array.from(jobs, ({ from, to }) => Math.max(1, to - from)),
        poison: new Uint8Array(jobs.length),
      },
    },
    ours(),
  ).run();
  const seconds = (tier: TierName): number => (tiers[indexOf(tier)]?.cpuWorkerMs ?? 0) / 1000;
  return { light: seconds('light'), medium: seconds('medium'), heavy: seconds('heavy') };
}

const defaults: Record<string, Record<string, number>> = {
  rollup: {},
  refutation: { effect: 2 },
  shapley: { features: 6, background: 100, permutations: 64 },
  twins: { store: 0 },
};

/** Every job as the broker tells of it. */
async function finished(queues: Map<TierName, Queue>): Promise<Done[]> {
  const jobs = (await Promise.all([...queues.values()].map((queue) => queue.getCompleted(0, -1)))).flat();
  return jobs.map((job) => ({
    id: job.id ?? '',
    tier: job.queueName as TierName,
    addedMs: job.timestamp,
    host: job.processedBy ?? '',
    from: job.processedOn ?? 0,
    to: job.finishedOn ?? 0,
    attempts: job.attemptsMade,
    starts: job.attemptsStarted,
    stalled: job.stalledCounter,
  }));
}

/** The most that running workers might use at any instant: what is paused keeps its memory only. */
async function highest(events: readonly Seen[], limits: ReadonlyMap<string, Promise<Limits>>): Promise<Limits> {
  const states = new Map<string, 'running' | 'paused'>();
  const most = { cpus: 0, memoryBytes: 0 };
  for (const { action, id } of events) {
    if (action === 'start' || action === 'unpause') states.set(id, 'running');
    else if (action === 'pause') states.set(id, 'paused');
    else if (action === 'die') states.delete(id);
    let [cpus, memoryBytes] = [0, 0];
    for (const [one, state] of states) {
      const limit = await limits.get(one);
      if (!limit) throw new Error(`nobody has read the limits of ${one}`);
      if (state === 'running') cpus += limit.cpus;
      memoryBytes += limit.memoryBytes;
    }
    most.cpus = Math.max(most.cpus, cpus);
    most.memoryBytes = Math.max(most.memoryBytes, memoryBytes);
  }
  return most;
}

function summary(done: Done[], events: Seen[]): object {
  const took = (tier: string) => done.filter(({ id }) => id.startsWith(tier)).map(({ from, to }) => to - from);
  return {
    jobs: Object.fromEntries(TIERS.map((tier) => [tier, { count: took(tier).length, longestMs: Math.max(0, ...took(tier)) }])),
    events: Object.fromEntries(
      [...new Set(events.map(({ action }) => action))].map((action) => [action, events.filter((event) => event.action === action).length]),
    ),
  };
}
