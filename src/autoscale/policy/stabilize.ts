import type { ScalingRules } from '../model.ts';

/**
 * The highest (or lowest) value that was in force within a window that slides. A value is in force until the next one is pushed, so that a
 * count that was needed for an hour without a single reading is not forgotten. Kept as a monotonic deque: entries from `head` on fall (or
 * rise) strictly, `at` is the last moment at which each was in force; a push costs O(1) amortised, whatever the window.
 */
export interface SlidingExtreme {
  at: number[];
  values: number[];
  head: number;
}

export interface CountChange {
  atMs: number;
  /** Positive: workers added. */
  by: number;
}

const COMPACT_AT = 64;

export function emptyWindow(): SlidingExtreme {
  return { at: [], values: [], head: 0 };
}

/** Takes in `value` at `nowMs` and says the extreme over the last `windowMs`, the present value included. */
export function slide(window: SlidingExtreme, which: 'highest' | 'lowest', value: number, nowMs: number, windowMs: number): number {
  const { at, values } = window;
  if (at.length > window.head) at[at.length - 1] = nowMs;
  const sign = which === 'highest' ? 1 : -1;
  while (at.length > window.head && (values[values.length - 1] ?? 0) * sign <= value * sign) {
    at.pop();
    values.pop();
  }
  at.push(nowMs);
  values.push(value);
  const end = at.length - 1;
  while (window.head < end && (at[window.head] ?? 0) + windowMs <= nowMs) window.head += 1;
  if (window.head >= COMPACT_AT) {
    at.splice(0, window.head);
    values.splice(0, window.head);
    window.head = 0;
  }
  return values[window.head] ?? value;
}

/** When the present extreme leaves the window; undefined while it is the present value. */
export function leavesAtMs(window: SlidingExtreme, windowMs: number): number | undefined {
  return window.head < window.at.length - 1 ? (window.at[window.head] ?? 0) + windowMs : undefined;
}

/**
 * HPA's stabilization: start from the count there is, go up at most to the lowest recommendation of the scaleUp window and down at most to
 * the highest of the scaleDown window. Neither ever moves the count the other way.
 */
export function withinWindows(current: number, lowest: number, highest: number): number {
  return Math.min(Math.max(current, lowest), highest);
}

/**
 * The highest count that the scaleUp policies allow now (HPA's calculateScaleUpLimit): each policy allows its value more than stood at the
 * beginning of its period. Infinity without policies; the current count when scaling up is disabled.
 */
export function scaleUpLimit(rules: ScalingRules, changes: readonly CountChange[], current: number, nowMs: number): number {
  if (rules.selectPolicy === 'Disabled') return current;
  if (rules.policies.length === 0) return Number.POSITIVE_INFINITY;
  let limit: number | undefined;
  for (const policy of rules.policies) {
    const before = countBefore(changes, policy.periodMs, current, nowMs);
    const allowed = policy.type === 'Pods' ? before + policy.value : Math.ceil(before * (1 + policy.value / 100));
    limit = limit === undefined ? allowed : rules.selectPolicy === 'Max' ? Math.max(limit, allowed) : Math.min(limit, allowed);
  }
  return Math.max(current, limit ?? current);
}

/** The lowest count that the scaleDown policies allow now (HPA's calculateScaleDownLimit). 0 without policies. */
export function scaleDownLimit(rules: ScalingRules, changes: readonly CountChange[], current: number, nowMs: number): number {
  if (rules.selectPolicy === 'Disabled') return current;
  if (rules.policies.length === 0) return 0;
  let limit: number | undefined;
  for (const policy of rules.policies) {
    const before = countBefore(changes, policy.periodMs, current, nowMs);
    const allowed = policy.type === 'Pods' ? before - policy.value : Math.floor(before * (1 - policy.value / 100));
    limit = limit === undefined ? allowed : rules.selectPolicy === 'Max' ? Math.min(limit, allowed) : Math.max(limit, allowed);
  }
  return Math.max(0, Math.min(current, limit ?? current));
}

/** Remembers a change as long as a policy can ask for it. Without policies nothing is kept. */
export function noteChange(
  changes: CountChange[],
  behavior: { scaleUp: ScalingRules; scaleDown: ScalingRules },
  atMs: number,
  by: number,
): void {
  const longestMs = longestPeriodMs(behavior);
  if (longestMs === 0) return;
  let old = 0;
  while (old < changes.length && (changes[old]?.atMs ?? atMs) + longestMs <= atMs) old += 1;
  if (old > 0) changes.splice(0, old);
  const last = changes.at(-1);
  if (last?.atMs === atMs && Math.sign(last.by) === Math.sign(by)) last.by += by;
  else changes.push({ atMs, by });
}

/** When the oldest change that a policy still counts is over; undefined when there is none. */
export function nextChangeEndMs(changes: readonly CountChange[], rules: ScalingRules, nowMs: number): number | undefined {
  let soonest: number | undefined;
  for (const { periodMs } of rules.policies) {
    for (const change of changes) {
      const end = change.atMs + periodMs;
      if (end > nowMs && (soonest === undefined || end < soonest)) soonest = end;
    }
  }
  return soonest;
}

function countBefore(changes: readonly CountChange[], periodMs: number, current: number, nowMs: number): number {
  let before = current;
  for (const change of changes) if (change.atMs + periodMs > nowMs) before -= change.by;
  return before;
}

function longestPeriodMs({ scaleUp, scaleDown }: { scaleUp: ScalingRules; scaleDown: ScalingRules }): number {
  let longest = 0;
  for (const { periodMs } of scaleUp.policies) longest = Math.max(longest, periodMs);
  for (const { periodMs } of scaleDown.policies) longest = Math.max(longest, periodMs);
  return longest;
}
