import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { ScalingRules } from '../model.ts';
import { emptyWindow, leavesAtMs, noteChange, scaleDownLimit, scaleUpLimit, slide, withinWindows } from './stabilize.ts';

const rules = (changes: Partial<ScalingRules>): ScalingRules => ({
  stabilizationWindowMs: 0,
  selectPolicy: 'Max',
  policies: [],
  tolerance: 0.1,
  ...changes,
});
/** HPA's own defaults, which a pasted ScaledObject may spell out. */
const HPA_UP = rules({
  policies: [
    { type: 'Pods', value: 4, periodMs: 15_000 },
    { type: 'Percent', value: 100, periodMs: 15_000 },
  ],
});
const HPA_DOWN = rules({ policies: [{ type: 'Percent', value: 100, periodMs: 15_000 }] });

describe('the sliding window', () => {
  test('keeps a value for the window after it was last in force, not after it was first seen', () => {
    const window = emptyWindow();
    expect(slide(window, 'highest', 5, 0, 60_000)).toBe(5);
    // 5 was in force until 100 s although nothing was pushed meanwhile.
    expect(slide(window, 'highest', 1, 100_000, 60_000)).toBe(5);
    expect(leavesAtMs(window, 60_000)).toBe(160_000);
    expect(slide(window, 'highest', 0, 159_999, 60_000)).toBe(5);
    expect(slide(window, 'highest', 0, 160_000, 60_000)).toBe(1);
    expect(slide(window, 'highest', 0, 219_999, 60_000)).toBe(0);
  });

  test('a window of 0 is the present value', () => {
    const window = emptyWindow();
    slide(window, 'lowest', 1, 0, 0);
    expect(slide(window, 'lowest', 7, 1, 0)).toBe(7);
    expect(slide(window, 'lowest', 9, 1, 0)).toBe(9);
  });

  test('says what a list of all values says, and keeps no more than it needs', () => {
    const pushes = fc.array(fc.tuple(fc.nat(40), fc.nat(9)), { maxLength: 300, size: 'max' });
    fc.assert(
      fc.property(
        pushes,
        fc.integer({ min: 1, max: 200 }),
        fc.constantFrom('highest' as const, 'lowest' as const),
        (all, windowMs, which) => {
          const window = emptyWindow();
          const seen: { fromMs: number; untilMs: number; value: number }[] = [];
          let nowMs = 0;
          for (const [passed, value] of all) {
            nowMs += passed;
            const last = seen.at(-1);
            if (last) last.untilMs = nowMs;
            seen.push({ fromMs: nowMs, untilMs: Number.POSITIVE_INFINITY, value });
            const inForce = seen.filter(({ untilMs }) => untilMs + windowMs > nowMs).map((entry) => entry.value);
            const extreme = which === 'highest' ? Math.max(...inForce) : Math.min(...inForce);
            expect(slide(window, which, value, nowMs, windowMs)).toBe(extreme);
            // Strictly falling or rising values of 0 to 9, and what is not compacted yet.
            expect(window.at.length - window.head).toBeLessThanOrEqual(10);
            expect(window.at.length).toBeLessThanOrEqual(75);
          }
        },
      ),
      { numRuns: 50 },
    );
  });
});

test.each([
  { current: 3, lowest: 5, highest: 9, count: 5, why: 'up to the lowest recommendation' },
  { current: 3, lowest: 1, highest: 2, count: 2, why: 'down to the highest' },
  { current: 3, lowest: 1, highest: 9, count: 3, why: 'neither window lets it move' },
])('windows: from $current with recommendations between $lowest and $highest to $count, $why', ({ current, lowest, highest, count }) => {
  expect(withinWindows(current, lowest, highest)).toBe(count);
});

describe('rate policies', () => {
  test.each([
    { rules: HPA_UP, current: 1, changes: [], limit: 5, why: '+4 is more than the double' },
    { rules: HPA_UP, current: 10, changes: [], limit: 20, why: 'the double is more than +4' },
    { rules: HPA_UP, current: 5, changes: [{ atMs: 90_000, by: 4 }], limit: 5, why: 'the four of this period are used' },
    { rules: HPA_UP, current: 5, changes: [{ atMs: 85_000, by: 4 }], limit: 10, why: 'they were in the period before' },
    { rules: { ...HPA_UP, selectPolicy: 'Min' as const }, current: 10, changes: [], limit: 14, why: 'Min takes the smaller change' },
    { rules: rules({ selectPolicy: 'Disabled' }), current: 2, changes: [], limit: 2, why: 'scaling up is disabled' },
    { rules: rules({}), current: 2, changes: [], limit: Number.POSITIVE_INFINITY, why: 'no policy, no limit' },
    {
      rules: rules({ policies: [{ type: 'Percent', value: 50, periodMs: 1000 }] }),
      current: 3,
      changes: [],
      limit: 5,
      why: '4.5 is rounded up',
    },
  ])('up from $current to at most $limit: $why', (row) => {
    expect(scaleUpLimit(row.rules, row.changes, row.current, 100_000)).toBe(row.limit);
  });

  test.each([
    { rules: HPA_DOWN, current: 8, changes: [], limit: 0, why: '100 % may go' },
    { rules: rules({ policies: [{ type: 'Pods', value: 2, periodMs: 60_000 }] }), current: 8, changes: [], limit: 6, why: 'two a minute' },
    {
      rules: rules({ policies: [{ type: 'Pods', value: 2, periodMs: 60_000 }] }),
      current: 7,
      changes: [{ atMs: 70_000, by: -1 }],
      limit: 6,
      why: 'one of the two is gone',
    },
    {
      rules: rules({ policies: [{ type: 'Percent', value: 50, periodMs: 1000 }] }),
      current: 5,
      changes: [],
      limit: 2,
      why: '2.5 is rounded down',
    },
    {
      rules: rules({
        selectPolicy: 'Min',
        policies: [
          { type: 'Pods', value: 1, periodMs: 1000 },
          { type: 'Percent', value: 50, periodMs: 1000 },
        ],
      }),
      current: 8,
      changes: [],
      limit: 7,
      why: 'Min takes the smaller change',
    },
    { rules: rules({ selectPolicy: 'Disabled' }), current: 4, changes: [], limit: 4, why: 'scaling down is disabled' },
    { rules: rules({}), current: 4, changes: [], limit: 0, why: 'no policy, no limit' },
  ])('down from $current to at least $limit: $why', (row) => {
    expect(scaleDownLimit(row.rules, row.changes, row.current, 100_000)).toBe(row.limit);
  });

  test('changes are kept as long as the longest period, and not at all without policies', () => {
    const changes: { atMs: number; by: number }[] = [];
    noteChange(changes, { scaleUp: rules({}), scaleDown: rules({}) }, 0, 1);
    expect(changes).toEqual([]);
    const behavior = { scaleUp: HPA_UP, scaleDown: HPA_DOWN };
    noteChange(changes, behavior, 0, 1);
    noteChange(changes, behavior, 0, 1);
    noteChange(changes, behavior, 14_999, -1);
    expect(changes).toEqual([
      { atMs: 0, by: 2 },
      { atMs: 14_999, by: -1 },
    ]);
    noteChange(changes, behavior, 15_000, 1);
    expect(changes.map(({ atMs }) => atMs)).toEqual([14_999, 15_000]);
  });
});
