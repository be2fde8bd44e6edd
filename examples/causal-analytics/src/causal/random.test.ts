import { expect, test } from 'vitest';
import { createRandom } from './random.ts';

test('one seed is one sequence, another seed another', () => {
  const draw = (seed: number) => {
    const random = createRandom(seed);
    return Array.from({ length: 20 }, () => random.uniform());
  };
  expect(draw(1)).toEqual(draw(1));
  expect(draw(1)).not.toEqual(draw(2));
});

test('normals have mean 0, variance 1, and about 5 % outside of 1.96', () => {
  const random = createRandom(3);
  const values = Array.from({ length: 50_000 }, () => random.normal());
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
  expect(Math.abs(mean)).toBeLessThan(0.02);
  expect(Math.abs(variance - 1)).toBeLessThan(0.03);
  expect(values.filter((value) => Math.abs(value) > 1.96).length / values.length).toBeCloseTo(0.05, 2);
});

test('a shuffle keeps every item and puts each one everywhere', () => {
  const random = createRandom(5);
  const firsts = new Map<number, number>();
  for (let i = 0; i < 4_000; i++) {
    const items = random.shuffle([0, 1, 2, 3]);
    expect([...items].sort()).toEqual([0, 1, 2, 3]);
    firsts.set(items[0] as number, (firsts.get(items[0] as number) ?? 0) + 1);
  }
  for (const count of firsts.values()) expect(Math.abs(count - 1_000)).toBeLessThan(120);
  expect(firsts.size).toBe(4);
});
