import { describe, expect, test } from 'vitest';
import type { AutoscaleSpec } from '../project/model.ts';
import { queueTypes, scaledService } from './fixtures.ts';
import { alwaysOnOf, scaledServices, tierOf } from './tiers.ts';

const GiB = 1024 ** 3;
const budget = { cores: 8, cpus: 6, memoryBytes: 12 * GiB };
type Given = NonNullable<Parameters<typeof scaledService>[0]>;
const read = (given: Given, options: Parameters<typeof tierOf>[2] = {}) =>
  tierOf('shop', scaledService(given), { budget, types: queueTypes, ...options });
const tier = (given: Given, options: Parameters<typeof tierOf>[2] = {}) => read(given, options).tier;
const spec = (given: Partial<AutoscaleSpec>): Given => ({ spec: given });

test('a service that says nothing but its trigger', () => {
  expect(read({ cpus: 0.5, memory: GiB })).toEqual({
    warnings: [],
    tier: {
      id: 'shop/worker',
      project: 'shop',
      service: 'worker',
      class: 'medium',
      drainTargetMs: 30_000,
      concurrency: 1,
      warm: { kind: 'stopped', count: 1 },
      min: 0,
      max: 12,
      pollingIntervalMs: 5000,
      cooldownMs: 60_000,
      initialCooldownMs: 0,
      fallback: { failureThreshold: 3, replicas: 1, behavior: 'currentReplicasIfHigher' },
      behavior: {
        scaleUp: { stabilizationWindowMs: 0, selectPolicy: 'Max', policies: [], tolerance: 0 },
        scaleDown: { stabilizationWindowMs: 60_000, selectPolicy: 'Max', policies: [], tolerance: 0 },
      },
      pause: { paused: false, pausedScaleIn: false, pausedScaleOut: false },
      forceActivation: false,
      triggers: [{ name: 'queue-0', type: 'queue', metricType: 'AverageValue', activation: 0, activates: true, freezable: true }],
      need: { cpus: 0.5, memoryBytes: GiB },
      bootMs: 3000,
    },
  });
});

test('what is written wins over every default', () => {
  const written = tier(
    spec({
      pollingIntervalMs: 1000,
      cooldownMs: 5000,
      initialCooldownMs: 7000,
      idle: 0,
      min: 2,
      max: 3,
      fallback: { failureThreshold: 1, replicas: 3, behavior: 'static' },
      behavior: {
        scaleUp: {
          stabilizationWindowMs: 1000,
          selectPolicy: 'Min',
          policies: [{ type: 'Pods', value: 1, periodMs: 15_000 }],
          tolerance: 0.2,
        },
        scaleDown: { stabilizationWindowMs: 0, selectPolicy: 'Disabled' },
      },
      tier: {
        class: 'light',
        drainTargetMs: 9000,
        concurrency: 4,
        framework: 'rq',
        warm: { kind: 'none', count: 0 },
        busy: { kind: 'file', path: '/s' },
      },
    }),
  );
  expect(written).toMatchObject({
    pollingIntervalMs: 1000,
    cooldownMs: 5000,
    initialCooldownMs: 7000,
    idle: 0,
    min: 2,
    max: 3,
    fallback: { failureThreshold: 1, replicas: 3, behavior: 'static' },
    behavior: {
      scaleUp: {
        stabilizationWindowMs: 1000,
        selectPolicy: 'Min',
        policies: [{ type: 'Pods', value: 1, periodMs: 15_000 }],
        tolerance: 0.2,
      },
      scaleDown: { stabilizationWindowMs: 0, selectPolicy: 'Disabled', policies: [] },
    },
    class: 'light',
    drainTargetMs: 9000,
    concurrency: 4,
    framework: 'rq',
    warm: { kind: 'none', count: 0 },
    busy: { kind: 'file', path: '/s' },
  });
});

