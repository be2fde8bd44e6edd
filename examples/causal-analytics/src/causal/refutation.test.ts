import { expect, test } from 'vitest';
import type { Work } from './drive.ts';
import { estimateEffect, quantile, refute } from './refutation.ts';
import { simulateTrial } from './trial.ts';

function finish<T>(work: Work<T>): T {
  for (;;) {
    const step = work.next();
    if (step.done) return step.value;
  }
}

test('adjusting for the confounders recovers the effect that plain means overstate', () => {
  const data = simulateTrial({ individuals: 5_000, effect: 2, seed: 11 });
  const mean = (arm: number) => {
    const outcomes = data.outcome.filter((_, index) => data.treatment[index] === arm);
    return outcomes.reduce((sum, value) => sum + value, 0) / outcomes.length;
  };
  expect(mean(1) - mean(0)).toBeGreaterThan(2.8);
  const { effect, standardError } = estimateEffect(data);
  expect(Math.abs(effect - 2)).toBeLessThan(3 * standardError);
  expect(standardError).toBeLessThan(0.05);
});

test('a true effect lies in its interval and survives all three refutations', () => {
  const data = simulateTrial({ individuals: 2_000, effect: 2, seed: 12 });
  const result = finish(refute(data, { bootstraps: 200, placebos: 100, seed: 1 }));
  expect(result.interval.low).toBeLessThan(2);
  expect(result.interval.high).toBeGreaterThan(2);
  // The bootstrap and the formula agree on how sure the estimate is.
  expect((result.interval.high - result.interval.low) / (2 * 1.96 * result.standardError)).toBeCloseTo(1, 0);
  expect(Math.abs(result.placebo.mean)).toBeLessThan(0.05);
  expect(result.placebo.pValue).toBeCloseTo(1 / 101, 10);
  expect(result.randomCommonCause.change).toBeLessThan(result.standardError);
  expect(result.holds).toBe(true);
});

test('an effect of zero does not hold', () => {
  const result = finish(refute(simulateTrial({ individuals: 1_000, effect: 0, seed: 13 }), { bootstraps: 100, placebos: 100, seed: 2 }));
  expect(result.placebo.pValue).toBeGreaterThan(0.05);
  expect(result.holds).toBe(false);
});

test('intervals cover the truth about as often as they say', () => {
  let covered = 0;
  for (let seed = 0; seed < 40; seed++) {
    const { interval } = finish(refute(simulateTrial({ individuals: 300, effect: 1, seed }), { bootstraps: 150, placebos: 1, seed }));
    if (interval.low <= 1 && interval.high >= 1) covered++;
  }
  expect(covered).toBeGreaterThanOrEqual(34);
});

test('one seed gives one result, and progress grows to 1', () => {
  const data = simulateTrial({ individuals: 200, effect: 1, seed: 3 });
  const options = { bootstraps: 20, placebos: 20, seed: 9 };
  expect(finish(refute(data, options))).toEqual(finish(refute(data, options)));
  const progress = [...refute(data, options)];
  expect(progress).toEqual([...progress].sort((a, b) => a - b));
  expect(progress.at(-1)).toBe(1);
});

test('quantiles are interpolated', () => {
  expect(quantile(Float64Array.of(1, 2, 4), 0.5)).toBe(2);
  expect(quantile(Float64Array.of(1, 2, 4), 0.75)).toBe(3);
  expect(quantile(Float64Array.of(1, 2, 4), 1)).toBe(4);
});
