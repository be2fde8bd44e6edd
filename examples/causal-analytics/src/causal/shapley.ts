import type { Work } from './drive.ts';
import type { Random } from './random.ts';

/** Predicts one individual. Must not keep or change the array: it is used again. */
export type Model = (features: Float64Array) => number;

export interface Explanation {
  /** One per feature; they add up to `prediction - expected`. */
  values: Float64Array;
  prediction: number;
  /** Mean prediction over the background. */
  expected: number;
}

/**
 * Permutation Shapley values: for an order of the features, each feature's share is what the mean prediction over the background moves when
 * the feature changes from the background's value to the individual's, the features before it in the order having changed already.
 * Averaged over `permutations` random orders and their reverses, or over all orders exactly when there are no more of them than that.
 * Efficiency holds for every order by itself, so the values always add up, however few orders there are.
 */
export function* explain(
  model: Model,
  individual: Float64Array,
  background: Float64Array[],
  permutations: number,
  random: Random,
): Work<Explanation> {
  const size = individual.length;
  const values = new Float64Array(size);
  const mixed = background.map((row) => Float64Array.from(row));
  const expected = meanPrediction(model, mixed);
  let prediction = expected;
  let orders = 0;
  const exact = factorial(size) <= permutations;
  const total = exact ? factorial(size) : permutations;
  for (const order of exact ? allOrders(size) : sampledOrders(size, permutations, random)) {
    let before = expected;
    for (const feature of order) {
      for (const row of mixed) row[feature] = individual[feature] as number;
      const after = meanPrediction(model, mixed);
      values[feature] = (values[feature] as number) + after - before;
      before = after;
    }
    prediction = before;
    mixed.forEach((row, index) => {
      row.set(background[index] as Float64Array);
    });
    orders += 1;
    yield orders / total;
  }
  for (let i = 0; i < size; i++) values[i] = (values[i] as number) / orders;
  return { values, prediction, expected };
}

function meanPrediction(model: Model, rows: Float64Array[]): number {
  let sum = 0;
  for (const row of rows) sum += model(row);
  return sum / rows.length;
}

/** An order and then its reverse: what one of the two overstates of an interaction the other understates. */
function* sampledOrders(size: number, count: number, random: Random): Generator<Uint32Array> {
  for (let i = 0; i < count; i += 2) {
    const order = random.shuffle(Uint32Array.from({ length: size }, (_, index) => index));
    yield order;
    if (i + 1 < count) yield order.toReversed();
  }
}

function* allOrders(size: number): Generator<Uint32Array> {
  const order = Uint32Array.from({ length: size }, (_, index) => index);
  yield* arrange(0);

  function* arrange(from: number): Generator<Uint32Array> {
    if (from >= size - 1) yield order;
    for (let i = from; i < size && from < size - 1; i++) {
      swap(from, i);
      yield* arrange(from + 1);
      swap(from, i);
    }
  }
  function swap(a: number, b: number) {
    const held = order[a] as number;
    order[a] = order[b] as number;
    order[b] = held;
  }
}

function factorial(n: number): number {
  return n <= 1 ? 1 : n * factorial(n - 1);
}
