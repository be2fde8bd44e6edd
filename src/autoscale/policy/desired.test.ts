import { describe, expect, test } from 'vitest';
import { printDecision } from '../explain.ts';
import type { Tier } from '../model.ts';
import { nextWakeMs } from './decide.ts';
import { decisionOf } from './decision.ts';
import { countFor, fallbackCount } from './demand.ts';
import { type Course, course, GIB, tier, trigger, worker } from './fixtures.ts';

const HUGE = { cpus: 100, memoryBytes: 1000 * GIB, cores: 100 };
const said = (run: Course, id?: string): string => printDecision(decisionOf(run.state, run.tier(id))).join('\n');
const alone = (changes: Partial<Tier> = {}): Course => course([tier('mail', changes)], HUGE);

/** Puts workers 1 to n there, all idle. */
function give(run: Course, seconds: number, count: number): void {
  run.at(seconds, { kind: 'workers', workers: Array.from({ length: count }, (_, index) => worker(index + 1)) });
}

describe('slots = min(W + A, max(A, L) + W x S / T)', () => {
  test('until a job has ended S is T: one slot for each job', () => {
    const run = alone({ max: 100 });
    run.reading(0, 12, 0);
    expect(said(run)).toMatchInlineSnapshot(`
      "shop/mail: 12 serve, 12 wanted
        queue: W 12 waiting, A 0 running, read 0 ms ago
        slots = min(W + A = 12, max(A 0, L 0) + W 12 x S/T) = 12; ceil(slots / 1) = 12; S 5.0 s (= T, none has ended yet), T 5.0 s, lambda 0/s
        formula 12 -> windows and rates 12 -> limits 12 -> host 12"
    `);
  });

  test('short jobs share a worker: as many slots as clear the backlog within T', () => {
    const run = alone({ max: 100 });
    give(run, 0, 1);
    run.reading(0, 0, 1);
    run.reading(0.5, 0, 0);
    run.reading(1, 40, 0);
    expect(run.tier().triggers[0]?.estimate.serviceMs).toBeCloseTo(500);
    expect(run.tier().raw).toBe(5);
    expect(said(run)).toMatchInlineSnapshot(`
      "shop/mail: 5 serve, 5 wanted
        queue: W 40 waiting, A 0 running, read 0 ms ago
        slots = min(W + A = 40, max(A 0, L 0.332) + W 40 x S/T) = 4.332; ceil(slots / 1) = 5; S 500 ms, T 5.0 s, lambda 0.664/s
        formula 5 -> windows and rates 5 -> limits 5 -> host 5"
    `);
  });

  test('jobs longer than T get a slot each, never more', () => {
    const run = alone({ max: 100 });
    give(run, 0, 1);
    run.reading(0, 0, 1);
    run.reading(60, 0, 0);
    run.reading(61, 3, 1);
    expect(run.tier().raw).toBe(4);
  });

  test('a worker that runs four at a time is wanted once for four slots', () => {
    const run = alone({ concurrency: 4 });
    run.reading(0, 9, 0);
    expect(run.tier().raw).toBe(3);
  });

  test('what keeps up with arrivals stays although nothing waits at the moment of the look', () => {
    const run = alone({ max: 100, drainTargetMs: 60_000 });
    give(run, 0, 1);
    let at = 0;
    // Jobs of 3 s, one a second: three slots, looked at when only one runs.
    for (let job = 0; job < 200; job += 1) {
      run.reading(at, 0, 4);
      at += 1;
      run.reading(at, 0, 3);
    }
    run.reading(at, 2, 1);
    expect(run.tier().triggers[0]?.estimate.arrivalsPerMs).toBeGreaterThan(0.0008);
    expect(run.tier().raw).toBe(3);
  });

  test('held jobs (P) never ask for workers', () => {
    const run = alone();
    run.reading(0, 0, 0, { held: 9 });
    expect(run.tier().wanted).toBe(0);
  });

  test('where nobody tells what runs, busy workers are counted as full', () => {
    const run = alone({ concurrency: 2 });
    run.at(0, { kind: 'workers', workers: [worker(1, { busy: true }), worker(2, { busy: true }), worker(3)] });
    run.at(0, { kind: 'reading', trigger: 'queue', reading: { value: 1, queue: { waiting: 1 } } });
    expect(run.tier().raw).toBe(3);
  });
});

