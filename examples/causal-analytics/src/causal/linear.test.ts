import { expect, test } from 'vitest';
import { cholesky, leastSquares, solveCholesky } from './linear.ts';
import { createRandom } from './random.ts';

test('Cholesky factor and solution of a known system', () => {
  const matrix = Float64Array.of(4, 2, 2, 3);
  const lower = cholesky(matrix, 2);
  expect([...lower].map((value) => Number(value.toFixed(12)))).toEqual([2, 0, 1, Number(Math.SQRT2.toFixed(12))]);
  const solution = solveCholesky(lower, 2, Float64Array.of(8, 8));
  expect(solution[0]).toBeCloseTo(1, 12);
  expect(solution[1]).toBeCloseTo(2, 12);
});

test('least squares finds the line that made the points, with standard errors of the right size', () => {
  const random = createRandom(7);
  const rows = 5_000;
  const x = Float64Array.from({ length: rows }, () => random.normal());
  const y = x.map((value) => 3 - 2 * value + 0.5 * random.normal());
  const fit = leastSquares([new Float64Array(rows).fill(1), x], y);
  expect(fit.coefficients[0]).toBeCloseTo(3, 1);
  expect(fit.coefficients[1]).toBeCloseTo(-2, 1);
  expect(fit.residualVariance).toBeCloseTo(0.25, 1);
  // The textbook value: sigma / sqrt(n).
  expect(fit.standardErrors[1]).toBeCloseTo(0.5 / Math.sqrt(rows), 3);
});

test('a weight of two is the row twice', () => {
  const ones = (rows: number) => new Float64Array(rows).fill(1);
  const weighted = leastSquares([ones(4), Float64Array.of(0, 1, 2, 3)], Float64Array.of(1, 3, 4, 8), Float64Array.of(1, 2, 1, 1));
  const repeated = leastSquares([ones(5), Float64Array.of(0, 1, 1, 2, 3)], Float64Array.of(1, 3, 3, 4, 8));
  expect([...weighted.coefficients, ...weighted.standardErrors]).toEqual(
    [...repeated.coefficients, ...repeated.standardErrors].map((v) => expect.closeTo(v, 10)),
  );
});

test('columns that depend on each other and too few rows are refused', () => {
  const x = Float64Array.of(1, 2, 3, 4);
  const double = x.map((value) => 2 * value);
  expect(() => leastSquares([x, double], Float64Array.of(1, 2, 3, 5))).toThrow(RangeError);
  expect(() => leastSquares([x.subarray(0, 1)], Float64Array.of(1))).toThrow(/1 rows are too few for 1 columns/);
});
