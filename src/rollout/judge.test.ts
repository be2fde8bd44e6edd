import { describe, expect, test } from 'vitest';
import type { ServerStats } from '../edge/model.ts';
import { judgeTraffic, trafficOf } from './judge.ts';

const limits = { maxErrorRatio: 0.05, maxLatencyRatio: 3, minRequests: 20, keep: 1 };
const traffic = (requests: number, errors = 0, responseTimeMs = 20) => ({ requests, errors, responseTimeMs });

describe('new against old', () => {
  test.each([
    ['as good', traffic(100), traffic(100), undefined],
    ['every request fails', traffic(100, 100), traffic(100), /100 of 100 requests failed/],
    ['as bad as before', traffic(100, 50), traffic(100, 50), undefined],
    ['too few requests to say', traffic(19, 19), traffic(100), undefined],
    ['a few errors within the limit', traffic(100, 5), traffic(100), undefined],
    ['a few errors beyond it', traffic(100, 6), traffic(100), /6 of 100/],
    ['much slower', traffic(300, 0, 900), traffic(300, 0, 50), /900 ms to answer, the old ones took 50 ms/],
    ['slower, but too few to say', traffic(100, 0, 900), traffic(300, 0, 50), undefined],
    ['many times slower, and still fast', traffic(300, 0, 200), traffic(300, 0, 2), undefined],
    ['slower within the limit', traffic(300, 0, 900), traffic(300, 0, 500), undefined],
    ['nothing to compare with', traffic(300, 0, 900), traffic(0, 0, 0), undefined],
  ])('%s', (_name, fresh, old, verdict) => {
    const judged = judgeTraffic(fresh, old, limits);
    if (verdict === undefined) expect(judged).toBeUndefined();
    else expect(judged).toMatch(verdict);
  });
});

test('traffic counts what came since the earlier look, and never less than nothing', () => {
  const row = (server: string, requests: number, responses5xx: number, responseTimeMs: number): ServerStats => ({
    backend: 'shop.api.8000',
    server,
    status: 'UP',
    checkPassed: true,
    checkText: '',
    sessions: 0,
    requests,
    responses5xx,
    connectionErrors: 0,
    responseErrors: 0,
    responseTimeMs,
  });
  const now = [row('a', 30, 3, 10), row('b', 10, 0, 50), row('c', 99, 99, 1)];
  expect(trafficOf(now, new Set(['a', 'b']), [row('a', 10, 1, 10)])).toEqual({
    requests: 30,
    errors: 2,
    responseTimeMs: (20 * 10 + 10 * 50) / 30,
  });
  expect(trafficOf(now, new Set(['a']), [row('a', 40, 9, 10)])).toEqual({ requests: 0, errors: 0, responseTimeMs: 0 });
});
