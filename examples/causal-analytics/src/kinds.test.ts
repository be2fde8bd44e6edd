import { expect, test } from 'vitest';
import { readJobRequest } from './kinds.ts';

test('defaults are filled in, what is given stays', () => {
  expect(readJobRequest({ tier: 'heavy', kind: 'twins', params: { count: 1_000_000, store: true } })).toEqual({
    tier: 'heavy',
    kind: 'twins',
    params: { count: 1_000_000, seed: 1, store: 1 },
  });
  expect(readJobRequest({ tier: 'light', kind: 'rollup' })).toEqual({ tier: 'light', kind: 'rollup', params: { days: 30 } });
});

test.each([
  [null, /expected/],
  [{ tier: 'huge', kind: 'rollup' }, /light, medium, heavy/],
  [{ tier: 'toString', kind: 'rollup' }, /light, medium, heavy/],
  [{ tier: 'light', kind: 'twins' }, /must be one of rollup/],
  [{ tier: 'light', kind: 'rollup', params: { day: 1 } }, /no parameter day; it has days/],
  [{ tier: 'heavy', kind: 'twins', params: { count: 1_000_001 } }, /from 1 to 1000000/],
  [{ tier: 'heavy', kind: 'shapley', params: { rows: 1.5 } }, /whole number/],
  [{ tier: 'medium', kind: 'refutation', params: { effect: 'much' } }, /from -100 to 100/],
])('%j is refused with a reason', (body, reason) => {
  expect(readJobRequest(body)).toMatch(reason);
});
