import { describe, expect, test } from 'vitest';
import { Failure } from '../kit/errors.ts';
import { parseFormula } from './formula.ts';

const values: Record<string, number> = { queue: 12, latency: 0.5, zero: 0 };
const evaluate = (text: string): number | undefined =>
  parseFormula(text, ['queue', 'latency', 'zero', 'lost']).evaluate((name) => values[name]);

test.each([
  ['queue', 12],
  ['queue + latency * 2', 13],
  ['(queue + latency) * 2', 25],
  ['10 - 4 - 3', 3],
  ['2 ** 3 ** 2', 512],
  ['-2 ** 2', -4],
  ['2 ^ -1', 0.5],
  ['7 % 4', 3],
  ['queue > 10 ? queue / 2 : 1', 6],
  ['queue > 10 and latency < 0.1 ? 1 : 2', 2],
  ['queue > 10 || lost > 1 ? 1 : 2', 1],
  ['not (queue == 12) ? 1 : 2', 2],
  ['!(queue != 12) ? 1 : 2', 1],
  ['lost ?? queue', 12],
  ['lost ?? lost ?? 4', 4],
  ['max([queue, latency, 40])', 40],
  ['max(queue, 3)', 12],
  ['sum([queue, zero]) / len([queue, zero])', 6],
  ['mean([1, 2, 6])', 3],
  ['median([5, 1, 3, 100])', 4],
  ['ceil(latency) + floor(latency) + round(1.4) + abs(-3) + int(2.9)', 7],
  ['1e3 + .5', 1000.5],
  ['true ? 1 : 0', 1],
])('%s = %s', (text, expected) => {
  expect(evaluate(text)).toBe(expected);
});

test.each([['lost'], ['queue + lost'], ['max([queue, lost])'], ['lost > 1 ? 1 : 2'], ['queue / zero'], ['queue > 1'], ['max([])']])(
  '%s has no value',
  (text) => {
    expect(evaluate(text)).toBeUndefined();
  },
);

describe('what is not understood is refused with its place', () => {
  const refusal = (text: string): string => {
    try {
      parseFormula(text, ['queue']);
    } catch (error) {
      if (error instanceof Failure) return [error.message, ...error.details].join('\n');
      throw error;
    }
    return 'understood';
  };

  test('names, functions, ends and foreign symbols', () => {
    expect(refusal('queue + depth')).toMatchInlineSnapshot(`
      "The formula is not understood at "depth", character 9: there is no trigger "depth" (queue).
      queue + depth
              ^"
    `);
    expect(refusal('queue +')).toMatchInlineSnapshot(`
      "The formula is not understood at its end, character 8: expected a number, a trigger or "(".
      queue +
             ^"
    `);
    expect(refusal('queue queue')).toMatchInlineSnapshot(`
      "The formula is not understood at "queue", character 7: is not understood here.
      queue queue
            ^"
    `);
    expect(refusal('(queue')).toMatchInlineSnapshot(`
      "The formula is not understood at its end, character 7: expected ")".
      (queue
            ^"
    `);
    expect(refusal('count([queue], # > 1)')).toMatchInlineSnapshot(`
      "The formula is not understood at "#", character 16: is not understood.
      count([queue], # > 1)
                     ^"
    `);
    expect(refusal('constructor(1)')).toMatchInlineSnapshot(`
      "The formula is not understood at "constructor", character 1: there is no function constructor() here (min, max, sum, mean, median, len, abs, ceil, floor, round, float, int).
      constructor(1)
      ^"
    `);
    expect(refusal('ceil(1, 2)')).toMatchInlineSnapshot(`
      "The formula is not understood at "ceil", character 1: ceil() takes one number.
      ceil(1, 2)
      ^"
    `);
    expect(refusal('queue.length')).toMatchInlineSnapshot(`
      "The formula is not understood at ".", character 6: is not understood.
      queue.length
           ^"
    `);
  });

  test('nothing of the language that runs it is in reach', () => {
    for (const text of ['process', '__proto__', 'toString()', 'globalThis', "'a'", '`a`', 'queue = 1', 'queue; queue', '() => 1']) {
      expect(refusal(text), text).not.toBe('understood');
    }
  });

  test('a formula that no person wrote', () => {
    expect(refusal(`${'('.repeat(3000)}`)).toContain('longer than 2000');
    expect(refusal(`${'('.repeat(1999)}1`)).toContain('not understood');
  });
});

test('says which triggers it uses', () => {
  expect(parseFormula('max([b, a]) + a', ['a', 'b', 'c']).names).toEqual(['b', 'a']);
});
