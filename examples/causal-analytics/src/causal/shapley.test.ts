import { expect, test } from 'vitest';
import type { Work } from './drive.ts';
import { createRandom } from './random.ts';
import { fitResponse } from './response.ts';
import { explain } from './shapley.ts';

function finish<T>(work: Work<T>): T {
  for (;;) {
    const step = work.next();
    if (step.done) return step.value;
  }
}

function population(rows: number, columns: number, seed: number): Float64Array[] {
  const random = createRandom(seed);
  return Array.from({ length: rows }, () => Float64Array.from({ length: columns }, () => random.normal()));
}

const feature = (row: Float64Array, index: number) => row[index] as number;

test('a linear model: each value is the coefficient times the distance from the mean', () => {
  const background = population(50, 3, 1);
  const mean = [0, 1, 2].map((i) => background.reduce((sum, row) => sum + feature(row, i), 0) / background.length);
  const individual = Float64Array.of(1, -2, 0.5);
  const weights = [2, -1, 4];
  const model = (row: Float64Array) => 5 + weights.reduce((sum, weight, i) => sum + weight * feature(row, i), 0);
  const { values } = finish(explain(model, individual, background, 2, createRandom(1)));
  expect([...values]).toEqual(weights.map((weight, i) => expect.closeTo(weight * (feature(individual, i) - (mean[i] as number)), 10)));
});

test('efficiency: the values add up to f(x) - E f, for any number of orders', () => {
  const background = population(30, 6, 2);
  const model = (row: Float64Array) =>
    Math.exp(feature(row, 0) / 2) * feature(row, 1) + Math.sin(feature(row, 2) * feature(row, 3)) + feature(row, 4) ** 2;
  const individual = population(1, 6, 3)[0] as Float64Array;
  for (const orders of [1, 2, 7, 40, 720]) {
    const { values, prediction, expected } = finish(explain(model, individual, background, orders, createRandom(orders)));
    expect(prediction).toBeCloseTo(model(individual), 10);
    expect(expected).toBeCloseTo(background.reduce((sum, row) => sum + model(row), 0) / background.length, 10);
    expect(values.reduce((sum, value) => sum + value, 0)).toBeCloseTo(prediction - expected, 9);
  }
});

test('symmetric features get the same, an unused one nothing, a product is shared', () => {
  const background = [Float64Array.of(0, 0, 0, 0)];
  const model = (row: Float64Array) => 3 * feature(row, 0) * feature(row, 1) + feature(row, 2);
  const { values } = finish(explain(model, Float64Array.of(1, 1, 5, 9), background, 24, createRandom(1)));
  expect([...values]).toEqual([1.5, 1.5, 5, 0].map((value) => expect.closeTo(value, 12)));
});

test('sampled orders are right on average, and at once where features only act in pairs', () => {
  const background = population(20, 6, 4);
  const individual = population(1, 6, 5)[0] as Float64Array;
  const model = (row: Float64Array) =>
    feature(row, 0) * feature(row, 1) * feature(row, 2) + feature(row, 3) * feature(row, 4) + feature(row, 5);
  const exact = finish(explain(model, individual, background, 720, createRandom(1)));
  const runs = Array.from({ length: 20 }, (_, seed) => finish(explain(model, individual, background, 200, createRandom(seed))).values);
  for (let i = 0; i < 6; i++) {
    const mean = runs.reduce((sum, values) => sum + (values[i] as number), 0) / runs.length;
    // An order and its reverse share a pair's product evenly; three features need many orders.
    expect(Math.abs(mean - (exact.values[i] as number))).toBeLessThan(i < 3 ? 0.15 : 1e-9);
  }
});

test('the background is left as it was', () => {
  const background = population(5, 3, 6);
  const copy = background.map((row) => Float64Array.from(row));
  finish(explain((row) => feature(row, 0), Float64Array.of(1, 2, 3), background, 4, createRandom(1)));
  expect(background).toEqual(copy);
});

test('the response surface reproduces a quadratic function', () => {
  const rows = population(200, 3, 7);
  const truth = (row: Float64Array) => 1 + 2 * feature(row, 0) - feature(row, 1) ** 2 + 3 * feature(row, 0) * feature(row, 2);
  const columns = [0, 1, 2].map((i) => Float64Array.from(rows, (row) => feature(row, i)));
  const model = fitResponse(columns, Float64Array.from(rows, truth));
  const fresh = Float64Array.of(0.3, -1.2, 2);
  expect(model(fresh)).toBeCloseTo(truth(fresh), 8);
});