describe('explicit targets', () => {
  test('AverageValue: ceil(total / target)', () => {
    const run = alone({ triggers: [trigger({ target: 5 })] });
    run.reading(0, 10, 1);
    expect(said(run)).toMatchInlineSnapshot(`
      "shop/mail: 3 serve, 3 wanted
        queue: W 10 waiting, A 1 running, target 5 (AverageValue), read 0 ms ago
        ceil(11 / 5) = 3
        formula 3 -> windows and rates 3 -> limits 3 -> host 3"
    `);
  });

  const rules = tier().behavior;
  test.each([
    { type: 'AverageValue', value: 20, target: 5, ready: 4, current: 4, count: 4, why: 'exactly the target' },
    { type: 'AverageValue', value: 22, target: 5, ready: 4, current: 4, count: 4, why: '10 % above is tolerated' },
    { type: 'AverageValue', value: 23, target: 5, ready: 4, current: 4, count: 5, why: '15 % above is not' },
    { type: 'AverageValue', value: 18, target: 5, ready: 4, current: 4, count: 4, why: '10 % below is tolerated' },
    { type: 'AverageValue', value: 17, target: 5, ready: 4, current: 4, count: 4, why: 'ceil(3.4)' },
    { type: 'AverageValue', value: 14, target: 5, ready: 4, current: 4, count: 3, why: '30 % below' },
    { type: 'AverageValue', value: 1, target: 5, ready: 0, current: 0, count: 1, why: 'from zero there is no tolerance' },
    { type: 'AverageValue', value: 0.3, target: 0.1, ready: 1, current: 1, count: 3, why: 'binary fractions are no fourth worker' },
    { type: 'Value', value: 30, target: 10, ready: 2, current: 2, count: 6, why: 'each is three times over' },
    { type: 'Value', value: 10.5, target: 10, ready: 2, current: 2, count: 2, why: 'within the tolerance' },
    { type: 'Value', value: 30, target: 10, ready: 1, current: 4, count: 4, why: 'starting ones are not judged' },
    { type: 'Value', value: 30, target: 10, ready: 0, current: 0, count: 3, why: 'from zero as if one served' },
    { type: 'Utilization', value: 140, target: 70, ready: 3, current: 3, count: 6, why: 'percent of what each may use' },
    { type: 'Utilization', value: 20, target: 70, ready: 3, current: 3, count: 1, why: 'ceil(0.86)' },
  ] as const)('$type $value for $target with $current -> $count: $why', ({ type, value, target, ready, current, count }) => {
    expect(countFor(type, value, target, tier('x', { behavior: rules }), ready, current)).toBe(count);
  });

  test('each direction has its own tolerance', () => {
    const loose = tier('x', {
      behavior: { scaleUp: { ...rules.scaleUp, tolerance: 0.5 }, scaleDown: { ...rules.scaleDown, tolerance: 0 } },
    });
    expect(countFor('AverageValue', 29, 5, loose, 4, 4)).toBe(4);
    expect(countFor('AverageValue', 14, 5, loose, 4, 4)).toBe(3);
  });

  test('several triggers: the largest', () => {
    const run = alone({ triggers: [trigger({ target: 5 }), trigger({ name: 'slow', type: 'prometheus', target: 100 })] });
    run.reading(0, 7, 0);
    run.at(0, { kind: 'reading', trigger: 'slow', reading: { value: 350 } });
    expect(said(run)).toMatchInlineSnapshot(`
      "shop/mail: 4 serve, 4 wanted
        queue: W 7 waiting, A 0 running, target 5 (AverageValue), read 0 ms ago
        slow: value 350, target 100 (AverageValue), read 0 ms ago
        max of [queue: ceil(7 / 5) = 2] [slow: ceil(350 / 100) = 4] = 4
        formula 4 -> windows and rates 4 -> limits 4 -> host 4"
    `);
  });
});

