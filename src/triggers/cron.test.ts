import { describe, expect, test } from 'vitest';
import { triggerContract } from './contract.ts';
import { cron, cronReading } from './cron.ts';

const NIGHTS = { timezone: 'Europe/Berlin', start: '0 22 * * *', end: '0 6 * * *', desiredReplicas: 3 };
let now = 0;

triggerContract({
  type: cron,
  server: false,
  credentials: false,
  values: [3, 0],
  start: async () => ({
    metadata: { ...NIGHTS },
    context: { now: () => now },
    async hold(value) {
      now = Date.parse(value === 3 ? '2026-01-10T23:00+01:00' : '2026-01-10T12:00+01:00');
    },
    remove: async () => {},
  }),
});

const at = (window: object, time: string) => cronReading(cron.metadata.parse({ ...NIGHTS, ...window }), Date.parse(time)).value;

describe('the window', () => {
  test.each([
    [{}, '2026-01-10T21:59:59+01:00', 0],
    [{}, '2026-01-10T22:00:00+01:00', 3],
    [{}, '2026-01-11T05:59:59+01:00', 3],
    [{}, '2026-01-11T06:00:00+01:00', 0],
    [{ timezone: 'Asia/Tokyo' }, '2026-01-10T22:30+09:00', 3],
    // Weekdays: from Friday evening to Monday morning nothing.
    [{ start: '0 8 * * 1-5', end: '0 18 * * 1-5' }, '2026-01-09T17:59+01:00', 3],
    [{ start: '0 8 * * 1-5', end: '0 18 * * 1-5' }, '2026-01-10T12:00+01:00', 0],
    [{ start: '0 8 * * MON-FRI', end: '0 18 * * mon-fri' }, '2026-01-12T08:00+01:00', 3],
    // The days on which the clock jumps have their window as well.
    [{}, '2026-03-29T05:30+02:00', 3],
    [{}, '2026-03-29T06:00+02:00', 0],
    [{}, '2026-10-25T05:30+01:00', 3],
    [{ start: '30 2 * * *', end: '0 4 * * *' }, '2026-03-29T03:30+02:00', 3],
    [{ start: '*/10 * * * *', end: '5-59/10 * * * *' }, '2026-01-10T12:04+01:00', 3],
    [{ start: '*/10 * * * *', end: '5-59/10 * * * *' }, '2026-01-10T12:06+01:00', 0],
    [{ start: '0 0 1 * *', end: '0 0 2 * *' }, '2026-02-01T12:00+01:00', 3],
  ])('%j at %s', (window, time, expected) => expect(at(window, time)).toBe(expected));
});

describe('metadata', () => {
  test.each([
    [{ timezone: 'Europe/Berln' }, 'expected a time zone of the IANA database, such as Europe/Berlin'],
    [{ start: '0 22 * *' }, 'expected a cron expression of five fields: minute, hour, day of month, month, day of week'],
    [{ start: '0 0 22 * * *' }, 'expected a cron expression of five fields: minute, hour, day of month, month, day of week'],
    [{ start: '@daily' }, 'expected a cron expression of five fields: minute, hour, day of month, month, day of week'],
    [{ start: '0 22 L * *' }, 'expected a cron expression of five fields: minute, hour, day of month, month, day of week'],
    [{ start: '0 22 * * 1#2' }, 'expected a cron expression of five fields: minute, hour, day of month, month, day of week'],
    [{ start: '0 22 * * 7' }, 'expected a cron expression of five fields: minute, hour, day of month, month, day of week'],
    [{ start: '0 25 * * *' }, 'expected a cron expression of five fields: minute, hour, day of month, month, day of week'],
    [{ start: '0 2 31 2 *' }, 'expected a cron expression of five fields: minute, hour, day of month, month, day of week'],
    [{ end: NIGHTS.start }, 'start and end are the same time'],
    [{ desiredReplicas: 0 }, 'expected a whole number, at least 1'],
  ])('%j', (change, message) => {
    expect(cron.metadata.safeParse({ ...NIGHTS, ...change }).error?.issues.map((issue) => issue.message)).toEqual([message]);
  });
});
