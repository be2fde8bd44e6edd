import { expect, test } from 'vitest';
import { rollUp, startOfPeriod } from './rollup.ts';

const at = (text: string) => Date.parse(text);

test('periods begin where the calendar says, in UTC, weeks on Monday, also before 1970', () => {
  const moment = at('2024-02-29T13:45:10.123Z');
  expect(new Date(startOfPeriod(moment, 'hour')).toISOString()).toBe('2024-02-29T13:00:00.000Z');
  expect(new Date(startOfPeriod(moment, 'day')).toISOString()).toBe('2024-02-29T00:00:00.000Z');
  expect(new Date(startOfPeriod(moment, 'week')).toISOString()).toBe('2024-02-26T00:00:00.000Z');
  expect(new Date(startOfPeriod(moment, 'month')).toISOString()).toBe('2024-02-01T00:00:00.000Z');
  expect(new Date(startOfPeriod(at('1969-12-31T23:59:59Z'), 'week')).toISOString()).toBe('1969-12-29T00:00:00.000Z');
});

test('events are aggregated by period and segment', () => {
  const events = [
    { at: at('2025-01-02T10:00:00Z'), segment: 'new', value: 4 },
    { at: at('2025-01-01T23:59:59Z'), segment: 'new', value: 1 },
    { at: at('2025-01-02T00:00:00Z'), segment: 'new', value: -2 },
    { at: at('2025-01-02T05:00:00Z'), segment: 'loyal', value: 7 },
  ];
  expect(rollUp(events, 'day')).toEqual([
    { start: at('2025-01-01T00:00:00Z'), segment: 'new', count: 1, sum: 1, mean: 1, min: 1, max: 1 },
    { start: at('2025-01-02T00:00:00Z'), segment: 'loyal', count: 1, sum: 7, mean: 7, min: 7, max: 7 },
    { start: at('2025-01-02T00:00:00Z'), segment: 'new', count: 2, sum: 2, mean: 1, min: -2, max: 4 },
  ]);
});

test('no events, no rows; the totals of every period add up to the same', () => {
  expect(rollUp([], 'hour')).toEqual([]);
  const events = Array.from({ length: 500 }, (_, i) => ({ at: i * 7_919_000, segment: `s${i % 3}`, value: i }));
  for (const period of ['hour', 'day', 'week', 'month'] as const) {
    const rows = rollUp(events, period);
    expect(rows.reduce((sum, row) => sum + row.count, 0)).toBe(500);
    expect(rows.reduce((sum, row) => sum + row.sum, 0)).toBe((499 * 500) / 2);
  }
});