describe('activation and zero', () => {
  test('at zero a value up to the activation value lifts nothing, one above lifts to the minimum', () => {
    const run = alone({ min: 0, idle: 0, triggers: [trigger({ target: 5, activation: 3 })] });
    run.reading(0, 3, 0);
    expect(run.tier().wanted).toBe(0);
    expect(decisionOf(run.state, run.tier()).limits).toEqual(['not above the activation value']);
    run.reading(1, 4, 0);
    expect(run.tier().wanted).toBe(1);
  });

  test('idleReplicaCount 0 with a minimum of 3: none or at least three', () => {
    const run = alone({ min: 3, idle: 0, triggers: [trigger({ target: 5 })] });
    run.reading(0, 0, 0);
    expect(run.tier().wanted).toBe(0);
    run.reading(1, 1, 0);
    expect(run.tier().wanted).toBe(3);
  });

  test('a minimum without idleReplicaCount always stands', () => {
    const run = alone({ min: 2 });
    run.reading(0, 0, 0);
    expect(run.tier().wanted).toBe(2);
  });

  test('never more than the maximum', () => {
    const run = alone({ max: 3 });
    run.reading(0, 50, 0);
    expect([run.tier().raw, run.tier().wanted]).toEqual([50, 3]);
    expect(decisionOf(run.state, run.tier()).limits).toContain('maxReplicaCount 3');
  });

  test('cpu and memory neither lift from zero nor keep from it, but scale in between', () => {
    const run = alone({
      triggers: [trigger(), trigger({ name: 'cpu', type: 'cpu', metricType: 'Utilization', target: 50, activates: false })],
    });
    const cpu = (seconds: number, value: number) => run.at(seconds, { kind: 'reading', trigger: 'cpu', reading: { value } });
    cpu(0, 200);
    run.reading(0, 0, 0);
    expect(run.tier().wanted).toBe(0);
    give(run, 1, 1);
    cpu(2, 200);
    run.reading(2, 0, 1);
    expect(run.tier().wanted).toBe(4);
    give(run, 3, 1);
    run.reading(3, 0, 0);
    for (let at = 4; at <= 200; at += 7) {
      cpu(at, 50);
      run.reading(at, 0, 0);
    }
    expect(run.tier().wanted).toBe(0);
  });

  test('the cooldown begins when the last job was seen to be gone, and ends with a tick that was asked for', () => {
    const run = alone();
    give(run, 0, 1);
    run.reading(0, 0, 1);
    run.reading(100, 0, 0);
    expect(run.tier().wanted).toBe(1);
    expect(decisionOf(run.state, run.tier()).limits).toEqual(['the scaleDown window of 1 min 00 s']);
    expect(nextWakeMs(run.state)).toBe(160_000);
    run.reading(159.9, 0, 0);
    expect(run.tier().wanted).toBe(1);
    run.actions.length = 0;
    run.at(160, { kind: 'tick' });
    expect(run.tier().wanted).toBe(0);
    expect(run.actions).toEqual([
      // biome-ignore lint/suspicious/noThenProperty: the action's word
      { kind: 'retire', tier: 'shop/mail', worker: 'c1', then: 'remove', why: '1 serve, 0 wanted; idle for 160 s' },
    ]);
  });

  test('a cooldown longer than the window keeps one, not all', () => {
    const run = alone({ cooldownMs: 300_000 });
    give(run, 0, 3);
    run.reading(0, 0, 3);
    run.reading(1, 0, 0);
    run.reading(100, 0, 0);
    expect(run.tier().wanted).toBe(1);
    expect(decisionOf(run.state, run.tier()).limits).toContain('the cooldown of 5 min 00 s before zero');
    run.reading(300.9, 0, 0);
    expect(run.tier().wanted).toBe(1);
    run.reading(301, 0, 0);
    expect(run.tier().wanted).toBe(0);
  });

  test('initialCooldownPeriod counts from when the tier was first seen', () => {
    const run = alone({ initialCooldownMs: 500_000 });
    give(run, 0, 1);
    run.reading(0, 0, 0);
    run.reading(499, 0, 0);
    expect(run.tier().wanted).toBe(1);
    run.reading(500, 0, 0);
    expect(run.tier().wanted).toBe(0);
  });

  test.each([
    ['waits', { waiting: 1, active: 0 }],
    ['runs', { waiting: 0, active: 1 }],
    ['is held by a worker', { waiting: 0, active: 0, held: 1 }],
    ['is due within the boot time', { waiting: 0, active: 0, nextDueMs: 902_900 }],
  ])('never zero while something %s', (_, queue) => {
    const run = alone({ bootMs: 903_000 });
    give(run, 0, 1);
    for (let at = 0; at <= 900; at += 30) run.at(at, { kind: 'reading', trigger: 'queue', reading: { value: 0, queue } });
    expect(run.tier().wanted).toBe(1);
    expect(run.actions).toEqual([]);
  });

  test('never zero while a worker is busy by its own word', () => {
    const run = alone();
    run.at(0, { kind: 'workers', workers: [worker(1, { busy: true })] });
    for (let at = 0; at <= 900; at += 30) run.reading(at, 0, 0);
    expect(run.tier().wanted).toBe(1);
  });

  test('where nobody tells what runs, a worker that its framework has not named keeps from zero', () => {
    const run = alone({ framework: 'celery' });
    run.at(0, { kind: 'worker', worker: { id: 'c1', number: 1, phase: 'running', sinceMs: 0, obsolete: false } });
    for (let at = 0; at <= 900; at += 30) run.at(at, { kind: 'reading', trigger: 'queue', reading: { value: 0, queue: { waiting: 0 } } });
    expect(run.tier().wanted).toBe(1);
  });

  test.each([
    { what: 'without a framework', tier: {}, waiting: 0, asked: ['retire c1'] },
    {
      what: 'with a probe beside the framework',
      tier: { framework: 'celery' as const, busy: { kind: 'exec' as const, command: ['x'] } },
      waiting: 0,
      asked: ['retire c1'],
    },
    { what: 'with the framework alone', tier: { framework: 'celery' as const }, waiting: 0, asked: [] },
    { what: 'while something waits', tier: {}, waiting: 1, asked: [] },
  ])('a worker of which no source tells is asked to prove itself idle: $what', ({ tier, waiting, asked }) => {
    const run = alone({ ...tier, warm: { kind: 'none', count: 0 } });
    run.at(0, { kind: 'worker', worker: { id: 'c1', number: 1, phase: 'running', sinceMs: 0, obsolete: false } });
    const actions: string[] = [];
    for (let at = 0; at <= 900; at += 5) {
      actions.push(
        ...run
          .at(at, { kind: 'reading', trigger: 'queue', reading: { value: waiting, queue: { waiting } } })
          .map(({ kind, worker }) => `${kind} ${worker}`),
      );
    }
    expect(actions.filter((text) => text.startsWith('retire'))).toEqual(asked);
  });

  test('at zero the next delayed job arms a timer, a boot ahead of it', () => {
    const run = alone();
    run.reading(0, 0, 0, { nextDueMs: 600_000 });
    expect(run.tier().wanted).toBe(0);
    expect(nextWakeMs(run.state)).toBe(597_000);
    run.reading(596.9, 0, 0, { nextDueMs: 600_000 });
    expect(run.tier().wanted).toBe(0);
    run.at(597, { kind: 'tick' });
    expect(run.tier().wanted).toBe(1);
  });

  test('force-activation keeps one although nothing is to do', () => {
    const run = alone({ forceActivation: true });
    run.reading(0, 0, 0);
    expect(run.tier().wanted).toBe(1);
  });
});

