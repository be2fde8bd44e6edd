import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { BackupSettings } from '../project/model.ts';
import type { BackupResult } from './model.ts';
import { type Course, dueJobs, nextRun, nextTime } from './schedule.ts';

const settings = (more: Partial<BackupSettings> = {}): BackupSettings => ({
  repository: '/mnt/backup',
  schedule: '15 3 * * *',
  timezone: 'UTC',
  verify: { schedule: '30 5 * * *', parts: 7 },
  drill: { schedule: '0 6 * * 0' },
  keep: {},
  secrets: [],
  ...more,
});

const result = (kind: BackupResult['kind'], startedAt: string, more: Partial<BackupResult> = {}): BackupResult => ({
  kind,
  scheduled: true,
  startedAt,
  endedAt: new Date(Date.parse(startedAt) + 60_000).toISOString(),
  ok: true,
  numbers: {},
  ...more,
});

/** What is due, as "<job> <time that it was planned for>". */
const due = (now: string, history: BackupResult[], more: Partial<BackupSettings> = {}, since = '2026-11-01T00:00:00Z'): string[] =>
  dueJobs({ settings: settings(more), since, history }, new Date(now)).map((one) => `${one.job} ${one.since}`);

describe('what is due', () => {
  // 1 November 2026 is a Sunday.
  const run = result('run', '2026-11-24T03:15:00Z');
  const all = [
    result('drill', '2026-11-22T06:00:00Z'),
    run,
    result('prune', '2026-11-24T03:16:00Z'),
    result('verify', '2026-11-24T05:30:00Z'),
  ];
  test.each<[string, string, BackupResult[], string[]]>([
    ['nothing between two times', '2026-11-24T22:00:00Z', all, []],
    ['a run at its time, and not a second before', '2026-11-25T03:14:59Z', all, []],
    ['a run at its time', '2026-11-25T03:15:00Z', all, ['run 2026-11-25T03:15:00.000Z']],
    [
      'one run for a week of missed ones',
      '2026-12-01T12:00:00Z',
      all,
      ['run', 'verify', 'drill'].map(
        (job) =>
          `${job} ${{ run: '2026-11-25T03:15:00.000Z', verify: '2026-11-25T05:30:00.000Z', drill: '2026-11-29T06:00:00.000Z' }[job]}`,
      ),
    ],
    ['nothing before a project was known', '2026-11-01T03:00:00Z', [], []],
    ['the first run at its first time after that', '2026-11-01T03:15:00Z', [], ['run 2026-11-01T03:15:00.000Z']],
    ['no check and no drill before there is a set', '2026-11-08T12:00:00Z', [result('run', '2026-11-08T03:15:00Z', { ok: false })], []],
    [
      'a run that failed is tried again at its next time only',
      '2026-11-24T20:00:00Z',
      [...all, result('run', '2026-11-24T03:20:00Z', { ok: false })],
      [],
    ],
    [
      'what a person did counts',
      '2026-11-25T04:00:00Z',
      [...all, result('run', '2026-11-25T03:30:00Z', { scheduled: false })],
      ['prune 2026-11-25T03:31:00.000Z'],
    ],
    [
      'a run of chosen services does not stand for one of the project',
      '2026-11-25T04:00:00Z',
      [...all, result('run', '2026-11-25T03:30:00Z', { only: ['db'] })],
      ['run 2026-11-25T03:15:00.000Z'],
    ],
    [
      'pruning after a run, once a day',
      '2026-11-25T03:20:00Z',
      [...all, result('run', '2026-11-25T03:15:00Z')],
      ['prune 2026-11-25T03:16:00.000Z'],
    ],
    ['no pruning after a second run on the same day', '2026-11-24T12:00:00Z', [...all, result('run', '2026-11-24T11:00:00Z')], []],
    [
      'a time from a clock that was ahead puts nothing off',
      '2026-11-25T03:15:00Z',
      [...all, result('run', '2031-01-01T00:00:00Z')],
      ['run 2026-11-25T03:15:00.000Z'],
    ],
  ])('%s', (_title, now, history, expected) => {
    expect(due(now, history)).toEqual(expected);
  });

  test('no pruning of a repository that takes additions only', () => {
    const history = [...all, result('run', '2026-11-25T03:15:00Z')];
    expect(due('2026-11-25T04:00:00Z', history)).toEqual(['prune 2026-11-25T03:16:00.000Z']);
    expect(due('2026-11-25T04:00:00Z', history, { appendOnly: true })).toEqual([]);
  });

  describe('of a service with a schedule of its own', () => {
    const own = (now: string, history: BackupResult[], more: Partial<Course> = {}): string[] =>
      dueJobs({ settings: settings(), services: { db: '0 * * * *' }, since: '2026-11-01T00:00:00Z', history, ...more }, new Date(now)).map(
        ({ job, service, since }) => `${job}${service === undefined ? '' : ` ${service}`} ${since}`,
      );
    const alone = result('run', '2026-11-24T20:00:00Z', { only: ['db'] });

    test.each<[string, string, BackupResult[], string[]]>([
      ['at its time, and once for many that passed', '2026-11-24T23:10:00Z', [...all, alone], ['run db 2026-11-24T21:00:00.000Z']],
      ['not between two times', '2026-11-24T20:59:59Z', [...all, alone], []],
      [
        'after the project, where both are due',
        '2026-11-25T03:15:00Z',
        [...all, alone],
        ['run 2026-11-25T03:15:00.000Z', 'run db 2026-11-24T21:00:00.000Z', 'prune 2026-11-24T23:16:00.000Z'],
      ],
      [
        'not for what a run of the project has saved',
        '2026-11-25T03:59:00Z',
        [...all, alone, result('run', '2026-11-25T03:15:00Z')],
        ['prune 2026-11-24T23:16:00.000Z'],
      ],
      [
        'not for what another service’s run has saved',
        '2026-11-24T21:00:00Z',
        [...all, alone, result('run', '2026-11-24T20:30:00Z', { only: ['web'] })],
        ['run db 2026-11-24T21:00:00.000Z'],
      ],
      [
        'and its runs are pruned like others',
        '2026-11-25T00:05:00Z',
        [...all, result('run', '2026-11-25T00:00:00Z', { only: ['db'] })],
        ['prune 2026-11-25T00:01:00.000Z'],
      ],
    ])('it is due %s', (_title, now, history, expected) => {
      expect(own(now, history)).toEqual(expected);
    });

    test('it alone is due where the project has none', () => {
      const { schedule: _none, ...rest } = settings();
      expect(own('2026-11-25T07:00:00Z', [alone], { settings: rest })).toEqual([
        'run db 2026-11-24T21:00:00.000Z',
        'prune 2026-11-24T20:01:00.000Z',
      ]);
      expect(own('2026-11-25T07:00:00Z', [alone], { settings: rest, downSince: '2026-11-24T20:30:00Z' })).toEqual([
        'prune 2026-11-24T20:01:00.000Z',
      ]);
    });
  });

  test('nothing without a schedule or a repository', () => {
    const { repository, schedule, ...rest } = settings();
    const known = { since: '2026-11-01T00:00:00Z', history: [run] };
    expect(dueJobs({ ...known, settings: { ...rest, repository: repository ?? '' } }, new Date('2027-01-01'))).toEqual([]);
    expect(dueJobs({ ...known, settings: { ...rest, schedule: schedule ?? '' } }, new Date('2027-01-01'))).toEqual([]);
  });
});

