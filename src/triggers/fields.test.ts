import { describe, expect, test } from 'vitest';
import { activation, httpUrl, pairs, parseQuantity, query, target, timeout, variable } from './fields.ts';

test.each([
  ['5', 5],
  ['500m', 0.5],
  ['1.5', 1.5],
  ['.5', 0.5],
  ['1e3', 1000],
  ['2k', 2000],
  ['2Ki', 2048],
  ['512Mi', 512 * 1024 ** 2],
  ['1G', 1e9],
  ['100n', 1e-7],
  ['-3', -3],
  ['5 jobs', undefined],
  ['1K', undefined],
  ['', undefined],
  ['Mi', undefined],
])('the quantity %j', (text, expected) => {
  const value = parseQuantity(text);
  if (expected === undefined) expect(value).toBeUndefined();
  else expect(value).toBeCloseTo(expected, 12);
});

describe('scalars', () => {
  test.each([
    ['target', target(), ['5', 2.5, '0.1'], ['0', -1, '', 'x', '1e3', 'Infinity']],
    ['activation', activation(), ['0', 0, '2.5'], ['-1', '']],
    ['variable', variable(), ['DATABASE_URL', '_x'], ['$URL', '${URL}', 'a b', '']],
    ['query', query(), ['SELECT 1', 'SELECT\n1'], ['', ' \n']],
    ['timeout', timeout(), [500, '500', '3s'], ['0', '-1', '0s', 'soon']],
    ['pairs', pairs(), ['a=b', 'a=b, c=d', 'a='], ['a', 'a=b=c', '=b', '']],
    ['httpUrl', httpUrl(), ['http://a', 'https://a/b?c'], ['a', 'amqp://a', 'http://']],
  ])('%s', (_, field, taken, refused) => {
    expect(taken.filter((value) => !field.safeParse(value).success)).toEqual([]);
    expect(refused.filter((value) => field.safeParse(value).success)).toEqual([]);
  });

  test('durations come out in milliseconds, pairs as pairs', () => {
    expect([timeout().parse('3s'), timeout().parse('250'), pairs().parse('a=b, c = d')]).toEqual([
      3000,
      250,
      [
        ['a', 'b'],
        ['c', 'd'],
      ],
    ]);
  });
});