describe('windows and rates', () => {
  test('down only after the window, to the highest that was needed in it; up at once', () => {
    const run = alone({ cooldownMs: 0 });
    give(run, 0, 6);
    run.reading(0, 0, 6);
    run.reading(10, 0, 2);
    run.reading(40, 0, 1);
    expect(run.tier().wanted).toBe(6);
    run.reading(70, 0, 1);
    expect(run.tier().wanted).toBe(2);
    run.reading(100, 0, 1);
    expect(run.tier().wanted).toBe(1);
    run.reading(101, 8, 1);
    expect(run.tier().wanted).toBe(9);
  });

  test('a scaleUp window takes the lowest of it', () => {
    const { behavior } = tier();
    const run = alone({ behavior: { ...behavior, scaleUp: { ...behavior.scaleUp, stabilizationWindowMs: 30_000 } } });
    give(run, 0, 1);
    run.reading(0, 0, 1);
    run.reading(10, 4, 1);
    expect(run.tier().stabilized).toBe(1);
    run.reading(39, 2, 1);
    expect(run.tier().stabilized).toBe(1);
    run.reading(40, 5, 1);
    expect(run.tier().stabilized).toBe(3);
  });

  test('rate policies count what was really started', () => {
    const { behavior } = tier();
    const run = alone({
      behavior: { ...behavior, scaleUp: { ...behavior.scaleUp, policies: [{ type: 'Pods', value: 2, periodMs: 15_000 }] } },
    });
    run.reading(0, 9, 0);
    expect(run.actions).toHaveLength(2);
    run.reading(14.9, 9, 0);
    expect(run.actions).toHaveLength(2);
    expect(decisionOf(run.state, run.tier()).limits).toContain('the rate policies of behavior');
    expect(nextWakeMs(run.state)).toBe(15_000);
    run.reading(15, 9, 0);
    expect(run.actions).toHaveLength(4);
  });

  test('scaleDown Disabled: never down, not even to zero', () => {
    const { behavior } = tier();
    const run = alone({ behavior: { ...behavior, scaleDown: { ...behavior.scaleDown, selectPolicy: 'Disabled' } } });
    give(run, 0, 2);
    for (let at = 0; at <= 900; at += 30) run.reading(at, 0, 0);
    expect(run.tier().wanted).toBe(2);
  });
});