describe('summer time', () => {
  const times = (pattern: string, after: string, count: number, timezone = 'Europe/Berlin'): string[] => {
    const found: string[] = [];
    let at = new Date(after);
    for (let index = 0; index < count; index++) {
      at = nextRun(pattern, timezone, at) ?? at;
      found.push(at.toISOString().slice(0, 16));
    }
    return found;
  };
  test.each([
    [
      '3:15 stays 3:15 when clocks go forward',
      '15 3 * * *',
      '2026-03-27T12:00Z',
      ['2026-03-28T02:15', '2026-03-29T01:15', '2026-03-30T01:15'],
    ],
    [
      '2:30 does not exist on that day: once, when the clocks have gone forward',
      '30 2 * * *',
      '2026-03-27T12:00Z',
      ['2026-03-28T01:30', '2026-03-29T01:00', '2026-03-30T00:30'],
    ],
    [
      '3:15 stays 3:15 when clocks go back',
      '15 3 * * *',
      '2026-10-23T12:00Z',
      ['2026-10-24T01:15', '2026-10-25T02:15', '2026-10-26T02:15'],
    ],
    [
      '2:30 is there twice on that day and is taken once',
      '30 2 * * *',
      '2026-10-23T12:00Z',
      ['2026-10-24T00:30', '2026-10-25T00:30', '2026-10-26T01:30'],
    ],
  ])('%s', (_title, pattern, after, expected) => {
    expect(times(pattern, after, 3)).toEqual(expected);
  });
});