describe('defaults that depend on something', () => {
  test.each([
    ['light', 5000],
    ['medium', 30_000],
    ['heavy', 120_000],
  ] as const)('the drain target of %s', (name, drainTargetMs) => {
    expect(tier(spec({ tier: { class: name } })).drainTargetMs).toBe(drainTargetMs);
  });

  const warm: [string, Given, string][] = [
    ['light goes to zero and is frozen', spec({ tier: { class: 'light' } }), '1 frozen'],
    ['medium with a short drain target too', spec({ tier: { class: 'medium', drainTargetMs: 5000 } }), '1 frozen'],
    ['not where somebody always runs beside it', spec({ min: 1, tier: { class: 'light' } }), '1 stopped'],
    ['but where nobody does while nothing is to do', spec({ min: 1, idle: 0, tier: { class: 'light' } }), '1 frozen'],
    ['not where the server drops a silent client', { triggers: ['queue', 'shy-queue'], spec: { tier: { class: 'light' } } }, '1 stopped'],
    [
      'a trigger without a connection says nothing against it',
      { triggers: ['queue', 'cpu'], spec: { tier: { class: 'light' } } },
      '1 frozen',
    ],
    ['nor for it', { triggers: ['cpu'], spec: { min: 1, idle: 0, tier: { class: 'light' } } }, '1 stopped'],
    ['medium is stopped', spec({ tier: { class: 'medium' } }), '1 stopped'],
    ['heavy keeps nothing', spec({ tier: { class: 'heavy', drainTargetMs: 1000 } }), '0 none'],
  ];
  test.each(warm)('warm: %s', (_name, given, expected) => {
    const { kind, count } = tier(given).warm;
    expect(`${count} ${kind}`).toBe(expected);
  });

  const maxima: [string, Given, number][] = [
    ['by cores', { cpus: 2, memory: GiB }, 3],
    ['by memory', { cpus: 0.1, memory: 5 * GiB }, 2],
    ['what does not fit has to be said elsewhere: one is wanted', { cpus: 7, memory: GiB }, 1],
    ['never below the minimum', { cpus: 2, memory: GiB, spec: { min: 5 } }, 5],
    ['written', { spec: { max: 40 } }, 40],
  ];
  test.each(maxima)('max: %s', (_name, given, max) => {
    expect(tier(given).max).toBe(max);
  });

  test('min is 1 where nothing can lift it from zero, and there is no fallback from a level', () => {
    expect(tier({ triggers: ['cpu'] })).toMatchObject({ min: 1, behavior: { scaleUp: { tolerance: 0.1 }, scaleDown: { tolerance: 0.1 } } });
    expect(tier({ triggers: ['cpu'] }).fallback).toBeUndefined();
    expect(tier({ triggers: ['cpu', 'queue'] })).toMatchObject({ min: 0, fallback: { replicas: 1 } });
  });

  test('the fallback is never below the minimum', () => {
    expect(tier(spec({ min: 3 })).fallback).toEqual({ failureThreshold: 3, replicas: 3, behavior: 'currentReplicasIfHigher' });
  });

  test.each([
    [undefined, 60_000],
    [1000, 60_000],
    [6543, 66_000],
    [45_000, 300_000],
  ])('a start of %s ms: what was wanted counts for %s ms when going down', (bootMs, window) => {
    const options = bootMs === undefined ? {} : { bootMs };
    expect(tier({}, options).behavior.scaleDown.stabilizationWindowMs).toBe(window);
  });

  test('a policy that lets everything through is no limit', () => {
    const rules = (policies: [type: 'Pods' | 'Percent', value: number][], selectPolicy: 'Max' | 'Min' = 'Max') => {
      const written = { selectPolicy, policies: policies.map(([type, value]) => ({ type, value, periodMs: 15_000 })) };
      const { scaleUp, scaleDown } = tier(spec({ max: 8, behavior: { scaleUp: written, scaleDown: written } })).behavior;
      return [scaleUp, scaleDown].map(({ policies }) => policies.map(({ type, value }) => `${value} ${type}`).join(', ') || 'free');
    };
    expect(rules([['Pods', 8]])).toEqual(['free', 'free']);
    expect(rules([['Pods', 7]])).toEqual(['7 Pods', '7 Pods']);
    expect(rules([['Percent', 100]])).toEqual(['100 Percent', 'free']);
    expect(
      rules([
        ['Percent', 100],
        ['Pods', 2],
      ]),
    ).toEqual(['100 Percent, 2 Pods', 'free']);
    expect(
      rules(
        [
          ['Percent', 100],
          ['Pods', 2],
        ],
        'Min',
      ),
    ).toEqual(['100 Percent, 2 Pods', '2 Pods']);
    expect(
      rules(
        [
          ['Pods', 9],
          ['Pods', 2],
        ],
        'Min',
      ),
    ).toEqual(['2 Pods', '2 Pods']);
  });

  const commands: [string, string[] | undefined, number, number][] = [
    ['celery', ['celery', '-A', 'app', 'worker', '-c', '4'], 4, 0],
    ['celery', ['celery', 'worker', '-c4'], 4, 0],
    ['celery', ['celery', 'worker', '--concurrency=8'], 8, 0],
    ['celery', ['sh', '-c', 'exec celery worker --concurrency 3'], 3, 0],
    ['celery', ['celery', 'worker'], 1, 1],
    ['celery', undefined, 1, 1],
    ['sidekiq', ['bundle', 'exec', 'sidekiq'], 5, 0],
    ['sidekiq', ['sidekiq', '-c', '10'], 10, 0],
    ['rq', ['rq', 'worker', '-c', 'settings'], 1, 0],
    ['bullmq', ['node', 'worker.js'], 1, 0],
  ];
  test.each(commands)('concurrency of %s with the command %s', (framework, command, concurrency, warnings) => {
    const found = read({ spec: { tier: { class: 'medium', framework: framework as 'rq' } }, service: command ? { command } : {} });
    expect([found.tier.concurrency, found.warnings.length]).toEqual([concurrency, warnings]);
  });
});

test('without a CPU limit one core is assumed, and said; without a memory limit nothing is', () => {
  expect(read({ cpus: 0 })).toMatchObject({
    tier: { need: { cpus: 1 } },
    warnings: ['service worker has no deploy.resources.limits.cpus: 1 CPU is assumed for each container, and nothing holds it to that'],
  });
  expect(() => read({ memory: 0 })).toThrow(
    expect.objectContaining({ code: 'CONFIG_INVALID', message: 'service worker is scaled and has no memory limit' }),
  );
});

test('of a project: what is scaled, and what always runs', () => {
  const { autoscale: _, ...web } = scaledService({ name: 'web', service: { replicas: 2, reservedCpus: 0.2 } });
  const { autoscale: __, ...job } = scaledService({ name: 'migrate', service: { release: { timeoutMs: 1 } } });
  const project = { name: 'shop', services: { web, worker: scaledService(), migrate: job } } as unknown as Parameters<typeof alwaysOnOf>[0];
  expect(scaledServices(project).map(({ name }) => name)).toEqual(['worker']);
  expect(alwaysOnOf(project)).toEqual([
    { name: 'shop/web', containers: 2, limit: { cpus: 1, memoryBytes: 256 * 1024 ** 2 }, reservedCpus: 0.2 },
  ]);
});