describe('missing metrics', () => {
  test.each([
    { behavior: 'static', replicas: 3, current: 1, count: 3 },
    { behavior: 'static', replicas: 0, current: 2, count: 2 },
    { behavior: 'currentReplicas', replicas: 3, current: 1, count: 1 },
    { behavior: 'currentReplicasIfHigher', replicas: 3, current: 1, count: 3 },
    { behavior: 'currentReplicasIfHigher', replicas: 3, current: 5, count: 5 },
    { behavior: 'currentReplicasIfLower', replicas: 3, current: 1, count: 1 },
    { behavior: 'currentReplicasIfLower', replicas: 3, current: 5, count: 5 },
  ] as const)('fallback $behavior $replicas with $current -> $count', ({ behavior, replicas, current, count }) => {
    expect(fallbackCount({ failureThreshold: 3, replicas, behavior }, current)).toBe(count);
  });

  const failing = (run: Course, seconds: number) =>
    run.at(seconds, { kind: 'reading-failed', trigger: 'queue', message: 'connection refused' });

  test('one failed read holds what there is for as long as it takes; the next success counts the cooldown anew', () => {
    const run = alone();
    give(run, 0, 3);
    run.reading(0, 0, 0);
    for (let at = 10; at <= 1000; at += 10) failing(run, at);
    expect(run.tier().wanted).toBe(3);
    expect(run.actions).toEqual([]);
    run.reading(1001, 0, 0);
    run.reading(1060.9, 0, 0);
    expect(run.tier().wanted).toBe(3);
    run.reading(1061, 0, 0);
    expect(run.tier().wanted).toBe(0);
  });

  test('what was asked for before the loss is still wanted', () => {
    const run = alone();
    run.reading(0, 4, 0);
    failing(run, 1);
    expect(run.tier().wanted).toBe(4);
  });

  test('the third failure in a row brings the fallback, which lifts from zero', () => {
    const run = alone({ fallback: { failureThreshold: 3, replicas: 2, behavior: 'currentReplicasIfHigher' } });
    run.reading(0, 0, 0);
    failing(run, 1);
    failing(run, 2);
    expect(run.tier().wanted).toBe(0);
    failing(run, 3);
    expect(run.tier().wanted).toBe(2);
    expect(said(run)).toMatchInlineSnapshot(`
      "shop/mail: 2 serve, 2 wanted
        queue: W 0 waiting, A 0 running, read 3.0 s ago, 3 reads failed: connection refused
        fallback currentReplicasIfHigher 2 -> 2
        formula 2 -> windows and rates 2 -> limits 2 -> host 2
        - a metric is missing: nothing is taken away
        - fallback: reads keep failing"
    `);
    run.reading(4, 0, 0);
    failing(run, 5);
    expect(run.tier().limits & 64).toBe(0);
  });

  test('one of two triggers missing: the other may raise, nothing lowers', () => {
    const run = alone({ triggers: [trigger(), trigger({ name: 'other' })] });
    give(run, 0, 3);
    run.at(0, { kind: 'reading', trigger: 'other', reading: { value: 0, queue: { waiting: 0, active: 0 } } });
    failing(run, 0);
    run.at(500, { kind: 'reading', trigger: 'other', reading: { value: 0, queue: { waiting: 0, active: 0 } } });
    expect(run.tier().wanted).toBe(3);
    run.at(501, { kind: 'reading', trigger: 'other', reading: { value: 5, queue: { waiting: 5, active: 0 } } });
    expect(run.tier().wanted).toBe(5);
  });

  test('a reading that nobody has renewed is missing', () => {
    const run = alone();
    give(run, 0, 2);
    run.reading(0, 0, 0);
    run.at(3600, { kind: 'tick' });
    expect(run.tier().wanted).toBe(2);
    expect(decisionOf(run.state, run.tier()).limits).toContain('a metric is missing: nothing is taken away');
  });

  test('before the first reading nothing is taken away', () => {
    const run = alone();
    give(run, 0, 2);
    run.at(900, { kind: 'tick' });
    expect([run.tier().wanted, run.actions]).toEqual([2, []]);
  });
});

