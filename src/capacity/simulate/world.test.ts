import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Job, jobsOf } from './jobs.ts';
import { GB, HOUR_MS, MEASURED, type Scenario, type Workload } from './model.ts';
import { fixed } from './policies/fixed.ts';
import { KEDA, KEDA_TUNED, keda } from './policies/keda.ts';
import { ours } from './policies/ours.ts';
import { threshold } from './policies/threshold.ts';
import { reportOf } from './report.ts';
import { referenceScenario, tierWith } from './scenario.ts';
import { modelWorkload } from './workload.ts';
import type { Policy, Run } from './world/model.ts';
import { World } from './world.ts';

const INSTANT = { ...MEASURED, detectMs: 0, exitMs: 0 };
const FREE = { cpuHour: 0, gbHour: 0 };

function workload(jobs: Job[], parts: Partial<Workload> = {}): Workload {
  return { name: 'test', jobs: jobsOf(jobs), durationMs: HOUR_MS, retry: { attempts: 1, delayMs: 0 }, ...parts };
}

/** One tier of one-job workers with a boot of 3 s. */
function single(parts: Partial<Parameters<typeof tierWith>[0]> = {}, cpus = 4): Scenario {
  return {
    name: 'single',
    budget: { cpus, memoryBytes: 64 * GB, cores: cpus },
    tiers: [tierWith({ service: 'worker', class: 'medium', need: { cpus: 1, memoryBytes: GB }, max: 4, ...parts })],
  };
}

const waits = (run: Run): number[] => [...run.waitMs];

test('three jobs and two fixed workers: waits, CPU time and lower bound as computed by hand', () => {
  const run = new World(
    single(),
    workload([
      { atMs: 0, tier: 0, serviceMs: 10_000 },
      { atMs: 1000, tier: 0, serviceMs: 10_000 },
      { atMs: 2000, tier: 0, serviceMs: 10_000 },
    ]),
    fixed(2),
    { times: INSTANT },
  ).run();
  // Both boot until 3.0 s and take the first two; the third waits for the first end, at 13.0 s.
  expect(waits(run)).toEqual([3000, 2000, 11_000]);
  const report = reportOf(run, { cpuHour: 0.5, gbHour: 0.25 });
  expect(report.cpuHours).toBe(2);
  expect(report.gbHours).toBe(2);
  expect(report.lowerCpuHours).toBeCloseTo(30 / 3600, 12);
  expect(report.alwaysOnCpuHours).toBe(4);
  expect(report.savedOfAlwaysOn).toBe(0.5);
  expect(report.costPerMonth).toBe(730 * (2 * 0.5 + 2 * 0.25));
  expect(report.tiers[0]).toMatchObject({ waitP50: 3, waitP95: 11, waitP99: 11, late: 0, jobs: 3, startsPerHour: 2 });
});

test('ours: a job starts a worker at once, the next finds it, and it goes a minute after the last end', () => {
  const run = new World(
    single(),
    workload([
      { atMs: 60_000, tier: 0, serviceMs: 10_000 },
      { atMs: 80_000, tier: 0, serviceMs: 5000 },
    ]),
    ours(),
    { times: INSTANT },
  ).run();
  // 60 s + 3 s of boot; runs until 73 s; the second at once, until 85 s; gone at 145 s.
  expect(waits(run)).toEqual([3000, 0]);
  expect(run.tiers[0]?.counts).toMatchObject({ starts: 1, kills: 0, refused: 0, ended: 2 });
  expect(run.tiers[0]?.cpuWorkerMs).toBe(145_000 - 60_000);
  expect(run.tiers[0]?.workers).toEqual([]);
});

test('ours: a frozen worker answers after its thaw, and holds memory but no CPU meanwhile', () => {
  const run = new World(
    single({ warm: { kind: 'frozen', count: 1 } }),
    workload([{ atMs: 1_800_000, tier: 0, serviceMs: 10_000 }]),
    ours(),
    { times: INSTANT },
  ).run();
  expect(waits(run)).toEqual([10]);
  const [tier] = run.tiers;
  // The pool is filled once the tier has been idle for its cooldown, and the next poll has seen it.
  expect(tier?.memoryWorkerMs).toBe(HOUR_MS - 65_000);
  expect(tier?.cpuWorkerMs).toBeLessThan(200_000);
  expect(tier?.workers.map(({ phase }) => phase)).toEqual(['frozen']);
});

test('a worker that is killed loses its work; the job is delivered again and its wait counts until the run that ended it', () => {
  const policy: Policy = {
    name: 'kills once',
    begin(world) {
      this.wake = (token) => {
        const [tier] = world.tiers;
        const [worker] = tier?.workers ?? [];
        if (!tier) throw new Error('no tier');
        if (token === 0) world.create(tier);
        if (token === 1 && worker) world.drain(worker, { graceMs: 30_000 });
      };
      world.wakeAt(0, 0);
      world.wakeAt(20_000, 1);
      world.wakeAt(60_000, 0);
    },
    wake() {},
  };
  const run = new World(single(), workload([{ atMs: 0, tier: 0, serviceMs: 100_000 }]), policy, { times: INSTANT }).run();
  // It ran from 3 s to 50 s, the second worker is ready at 63 s.
  expect(run.tiers[0]?.counts).toMatchObject({ kills: 1, lostMs: 47_000, redelivered: 1, ended: 1, starts: 2 });
  expect(waits(run)).toEqual([63_000]);
  expect(run.unfinished).toBe(0);
});

