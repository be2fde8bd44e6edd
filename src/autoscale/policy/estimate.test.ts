import { describe, expect, test } from 'vitest';
import { estimateFrom, firstEstimate } from './estimate.ts';

describe('service time', () => {
  test('is not known before a job has ended, nor where nobody tells what runs', () => {
    const told = firstEstimate();
    estimateFrom(told, 0, 0, 0);
    estimateFrom(told, 1000, 0, 1);
    expect(told.serviceMs).toBeUndefined();
    const untold = firstEstimate();
    for (let at = 0; at < 10; at += 1) estimateFrom(untold, at * 1000, at % 2, undefined);
    expect(untold.serviceMs).toBeUndefined();
  });

  test('is the time from start to end where every change is told', () => {
    const estimate = firstEstimate();
    estimateFrom(estimate, 0, 0, 0);
    for (let job = 0; job < 5; job += 1) {
      const at = 10_000 * job;
      estimateFrom(estimate, at, 0, 1);
      estimateFrom(estimate, at + 4000, 0, 0);
    }
    expect(estimate.serviceMs).toBeCloseTo(4000);
  });

  test('of ten jobs side by side, which end together, is that of one', () => {
    const estimate = firstEstimate();
    estimateFrom(estimate, 0, 10, 0);
    estimateFrom(estimate, 0, 0, 10);
    for (let left = 9; left >= 0; left -= 1) estimateFrom(estimate, 10_000, 0, left);
    expect(estimate.serviceMs).toBeCloseTo(10_000);
  });

  test('does not grow while a long job runs without an end', () => {
    const estimate = firstEstimate();
    estimateFrom(estimate, 0, 0, 1);
    estimateFrom(estimate, 2000, 0, 0);
    estimateFrom(estimate, 3000, 0, 1);
    estimateFrom(estimate, 3_600_000, 0, 1);
    expect(estimate.serviceMs).toBeCloseTo(2000);
  });

  test('follows a change within some ten jobs', () => {
    const estimate = firstEstimate();
    let at = 0;
    const run = (ms: number, jobs: number): void => {
      for (let job = 0; job < jobs; job += 1) {
        estimateFrom(estimate, at, 0, 1);
        at += ms;
        estimateFrom(estimate, at, 0, 0);
      }
    };
    run(1000, 50);
    run(5000, 20);
    expect(estimate.serviceMs).toBeGreaterThan(4000);
    expect(estimate.serviceMs).toBeLessThan(5000);
  });
});

describe('arrival rate', () => {
  test('nears the true rate, and is forgotten over a minute', () => {
    const estimate = firstEstimate();
    // 2 jobs a second, each seen to come and to go.
    for (let at = 0; at <= 300_000; at += 500) {
      estimateFrom(estimate, at, 1, 0);
      estimateFrom(estimate, at, 0, 0);
    }
    expect(estimate.arrivalsPerMs * 1000).toBeCloseTo(2, 1);
    const before = estimate.arrivalsPerMs;
    estimateFrom(estimate, 360_000, 0, 0);
    expect(estimate.arrivalsPerMs / before).toBeCloseTo(Math.exp(-1), 2);
  });

  test('a burst in no time is not an infinite rate', () => {
    const estimate = firstEstimate();
    estimateFrom(estimate, 0, 0, 0);
    estimateFrom(estimate, 0, 600, 0);
    expect(estimate.arrivalsPerMs).toBeCloseTo(600 / 60_000);
  });

  test('what waited before the first look did not arrive just now', () => {
    const estimate = firstEstimate();
    estimateFrom(estimate, 5000, 1000, 0);
    expect(estimate.arrivalsPerMs).toBe(0);
  });
});

test('Little: lambda x S is the mean number of busy slots, even where polls miss most jobs', () => {
  const estimate = firstEstimate();
  // Jobs of 100 ms, 20 a second in a regular beat: 2 busy slots at the mean. Polled every 730 ms, out of step.
  for (let at = 0; at <= 600_000; at += 730) {
    const phase = (at / 50) % 3;
    estimateFrom(estimate, at, 0, phase < 1 ? 1 : phase < 2 ? 2 : 3);
  }
  expect(estimate.arrivalsPerMs * (estimate.serviceMs ?? 0)).toBeGreaterThan(1);
  expect(estimate.arrivalsPerMs * (estimate.serviceMs ?? 0)).toBeLessThan(3);
});
