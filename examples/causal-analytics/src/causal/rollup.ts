export interface Event {
  /** Milliseconds since 1970, UTC. */
  at: number;
  segment: string;
  value: number;
}

export type Period = 'hour' | 'day' | 'week' | 'month';

export interface Rollup {
  /** First millisecond of the period, UTC. */
  start: number;
  segment: string;
  count: number;
  sum: number;
  mean: number;
  min: number;
  max: number;
}

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** 1970-01-01 was a Thursday; weeks begin on Monday. */
const FIRST_MONDAY_MS = 4 * DAY_MS;

/** First millisecond of the period that holds `at`, in UTC; weeks begin on Monday. */
export function startOfPeriod(at: number, period: Period): number {
  switch (period) {
    case 'hour':
      return Math.floor(at / HOUR_MS) * HOUR_MS;
    case 'day':
      return Math.floor(at / DAY_MS) * DAY_MS;
    case 'week':
      return Math.floor((at - FIRST_MONDAY_MS) / (7 * DAY_MS)) * 7 * DAY_MS + FIRST_MONDAY_MS;
    case 'month': {
      const date = new Date(at);
      return Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), 1);
    }
  }
}

/** Aggregates events by period and segment, sorted by both. One pass; memory grows with the number of groups only. */
export function rollUp(events: Iterable<Event>, period: Period): Rollup[] {
  const groups = new Map<string, Rollup>();
  for (const { at, segment, value } of events) {
    const start = startOfPeriod(at, period);
    const key = `${start} ${segment}`;
    const group = groups.get(key);
    if (!group) {
      groups.set(key, { start, segment, count: 1, sum: value, mean: value, min: value, max: value });
      continue;
    }
    group.count += 1;
    group.sum += value;
    group.mean = group.sum / group.count;
    group.min = Math.min(group.min, value);
    group.max = Math.max(group.max, value);
  }
  return [...groups.values()].sort((a, b) => a.start - b.start || (a.segment < b.segment ? -1 : a.segment > b.segment ? 1 : 0));
}
