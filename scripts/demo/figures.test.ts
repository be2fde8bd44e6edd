import { expect, test } from 'vitest';
import type { KindReport, LoadReport } from '../../bench/load/model.ts';
import { type Figures, figuresOf, isGood, lost, type Outcome, since, summary } from './figures.ts';

const kind = (more: Partial<KindReport>): KindReport => ({ ok: 0, failed: 0, errors: {}, maxMs: 0, p50Ms: 0, p99Ms: 0, ...more });

const report = (kinds: Partial<LoadReport['kinds']>, more: Partial<LoadReport> = {}): LoadReport => ({
  startedAt: 0,
  elapsedMs: 0,
  ok: 0,
  failed: 0,
  kinds: {
    keepAliveGet: kind({}),
    post: kind({}),
    newConnections: kind({}),
    slow: kind({}),
    http2: kind({}),
    webSockets: kind({}),
    sse: kind({}),
    ...kinds,
  },
  streams: { webSockets: { opened: 0, clean: 0, cut: 0 }, sse: { opened: 0, clean: 0, cut: 0 }, opened: 0, clean: 0, cut: 0 },
  failures: [],
  versions: {},
  clientDelayMaxMs: 0,
  ...more,
});

const figures = (more: Partial<Figures>): Figures => ({ served: 0, failed: 0, answered500: 0, streams: 0, cut: 0, longestMs: 0, ...more });

const outcome = (more: Partial<Outcome>): Outcome => ({
  releases: 5,
  rolledBack: 2,
  byHand: 1,
  recovered: 1,
  figures: figures({ served: 12_345, streams: 40, longestMs: 310 }),
  ownErrors: 0,
  backAfterMs: undefined,
  proof: { stores: 4, bytes: 3 * 1024 * 1024, differences: 0, rtoSeconds: 21.4, rpoSeconds: 3.2 },
  elapsedMs: 90_000,
  problems: [],
  ...more,
});

test('a two-second request waits only for what it takes beyond two seconds, and opened streams are no requests', () => {
  const load = report({ keepAliveGet: kind({ ok: 10, maxMs: 40 }), slow: kind({ ok: 2, maxMs: 2_090 }), sse: kind({ ok: 3, maxMs: 900 }) });
  expect(figuresOf(load, 2_000)).toMatchObject({ served: 12, longestMs: 90 });
});

test('answers 500 are counted apart from the other failures, over all kinds of requests', () => {
  const load = report(
    {
      keepAliveGet: kind({ failed: 4, errors: { 'status 500': 3, ECONNRESET: 1 } }),
      newConnections: kind({ failed: 2, errors: { 'status 500': 2 } }),
    },
    { failed: 6 },
  );
  expect(figuresOf(load, 2_000)).toMatchObject({ failed: 6, answered500: 5 });
});

test('what one act added is the difference to its beginning', () => {
  expect(since(figures({ served: 30, failed: 5, cut: 2 }), figures({ served: 10, failed: 5, cut: 1 }))).toMatchObject({
    served: 20,
    failed: 0,
    cut: 1,
  });
});

test('errors of the release that was broken on purpose are no lost requests, all others are', () => {
  const own = outcome({ figures: figures({ failed: 9 }), ownErrors: 9 });
  expect([lost(own), isGood(own)]).toEqual([0, true]);
  const one = outcome({ figures: figures({ failed: 10 }), ownErrors: 9 });
  expect([lost(one), isGood(one)]).toEqual([1, false]);
});

test('a cut stream or an act that went wrong makes the demo a failure', () => {
  expect(isGood(outcome({ figures: figures({ cut: 1 }) }))).toBe(false);
  expect(isGood(outcome({ problems: ['recover: exit code 7'] }))).toBe(false);
});

test('without a backup that restored as it was saved the demo is a failure', () => {
  expect(isGood(outcome({ proof: undefined }))).toBe(false);
  expect(isGood(outcome({ proof: { stores: 4, bytes: 1, differences: 1, rtoSeconds: 1, rpoSeconds: 1 } }))).toBe(false);
  expect(summary(outcome({ proof: undefined }))).toContain('no backup that has been proven');
});

test('the last screen', () => {
  expect(
    summary(outcome({ figures: figures({ served: 12_345, failed: 9, streams: 40, longestMs: 310 }), ownErrors: 9, backAfterMs: 520 })),
  ).toMatchInlineSnapshot(`
    "No request was lost in 90.0 s under load:

      releases                5   made while visitors were there
      requests served    12,345   reads, uploads, new connections, and requests that take two seconds
      requests failed         0   reset, refused, timed out, or with a wrong answer
      streams cut       0 of 40   WebSockets and event streams; the others ended in order
      longest wait       310 ms   of any request, beyond the time that it asks for
      rolled back             2   bad releases that were taken back by themselves
                              1   by hand: composure rollback
      recovered               1   after kill -9 in the middle of a release
      errors of the bad       9   answers 500 that the broken release itself gave, for 0.5 s until it was taken back
      saved               3 MiB   in 4 stores, as one encrypted set
      differences             0   between what was saved and what the drill restored
      restored after     21.4 s   from nothing until the application was healthy on it (RTO)
      would be lost       3.2 s   of work, had the server died when the drill began (RPO)"
  `);
});
