import { expect, test } from 'vitest';
import type { Columns } from './linear.ts';
import { createRandom } from './random.ts';
import { addMoments, drawTwins, fitTwins, normalScore, normalShare, startMoments, summarise } from './twins.ts';

function sample(rows: number): Columns {
  const random = createRandom(21);
  const age = new Float64Array(rows);
  const spend = new Float64Array(rows);
  const visits = new Float64Array(rows);
  for (let i = 0; i < rows; i++) {
    const shared = random.normal();
    age[i] = 45 + 12 * (0.6 * shared + 0.8 * random.normal());
    spend[i] = Math.exp(4 + 0.5 * (0.7 * shared + Math.sqrt(0.51) * random.normal()));
    visits[i] = Math.round(Math.max(0, 4 - 2 * shared + random.normal()));
  }
  return [age, spend, visits];
}

function moments(batches: Iterable<Columns>, columns = 3) {
  const sums = startMoments(columns);
  for (const batch of batches) addMoments(sums, batch);
  return summarise(sums);
}

test('a twin population has the means, spreads and correlations of its sample', () => {
  const original = sample(600);
  const wanted = moments([original]);
  const twins = moments(drawTwins(fitTwins(original), 50_000, createRandom(1)));
  expect(twins.count).toBe(50_000);
  for (let i = 0; i < 3; i++) {
    expect(Math.abs((twins.mean[i] as number) - (wanted.mean[i] as number))).toBeLessThan(0.03 * (wanted.spread[i] as number));
    expect((twins.spread[i] as number) / (wanted.spread[i] as number)).toBeCloseTo(1, 1);
    for (let j = 0; j < 3; j++)
      expect(Math.abs((twins.correlation[i]?.[j] as number) - (wanted.correlation[i]?.[j] as number))).toBeLessThan(0.05);
  }
});

test('twins never leave the range of the sample', () => {
  const original = sample(100);
  for (const batch of drawTwins(fitTwins(original), 5_000, createRandom(2), 1_000)) {
    batch.forEach((column, i) => {
      const sorted = original[i]?.toSorted() as Float64Array;
      expect(Math.min(...column)).toBeGreaterThanOrEqual(sorted[0] as number);
      expect(Math.max(...column)).toBeLessThanOrEqual(sorted.at(-1) as number);
    });
  }
});

test('batches reuse one buffer and add up to the count, so a million needs no more memory than a batch', () => {
  const model = fitTwins(sample(200));
  const memory = new Set<ArrayBufferLike>();
  let count = 0;
  for (const batch of drawTwins(model, 120_500, createRandom(3), 10_000)) {
    count += batch[0]?.length ?? 0;
    for (const column of batch) memory.add(column.buffer);
  }
  expect(count).toBe(120_500);
  expect(memory.size).toBe(3);
});

test('one seed is one population, whatever the batch size', () => {
  const model = fitTwins(sample(200));
  expect(moments(drawTwins(model, 3_000, createRandom(4), 1_000))).toEqual(moments(drawTwins(model, 3_000, createRandom(4), 1_000)));
  const [small, large] = [500, 3_000].map((size) => moments(drawTwins(model, 3_000, createRandom(4), size)).mean);
  expect(small).toEqual(large?.map((mean) => expect.closeTo(mean, 9)));
});

test('a sample that says nothing is refused', () => {
  expect(() => fitTwins([Float64Array.of(1, 2)])).toThrow(/2 rows are too few/);
  const column = Float64Array.of(1, 2, 3, 4);
  expect(() => fitTwins([column, column.map((value) => value * 2)])).toThrow(RangeError);
});

test('normal distribution function and its inverse at textbook points', () => {
  expect(normalShare(0)).toBeCloseTo(0.5, 7);
  expect(normalShare(1.959964)).toBeCloseTo(0.975, 6);
  expect(normalShare(-1.644854)).toBeCloseTo(0.05, 6);
  expect(normalScore(0.975)).toBeCloseTo(1.959964, 4);
});

test('moments are exact for numbers far from zero', () => {
  const { mean, spread } = moments([[Float64Array.of(1e9 + 1, 1e9 + 2, 1e9 + 3)]], 1);
  expect(mean[0]).toBe(1e9 + 2);
  expect(spread[0]).toBeCloseTo(Math.sqrt(2 / 3), 12);
});
