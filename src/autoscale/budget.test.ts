import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type AlwaysOn, fitting, hostBudget, neverFits } from './budget.ts';
import { queueTypes, scaledService } from './fixtures.ts';
import { type ScaledService, tierOf } from './tiers.ts';

const MiB = 1024 ** 2;
const GiB = 1024 ** 3;
const on = (given: Partial<AlwaysOn> = {}): AlwaysOn => ({
  name: 'shop/web',
  containers: 1,
  limit: { cpus: 1, memoryBytes: GiB },
  ...given,
});
const tier = (given: Parameters<typeof scaledService>[0]) =>
  tierOf('shop', scaledService(given) as ScaledService, { types: queueTypes }).tier;

describe('the budget of scaled services', () => {
  const cases: [string, Parameters<typeof hostBudget>[0], { cpus: number; memoryBytes: number }, string[]][] = [
    [
      'an empty host keeps half a core and a tenth of its memory',
      { cores: 4, memoryBytes: 16 * GiB, alwaysOn: [] },
      { cpus: 3.5, memoryBytes: Math.floor(14.4 * GiB) },
      [],
    ],
    ['a small one at least 512 MiB', { cores: 1, memoryBytes: 2 * GiB, alwaysOn: [] }, { cpus: 0.5, memoryBytes: 1.5 * GiB }, []],
    [
      'limits of what always runs are taken off, for each container',
      { cores: 8, memoryBytes: 20 * GiB, alwaysOn: [on({ containers: 2 })] },
      { cpus: 5.5, memoryBytes: 16 * GiB },
      [],
    ],
    [
      'of cores what is reserved counts, where something is',
      { cores: 8, memoryBytes: 20 * GiB, alwaysOn: [on({ reservedCpus: 0.25 })] },
      { cpus: 7.25, memoryBytes: 17 * GiB },
      [],
    ],
    [
      'without a limit what was measured counts, and a fifth more, in steps',
      {
        cores: 8,
        memoryBytes: 20 * GiB,
        alwaysOn: [on({ limit: { cpus: 0, memoryBytes: 0 }, measured: { cpus: 0.5, memoryBytes: GiB } })],
      },
      // 1.2 GiB in steps of 4 MiB.
      { cpus: 6.9, memoryBytes: 18 * GiB - 1232 * 1024 ** 2 },
      ['running all the time without a limit, so what each was seen to use and a fifth more is counted: shop/web (cpus, memory)'],
    ],
    [
      'without either nothing can be counted, which is said',
      { cores: 8, memoryBytes: 20 * GiB, alwaysOn: [on({ limit: { cpus: 1, memoryBytes: 0 } })] },
      { cpus: 6.5, memoryBytes: 18 * GiB },
      ['running all the time without a limit, so nothing can be counted: shop/web (memory)'],
    ],
    [
      'of many it is said in one sentence',
      {
        cores: 8,
        memoryBytes: 20 * GiB,
        alwaysOn: ['shop/db', 'shop/web'].map((name) =>
          on({ name, limit: { cpus: 1, memoryBytes: 0 }, measured: { cpus: 0, memoryBytes: GiB } }),
        ),
      },
      { cpus: 5.5, memoryBytes: 18 * GiB - 2 * 1232 * 1024 ** 2 },
      [
        'running all the time without a limit, so what each was seen to use and a fifth more is counted: shop/db (memory); shop/web (memory)',
      ],
    ],
    [
      'cores may be given out more than once, memory never',
      { cores: 4, memoryBytes: 20 * GiB, alwaysOn: [], cpuOvercommit: 2 },
      { cpus: 7.5, memoryBytes: 18 * GiB },
      [],
    ],
    ['it is never below nothing', { cores: 1, memoryBytes: GiB, alwaysOn: [on({ containers: 3 })] }, { cpus: 0, memoryBytes: 0 }, []],
  ];
  test.each(cases)('%s', (_name, host, need, warnings) => {
    expect(hostBudget(host)).toEqual({ budget: { cores: host.cores, ...need, memoryBytes: Math.floor(need.memoryBytes) }, warnings });
  });

  test('keeps the reason why nothing is granted now', () => {
    expect(hostBudget({ cores: 1, memoryBytes: GiB, alwaysOn: [], pressure: 'memory is short' }).budget.pressure).toBe('memory is short');
  });
});

test('as many fit as are within the budget, and one more is not', () => {
  const amount = fc.double({ min: 0.05, max: 64, noNaN: true });
  const bytes = fc.integer({ min: 1, max: 2 ** 40 });
  fc.assert(
    fc.property(amount, bytes, amount, bytes, (cpus, memoryBytes, hostCpus, hostMemory) => {
      const budget = { cpus: hostCpus, memoryBytes: hostMemory };
      const found = fitting({ cpus, memoryBytes }, budget);
      const within = (n: number) => n * cpus <= hostCpus + 1e-6 && n * memoryBytes <= hostMemory;
      expect(within(found)).toBe(true);
      expect(within(found + 1) && (found + 1) * cpus <= hostCpus - 1e-6).toBe(false);
    }),
  );
});

test('tenths of a core add up', () => {
  expect(fitting({ cpus: 0.1, memoryBytes: 1 }, { cpus: 0.3, memoryBytes: 100 })).toBe(3);
});

describe('what can never fit is said before anything starts', () => {
  const budget = { cores: 4, cpus: 3, memoryBytes: 4 * GiB };

  test('nothing to say', () => {
    expect(neverFits([tier({ cpus: 3, memory: 4 * GiB })], budget)).toEqual([]);
    expect(neverFits([], budget)).toEqual([]);
  });

  test('one container alone', () => {
    expect(neverFits([tier({ name: 'heavy', cpus: 2, memory: 5 * GiB })], budget)).toEqual([
      {
        service: 'shop/heavy',
        reason: 'heavy can never run here: one container may use 2 CPUs and 5 GiB, and this host has 3 CPUs and 4 GiB for scaled services',
      },
    ]);
  });

  test('the minimum alone', () => {
    expect(neverFits([tier({ cpus: 1, memory: 512 * MiB, spec: { min: 4 } })], budget).map(({ reason }) => reason)).toEqual([
      'worker can never run here: its 4 containers (minReplicaCount) may use 4 CPUs and 2 GiB, and this host has 3 CPUs and 4 GiB for scaled services',
    ]);
  });

  test('the minima together', () => {
    const tiers = [
      tier({ name: 'a', cpus: 1, spec: { min: 2 } }),
      tier({ name: 'b', cpus: 2, spec: { min: 1 } }),
      tier({ name: 'c', cpus: 3 }),
    ];
    expect(neverFits(tiers, budget)).toEqual([
      {
        reason:
          'what has to run always does not fit together: 2 a, 1 b (minReplicaCount) may use 4 CPUs and 768 MiB, and this host has 3 CPUs and 4 GiB for scaled services',
      },
    ]);
  });
});
