import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type LagRules, lagReading, type PartitionOffsets, type Progress, progressAfter, STUCK_AFTER_MS } from './kafka-lag.ts';

const RULES: LagRules = {
  lagThreshold: 10,
  activationLagThreshold: 0,
  offsetResetPolicy: 'latest',
  allowIdleConsumers: false,
  excludePersistentLag: false,
  scaleToZeroOnInvalidOffset: false,
  limitToPartitionsWithLag: false,
};
const NONE: Progress = new Map();
const partitions = (...all: [low: number, high: number, committed?: number][]): PartitionOffsets[] =>
  all.map(([low, high, committed], partition) => ({
    topic: 'orders',
    partition,
    low: BigInt(low),
    high: BigInt(high),
    ...(committed === undefined ? {} : { committed: BigInt(committed) }),
  }));

describe('lag', () => {
  test.each([
    ['of all partitions', {}, partitions([0, 8, 3], [0, 4, 4]), 5, true, 5],
    ['none', {}, partitions([0, 4, 4]), 0, false, 0],
    ['not above activation', { activationLagThreshold: 5 }, partitions([0, 8, 3]), 5, false, 5],
    ['at most one worker a partition', {}, partitions([0, 100, 0], [0, 0, 0]), 20, true, 100],
    ['as many as wanted', { allowIdleConsumers: true }, partitions([0, 100, 0], [0, 0, 0]), 100, true, 100],
    ['one a partition with lag', { limitToPartitionsWithLag: true }, partitions([0, 100, 0], [0, 0, 0]), 10, true, 100],
    ['a new group that reads on from now', {}, partitions([0, 50]), 1, true, 1],
    [
      'a new group that reads all that is kept',
      { offsetResetPolicy: 'earliest', allowIdleConsumers: true },
      partitions([20, 50]),
      30,
      true,
      30,
    ],
    ['a new group that is to wait', { scaleToZeroOnInvalidOffset: true }, partitions([0, 50]), 0, false, 0],
    ['messages that were deleted before they were read', { allowIdleConsumers: true }, partitions([40, 50, 10]), 10, true, 10],
    ['a topic that was made anew', {}, partitions([0, 5, 900]), 0, false, 0],
  ] as const)('%s', (_, change, offsets, value, active, waiting) => {
    expect(lagReading([...offsets], { ...RULES, ...change }, NONE, 0)).toEqual({ value, active, queue: { waiting } });
  });
});

describe('a partition that does not move', () => {
  const rules = { ...RULES, excludePersistentLag: true };
  const stuck = partitions([0, 8, 3], [0, 6, 2]);
  const moved = partitions([0, 8, 3], [0, 6, 4]);

  test('is left out once it has not moved for 30 s, and still keeps the service from 0', () => {
    let progress = progressAfter(stuck, NONE, 0);
    expect(lagReading(stuck, rules, progress, STUCK_AFTER_MS - 1).value).toBe(9);
    progress = progressAfter(moved, progress, STUCK_AFTER_MS);
    expect(lagReading(moved, rules, progress, STUCK_AFTER_MS)).toEqual({ value: 2, active: true, queue: { waiting: 7 } });
    progress = progressAfter(moved, progress, 2 * STUCK_AFTER_MS);
    expect(lagReading(moved, rules, progress, 2 * STUCK_AFTER_MS)).toEqual({ value: 0, active: true, queue: { waiting: 7 } });
    expect(lagReading(moved, RULES, progress, 2 * STUCK_AFTER_MS).value).toBe(7);
  });
});

test('the value is never above what waits, nor above one worker a partition', () => {
  const offset = fc.record({ low: fc.nat(100), more: fc.nat(1000), committed: fc.option(fc.nat(1200), { nil: undefined }) });
  fc.assert(
    fc.property(
      fc.array(offset, { minLength: 1, maxLength: 8 }),
      fc.record({ lagThreshold: fc.integer({ min: 1, max: 50 }), limitToPartitionsWithLag: fc.boolean() }),
      (all, change) => {
        const offsets = partitions(...all.map(({ low, more, committed }) => [low, low + more, committed] as [number, number, number?]));
        const rules = { ...RULES, ...change };
        const { value, queue } = lagReading(offsets, rules, NONE, 0);
        expect(value).toBeLessThanOrEqual(queue?.waiting ?? 0);
        expect(Math.ceil(value / rules.lagThreshold)).toBeLessThanOrEqual(offsets.length);
      },
    ),
  );
});
