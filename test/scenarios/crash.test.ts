import { expect, test } from 'vitest';
import { crashEverywhere } from '../../bench/crash/crash.ts';
import { STEP_KINDS } from '../../src/rollout/journal.ts';

// The application that makes it hardest: whatever is in flight when it gets SIGTERM is lost. `npm run bench -- crash` has the others, and kills recoveries too.
test('kill -9 of a deploy after every entry of its journal ends in the old or the new release, and no request fails', {
  timeout: 900_000,
}, async () => {
  const { points, requests, failed, failures } = await crashEverywhere('exit', { series: ['release'], lanes: 2 });
  expect(points.filter(({ problems }) => problems.length > 0)).toEqual([]);
  expect({ failed, failures }).toEqual({ failed: 0, failures: [] });
  expect(requests).toBeGreaterThan(500);
  // Both ways out were taken, each kind of step that this stack has was met, and nothing went back after the commit.
  expect(new Set(points.map(({ ends }) => ends))).toEqual(new Set(['old', 'new']));
  const kinds = STEP_KINDS.filter((kind) => points.some(({ after }) => after.startsWith(`end ${kind}`)));
  expect(kinds).toEqual(expect.arrayContaining(['create', 'run-job', 'start', 'gate', 'drain', 'stop', 'watch', 'commit', 'record']));
  expect(points.find(({ after }) => after === 'end watch')?.ends).toBe('old');
  expect(points.find(({ after }) => after === 'end commit')?.ends).toBe('new');
});
