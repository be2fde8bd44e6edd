import { expect, test } from 'vitest';
import { median, quantile, round } from './numbers.ts';

test('quantiles are interpolated, and do not disturb the list', () => {
  const numbers = [4, 1, 3, 2];
  expect(median(numbers)).toBe(2.5);
  expect(median([7])).toBe(7);
  expect(quantile(numbers, 1)).toBe(4);
  expect(quantile(numbers, 0)).toBe(1);
  expect(median([])).toBeNaN();
  expect(numbers).toEqual([4, 1, 3, 2]);
  expect(round(1.2345, 2)).toBe(1.23);
});