describe('scalingModifiers', () => {
  const modified = (formula: string) =>
    alone({
      scalingModifiers: { formula, target: 10, activationTarget: 5, metricType: 'AverageValue' },
      triggers: [trigger({ target: 1 }), trigger({ name: 'slow', type: 'prometheus', target: 1 })],
    });
  const slow = (run: Course, seconds: number, value: number) => run.at(seconds, { kind: 'reading', trigger: 'slow', reading: { value } });

  test('one composite metric decides instead of all', () => {
    const run = modified('queue + slow * 2');
    run.reading(0, 4, 0);
    slow(run, 0, 15);
    expect(said(run)).toMatchInlineSnapshot(`
      "shop/mail: 4 serve, 4 wanted
        queue: W 4 waiting, A 0 running, target 1 (AverageValue), read 0 ms ago
        slow: value 15, target 1 (AverageValue), read 0 ms ago
        queue + slow * 2 = 34, target 10 (AverageValue) -> 4
        formula 4 -> windows and rates 4 -> limits 4 -> host 4"
    `);
  });

  test('its activation target decides about zero', () => {
    const run = modified('queue + slow');
    run.reading(0, 5, 0);
    slow(run, 0, 0);
    expect(run.tier().wanted).toBe(0);
    slow(run, 1, 1);
    expect(run.tier().wanted).toBe(1);
  });

  test('a trigger that is missing holds the count; ?? goes on without it, upwards only', () => {
    const held = modified('queue + slow');
    give(held, 0, 2);
    held.reading(0, 90, 0);
    expect(held.tier().wanted).toBe(2);
    const going = modified('queue + (slow ?? 0)');
    give(going, 0, 2);
    going.reading(0, 90, 0);
    expect(going.tier().wanted).toBe(9);
    going.reading(500, 0, 0);
    expect(going.tier().raw).toBe(0);
    expect(going.tier().wanted).toBe(9);
  });
});

describe('people', () => {
  test('a manual count is a floor up to the maximum, until it is released', () => {
    const run = alone({ max: 4 });
    run.reading(0, 0, 0);
    run.at(0, { kind: 'manual', replicas: 2 });
    expect(run.tier().wanted).toBe(2);
    run.reading(1, 3, 0);
    expect(run.tier().wanted).toBe(3);
    run.at(2, { kind: 'manual', replicas: 9 });
    expect(run.tier().wanted).toBe(4);
    give(run, 3, 4);
    run.at(3, { kind: 'manual' });
    run.reading(4, 0, 0);
    run.reading(64, 0, 0);
    expect(run.tier().wanted).toBe(0);
  });

  const pause = (run: Course, changes: Partial<Tier['pause']>) =>
    run.at(0, { kind: 'paused', pause: { paused: false, pausedScaleIn: false, pausedScaleOut: false, ...changes } });

  test.each([
    { changes: { paused: true }, waiting: 9, wanted: 2 },
    { changes: { paused: true }, waiting: 0, wanted: 2 },
    { changes: { paused: true, pausedReplicas: 4 }, waiting: 0, wanted: 4 },
    { changes: { paused: false, pausedReplicas: 0 }, waiting: 9, wanted: 0 },
    { changes: { pausedScaleIn: true }, waiting: 0, wanted: 2 },
    { changes: { pausedScaleIn: true }, waiting: 9, wanted: 9 },
    { changes: { pausedScaleOut: true }, waiting: 9, wanted: 2 },
    { changes: { pausedScaleOut: true }, waiting: 0, wanted: 0 },
  ])('pause $changes with $waiting waiting and 2 there -> $wanted', ({ changes, waiting, wanted }) => {
    const run = alone();
    give(run, 0, 2);
    pause(run, changes);
    run.reading(0, waiting, 0);
    give(run, 0, 2);
    run.reading(500, waiting, 0);
    expect(run.tier().wanted).toBe(wanted);
    expect(decisionOf(run.state, run.tier()).limits.includes('paused')).toBe(
      wanted !== 9 && !(waiting === 0 && changes.pausedScaleOut === true),
    );
  });
});