test('what is no cron expression, or never comes, is never due', () => {
  expect(nextRun('15 25 * * *', 'UTC', new Date())).toBeUndefined();
  expect(nextRun('0 0 30 2 *', 'UTC', new Date())).toBeUndefined();
});

describe('always', () => {
  const zone = fc.constantFrom('UTC', 'Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe', 'Asia/Kathmandu');
  const pattern = fc
    .tuple(fc.integer({ min: 0, max: 59 }), fc.integer({ min: 0, max: 23 }), fc.constantFrom('*', '1', '0,3,5'))
    .map(([minute, hour, day]) => `${minute} ${hour} * * ${day}`);
  const moment = fc.date({ min: new Date('2026-01-01'), max: new Date('2028-01-01'), noInvalidDate: true });

  test('a run that was just tried is not due, and looking every half minute from then on starts exactly one at its next time', () => {
    fc.assert(
      fc.property(zone, pattern, moment, fc.boolean(), (timezone, schedule, at, ok) => {
        const history = [result('run', at.toISOString(), { ok })];
        const course = { settings: settings({ timezone, schedule }), since: '2025-01-01T00:00:00Z', history };
        const isDue = (now: Date): boolean => dueJobs(course, now).some(({ job }) => job === 'run');
        expect(isDue(at)).toBe(false);
        const next = nextTime(course, { job: 'run' }, at);
        expect(next?.getTime()).toBeGreaterThan(at.getTime());
        expect(isDue(new Date((next?.getTime() ?? 0) - 1))).toBe(false);
        expect(isDue(next ?? at)).toBe(true);
        const done = { ...course, history: [...history, result('run', (next ?? at).toISOString())] };
        expect(dueJobs(done, new Date((next?.getTime() ?? 0) + 30_000)).some(({ job }) => job === 'run')).toBe(false);
      }),
      { numRuns: 200 },
    );
  });

  test('a daily time comes once each day, whatever clocks do: 22 to 26 hours lie between two', () => {
    fc.assert(
      fc.property(zone, fc.integer({ min: 0, max: 59 }), fc.integer({ min: 0, max: 23 }), moment, (timezone, minute, hour, at) => {
        const first = nextRun(`${minute} ${hour} * * *`, timezone, at);
        const second = first && nextRun(`${minute} ${hour} * * *`, timezone, first);
        const hours = ((second?.getTime() ?? 0) - (first?.getTime() ?? 0)) / 3_600_000;
        expect(hours).toBeGreaterThanOrEqual(22);
        expect(hours).toBeLessThanOrEqual(26);
      }),
      { numRuns: 300 },
    );
  });
});
