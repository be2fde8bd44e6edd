import { expect, test } from 'vitest';
import { type Job, jobsOf } from '../jobs.ts';
import { GB, HOUR_MS, MEASURED, type Scenario } from '../model.ts';
import { tierWith } from '../scenario.ts';
import type { Policy, Run } from '../world/model.ts';
import { World } from '../world.ts';
import { fixed } from './fixed.ts';
import { KEDA, KEDA_TUNED, keda } from './keda.ts';
import { policyByName } from './list.ts';
import { THRESHOLD, threshold } from './threshold.ts';

function play(policy: Policy, jobs: Job[], max = 4, tiers = 1): Run {
  const scenario: Scenario = {
    name: 'test',
    budget: { cpus: 6, memoryBytes: 64 * GB, cores: 6 },
    tiers: Array.from({ length: tiers }, (_, index) =>
      tierWith({ service: `worker-${index}`, class: 'medium', need: { cpus: 1, memoryBytes: GB }, max }),
    ),
  };
  const workload = { name: 'test', jobs: jobsOf(jobs), durationMs: HOUR_MS, retry: { attempts: 1, delayMs: 0 } };
  return new World(scenario, workload, policy, { times: { ...MEASURED, exitMs: 0 } }).run();
}

const many = (count: number, atMs: number, serviceMs: number): Job[] => Array.from({ length: count }, () => ({ atMs, tier: 0, serviceMs }));

test('KEDA defaults: a job waits for the poll, and its worker stays for the cooldown', () => {
  // The poll at 30 s misses the job at 31 s; that at 60 s starts a worker, ready at 63 s. The job runs until 73 s.
  const run = play(keda(), [{ atMs: 31_000, tier: 0, serviceMs: 10_000 }]);
  expect([...run.waitMs]).toEqual([32_000]);
  // Active at 60 s; the first poll more than 300 s later is at 390 s.
  expect(run.tiers[0]?.cpuWorkerMs).toBe(390_000 - 60_000);
  expect(run.tiers[0]?.counts).toMatchObject({ kills: 0, starts: 1 });
});

test('KEDA defaults: a job longer than cooldown and grace is killed, begun again, and killed again', () => {
  const run = play(keda(), [{ atMs: 0, tier: 0, serviceMs: 400_000 }]);
  expect(run.tiers[0]?.counts.kills).toBeGreaterThan(5);
  expect(run.unfinished).toBe(1);
});

test('KEDA that counts running jobs lets it end', () => {
  const run = play(keda('tuned', KEDA_TUNED), [{ atMs: 0, tier: 0, serviceMs: 400_000 }]);
  expect(run.tiers[0]?.counts).toMatchObject({ kills: 0, ended: 1 });
});

test('KEDA: the HPA grows by its rates, from the one worker that KEDA starts', () => {
  // 40 jobs at 0: one worker at once; the sync at 15 s finds 39 waiting, target 5, wants 8, may have 5; the one at 30 s the rest.
  const run = play(keda('keda', KEDA), many(40, 0, 600_000), 6);
  expect([...new Set(run.waitMs)].slice(0, 3)).toEqual([3000, 18_000, 33_000]);
});

test('the threshold script polls each 10 s, adds one, and removes one a minute after the queue ran empty', () => {
  // Job at 1 s: poll at 10 s, ready at 13 s, ends at 18 s. Polls at 20 s to 70 s find the queue empty: six, and the worker goes.
  const run = play(threshold(), [{ atMs: 1000, tier: 0, serviceMs: 5000 }]);
  expect([...run.waitMs]).toEqual([12_000]);
  expect(run.tiers[0]?.cpuWorkerMs).toBe(70_000 - 10_000);
});

test('the threshold script kills what it does not see: a job that runs while the queue is empty', () => {
  const run = play(threshold({ ...THRESHOLD }), [{ atMs: 0, tier: 0, serviceMs: 200_000 }]);
  expect(run.tiers[0]?.counts.kills).toBeGreaterThan(0);
});

test('fixed numbers are started in turn as far as the host goes', () => {
  const run = play(fixed('max'), [], 4, 3);
  expect(run.tiers.map(({ workers }) => workers.length)).toEqual([2, 2, 2]);
  expect(play(fixed(1), [], 4, 3).tiers.map(({ workers }) => workers.length)).toEqual([1, 1, 1]);
});

test('policies are found by name, and others refused with the list', () => {
  for (const name of ['ours', 'fixed:3', 'fixed:max', 'threshold', 'keda', 'keda-tuned', 'keda-patient'])
    expect(policyByName(name, 1).name).toBe(name);
  expect(() => policyByName('best', 1)).toThrow('there is no policy best');
  expect(() => policyByName('constructor', 1)).toThrow('there is no policy constructor');
});