test('a poison job is tried as often as the workload says, with its delay, and then counts as failed', () => {
  const run = new World(
    single(),
    workload([{ atMs: 10_000, tier: 0, serviceMs: 1000, poison: true }], { retry: { attempts: 3, delayMs: 5000 } }),
    fixed(1),
    { times: INSTANT },
  ).run();
  expect(run.tiers[0]?.counts).toMatchObject({ arrived: 1, ended: 1, failed: 1 });
  // Arrival, three starts, three ends.
  expect(run.jobEvents).toBe(7);
  expect(waits(run)).toEqual([0]);
});

test('the engine refuses what does not fit, and goes on', () => {
  const run = new World(single({ need: { cpus: 1, memoryBytes: 40 * GB } }), workload([]), fixed(4)).run();
  expect(run.peakMemoryBytes).toBe(40 * GB);
  expect(run.tiers[0]?.workers.length).toBe(1);
});

const POLICIES: [string, () => Policy][] = [
  ['ours', ours],
  ['fixed', () => fixed(2)],
  ['threshold', () => threshold()],
  ['keda', () => keda('keda', KEDA)],
  ['keda-tuned', () => keda('keda-tuned', KEDA_TUNED)],
];

const mixed = fc.array(
  fc.record({
    atMs: fc.integer({ min: 0, max: HOUR_MS - 1 }),
    tier: fc.integer({ min: 0, max: 2 }),
    serviceMs: fc.integer({ min: 1, max: 400_000 }),
    poison: fc.boolean(),
  }),
  { maxLength: 120 },
);

test.each(POLICIES)('%s: every job ends once or is counted, and the budget holds', (name, policy) => {
  fc.assert(
    fc.property(mixed, fc.integer({ min: 4, max: 14 }), (jobs, cpus) => {
      const scenario = referenceScenario();
      scenario.budget.cpus = cpus;
      const run = new World(scenario, workload(jobs, { retry: { attempts: 3, delayMs: 20_000 } }), policy()).run();
      const total = (of: (counts: Run['tiers'][number]['counts']) => number): number =>
        run.tiers.reduce((sum, { counts }) => sum + of(counts), 0);
      expect(total(({ arrived }) => arrived)).toBe(jobs.length);
      expect(total(({ ended }) => ended) + run.unfinished).toBe(jobs.length);
      const left = run.tiers.reduce(
        (sum, tier) =>
          sum +
          tier.queue.size +
          tier.running +
          tier.delayedMs.length +
          tier.workers.reduce((held, worker) => held + worker.held.length, 0),
        0,
      );
      expect(left).toBe(run.unfinished);
      expect(run.peakCpus).toBeLessThanOrEqual(cpus + 1e-9);
      expect(run.peakMemoryBytes).toBeLessThanOrEqual(scenario.budget.memoryBytes);
      if (name === 'ours' || name === 'fixed') {
        expect(total(({ kills }) => kills)).toBe(0);
        expect(run.unfinished).toBe(0);
      }
      // Work that was paid for is at least the work that was done.
      const done = run.tiers.reduce((sum, tier) => sum + tier.cpuWorkerMs * tier.tier.concurrency, 0);
      const needed = jobs.reduce((sum, { serviceMs }) => sum + serviceMs, 0);
      if (run.unfinished === 0) expect(done).toBeGreaterThanOrEqual(needed - 1e-6);
    }),
    { numRuns: 40 },
  );
});

test.each(POLICIES)('%s: the same seed gives the same run', (_name, policy) => {
  const once = (seed: number) => {
    const { tiers } = referenceScenario();
    const made = modelWorkload('bursts', tiers, { seed, durationMs: HOUR_MS / 2, load: 0.1 });
    const run = new World(referenceScenario(), made, policy()).run();
    return JSON.stringify([reportOf(run, FREE), run.series, [...run.waitMs]]);
  };
  expect(once(7)).toBe(once(7));
  expect(once(7)).not.toBe(once(8));
});

test('the series says how long queues were and what was held', () => {
  const run = new World(single(), workload([{ atMs: 0, tier: 0, serviceMs: 1000 }]), fixed(2), { steps: 4, times: INSTANT }).run();
  expect(run.series).toEqual({
    stepMs: HOUR_MS / 4,
    tiers: [{ waiting: [3 / 900, 0, 0, 0], workers: [2, 2, 2, 2], frozen: [0, 0, 0, 0] }],
  });
});
