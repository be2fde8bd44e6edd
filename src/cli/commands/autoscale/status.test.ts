import { expect, test } from 'vitest';
import { queueTypes, scaledService } from '../../../autoscale/fixtures.ts';
import type { TierStatus } from '../../../autoscale/status.ts';
import { tierOf } from '../../../autoscale/tiers.ts';
import { statusText } from './status.ts';

const entry = (changes: Partial<TierStatus> = {}): TierStatus => ({
  tier: tierOf('shop', scaledService({ spec: { max: 8 } }), { types: queueTypes }).tier,
  workers: [
    { id: 'a', number: 1, phase: 'running', sinceMs: 0, busy: true, obsolete: false },
    { id: 'b', number: 2, phase: 'starting', sinceMs: 0, obsolete: false },
    { id: 'c', number: 3, phase: 'draining', sinceMs: 0, obsolete: false },
  ],
  triggers: [{ name: 'queue-0', type: 'queue', atMs: 0, summary: '3 waiting, 1 active', failing: false }],
  decisions: [],
  explanation: '',
  recent: [],
  ...changes,
});
const budget = { cores: 4, cpus: 3.5, memoryBytes: 12 * 2 ** 30 };

test('the scaled services at a glance', () => {
  expect(statusText({ budget, warnings: ['db always runs and has no limit'] }, [entry()])).toMatchInlineSnapshot(`
    "scaled services may use 3.5 CPU and 12 GiB of this host
    SERVICE      RUN  FROZEN  DRAIN  WANTED  WITHIN  TRIGGERS
    shop/worker  2    0       1      -       0-8     queue-0: 3 waiting, 1 active
    warning: db always runs and has no limit
    "
  `);
});

test.each<[string, Partial<TierStatus>, string]>([
  ['a release', { heldBy: 'deploy (pid 7)' }, 'nothing is changed while deploy (pid 7) has the project'],
  ['a floor', { manualReplicas: 2 }, 'at least 2 until composure scale worker=auto'],
  ['a pause', { pause: { paused: true, pausedScaleIn: false, pausedScaleOut: false } }, 'paused as it is'],
  ['a pause at a count', { pause: { paused: true, pausedReplicas: 1, pausedScaleIn: false, pausedScaleOut: false } }, 'paused at 1'],
  ['a pause of one way', { pause: { paused: false, pausedScaleIn: true, pausedScaleOut: false } }, 'scaling in is paused'],
])('what people and commands have a hand in is said: %s', (_title, changes, expected) => {
  expect(statusText({ warnings: [] }, [entry(changes)]).split('\n')).toContain(`shop/worker: ${expected}`);
});

test('nothing is scaled', () => {
  expect(statusText({ warnings: [] }, [])).toBe('no service is scaled\n');
});
