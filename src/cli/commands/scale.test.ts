import { describe, expect, test } from 'vitest';
import { scaledService } from '../../autoscale/fixtures.ts';
import { project, service } from '../../rollout/fixtures.ts';
import type { Wishes } from '../../state/wishes.ts';
import { readPause, withResumed } from './autoscale/pause.ts';
import { checkFloors, readFloors, withFloors } from './scale.ts';

const by = { by: 'ann', at: '2026-01-01T00:00:00Z' };
const none: Wishes = { scale: {}, pause: {} };

describe('composure scale', () => {
  test('services with counts, and auto', () => {
    expect(readFloors(['worker-heavy=2', 'light=auto'])).toEqual([
      { service: 'worker-heavy', replicas: 2 },
      { service: 'light', replicas: undefined },
    ]);
  });

  test.each(['worker', 'worker=', 'worker=-1', 'worker=1.5', '=2', 'worker=2x', 'worker=Auto'])('%s is not understood', (word) => {
    expect(() => readFloors([word])).toThrow(expect.objectContaining({ code: 'USAGE' }));
  });

  const stack = project(scaledService({ name: 'heavy', spec: { max: 3 } }), scaledService({ name: 'light' }), service('db'));
  test.each<[string, string, string, RegExp]>([
    ['a stranger', 'nobody=1', 'SERVICE_UNKNOWN', /db, heavy, light/],
    ['not scaled', 'db=2', 'CONFIG_INVALID', /deploy\.replicas/],
    ['over the most', 'heavy=4', 'CONFIG_INVALID', /at most 3/],
  ])('is refused: %s', (_title, word, code, next) => {
    expect(() => checkFloors(stack, readFloors([word]))).toThrow(expect.objectContaining({ code, next: expect.stringMatching(next) }));
  });
  test.each(['heavy=3', 'heavy=0', 'heavy=auto', 'light=100'])('%s is taken', (word) => {
    expect(() => checkFloors(stack, readFloors([word]))).not.toThrow();
  });

  test('a floor stays until it is released, and others with it', () => {
    const two = withFloors(none, readFloors(['heavy=2', 'light=1']), by);
    expect(two.scale).toEqual({ heavy: { ...by, replicas: 2 }, light: { ...by, replicas: 1 } });
    expect(withFloors(two, readFloors(['heavy=auto']), by).scale).toEqual({ light: { ...by, replicas: 1 } });
  });
});

describe('composure autoscale pause and resume', () => {
  const plain = { paused: false, pausedScaleIn: false, pausedScaleOut: false };
  test.each<[string, Parameters<typeof readPause>[0], object]>([
    ['as it is', {}, { ...plain, paused: true }],
    ['at a count', { replicas: 0 }, { ...plain, paused: true, pausedReplicas: 0 }],
    ['not down', { scaleIn: true }, { ...plain, pausedScaleIn: true }],
    ['not up', { scaleOut: true }, { ...plain, pausedScaleOut: true }],
    ['neither', { scaleIn: true, scaleOut: true }, { ...plain, paused: true }],
  ])('%s', (_title, flags, expected) => {
    expect(readPause(flags)).toEqual(expected);
  });

  test('a count and a direction contradict each other', () => {
    expect(() => readPause({ replicas: 1, scaleIn: true })).toThrow(expect.objectContaining({ code: 'USAGE' }));
  });

  test('resuming takes the wish back; a pause in the file is outvoted', () => {
    const paused = { ...none, pause: { light: { ...by, ...plain, paused: true }, other: { ...by, ...plain, paused: true } } };
    const inFile = scaledService({ name: 'heavy', spec: { pause: { ...plain, pausedReplicas: 1 } } });
    const after = withResumed(paused, [scaledService({ name: 'light' }), inFile]);
    expect(after.pause).toEqual({ other: { ...by, ...plain, paused: true }, heavy: expect.objectContaining(plain) });
    expect(after.pause.heavy?.pausedReplicas).toBeUndefined();
  });
});
