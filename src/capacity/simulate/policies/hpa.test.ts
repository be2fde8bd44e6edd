import fc from 'fast-check';
import { expect, test } from 'vitest';
import { freshMemory, HPA_DEFAULTS, recommend, syncHpa } from './hpa.ts';

const BOUNDS = { min: 1, max: 100 };

/** One sync each 15 s with these totals; the counts that come out. */
function play(totals: number[], target: number, from: number, max = 100): number[] {
  const memory = freshMemory();
  let current = from;
  return totals.map((total, index) => {
    const recommended = recommend(total, target, current, HPA_DEFAULTS);
    current = syncHpa(recommended, current, { min: 1, max }, HPA_DEFAULTS, memory, index * 15_000);
    return current;
  });
}

test.each([
  // ceil(total / target) …
  [50, 5, 4, 10],
  [51, 5, 4, 11],
  [0, 5, 4, 0],
  // … but nothing within a tenth of the target: 20 jobs are 1.0, 22 are 1.1, 18 are 0.9.
  [20, 5, 4, 4],
  [22, 5, 4, 4],
  [18, 5, 4, 4],
  [23, 5, 4, 5],
  [17, 5, 4, 4],
  [14, 5, 4, 3],
])('%i jobs, target %i, %i replicas: %i are recommended', (total, target, current, wanted) => {
  expect(recommend(total, target, current, HPA_DEFAULTS)).toBe(wanted);
});

test('up: 4 pods or the double in 15 s, whichever is more', () => {
  expect(play([500, 500, 500, 500, 500], 5, 1)).toEqual([5, 10, 20, 40, 80]);
});

test('up: no further than max', () => {
  expect(play([500, 500, 500], 5, 1, 16)).toEqual([5, 10, 16]);
});

test('down: the highest recommendation of the last 300 s holds, then all at once', () => {
  // 40 jobs for the first sync only. Its recommendation of 8 counts until it is 300 s old: 20 syncs.
  const counts = play([40, ...Array.from({ length: 21 }, () => 5)], 5, 8);
  expect(counts.slice(0, 20)).toEqual(Array.from({ length: 20 }, () => 8));
  expect(counts.slice(20)).toEqual([1, 1]);
});

test('the rate is counted from what there was when the period began', () => {
  const memory = freshMemory();
  // 2 -> 6 by four pods; 5 s later the same period allows no more, although twice 6 would be 12.
  expect(syncHpa(50, 2, BOUNDS, HPA_DEFAULTS, memory, 0)).toBe(6);
  expect(syncHpa(50, 6, BOUNDS, HPA_DEFAULTS, memory, 5000)).toBe(6);
  expect(syncHpa(50, 6, BOUNDS, HPA_DEFAULTS, memory, 15_000)).toBe(12);
});

test('a down policy of one pod a minute takes one pod a minute', () => {
  const rules = {
    ...HPA_DEFAULTS,
    scaleDown: {
      ...HPA_DEFAULTS.scaleDown,
      stabilizationWindowMs: 0,
      policies: [{ type: 'Pods' as const, value: 1, periodMs: 60_000 }],
    },
  };
  const memory = freshMemory();
  let current = 5;
  const counts = Array.from({ length: 9 }, (_, index) => {
    current = syncHpa(1, current, BOUNDS, rules, memory, index * 15_000);
    return current;
  });
  expect(counts).toEqual([4, 4, 4, 4, 3, 3, 3, 3, 2]);
});

test('selectPolicy Disabled keeps the count in its direction', () => {
  const rules = { ...HPA_DEFAULTS, scaleUp: { ...HPA_DEFAULTS.scaleUp, selectPolicy: 'Disabled' as const } };
  expect(syncHpa(50, 3, BOUNDS, rules, freshMemory(), 0)).toBe(3);
});

test('counts stay within the bounds, never rise past the rate, and fall only when nothing within the window asks for more', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 400 }), { minLength: 1, maxLength: 60 }),
      fc.integer({ min: 1, max: 30 }),
      (totals, max) => {
        const memory = freshMemory();
        let current = 1;
        const recommended: number[] = [];
        totals.forEach((total, index) => {
          recommended.push(recommend(total, 5, current, HPA_DEFAULTS));
          const next = syncHpa(recommended[index] as number, current, { min: 1, max }, HPA_DEFAULTS, memory, index * 15_000);
          expect(next).toBeGreaterThanOrEqual(1);
          expect(next).toBeLessThanOrEqual(max);
          expect(next).toBeLessThanOrEqual(Math.max(current + 4, current * 2));
          const window = recommended.slice(Math.max(0, index - 19));
          expect(next).toBeGreaterThanOrEqual(Math.min(current, Math.max(...window), max));
          current = next;
        });
      },
    ),
  );
});
