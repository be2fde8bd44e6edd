import { type Columns, cholesky } from './linear.ts';
import type { Random } from './random.ts';
import { quantile } from './refutation.ts';

/** What a twin population is drawn from: each column's own distribution, and how the columns hang together. */
export interface TwinModel {
  /** The sample's columns, each sorted: the inverse of their distribution functions. */
  sorted: Columns;
  /** Lower Cholesky factor of the correlation of the normal scores, row-major. */
  lower: Float64Array;
}

/** Fits a Gaussian copula with empirical margins. Throws RangeError for fewer than three rows or columns that determine each other. */
export function fitTwins(sample: Columns): TwinModel {
  const rows = sample[0]?.length ?? 0;
  if (rows < 3) throw new RangeError(`${rows} rows are too few to draw twins from`);
  const size = sample.length;
  const scores = sample.map(normalScores);
  const correlation = new Float64Array(size * size);
  for (let i = 0; i < size; i++) {
    for (let j = 0; j < size; j++) correlation[i * size + j] = correlate(scores[i] as Float64Array, scores[j] as Float64Array);
  }
  return { sorted: sample.map((column) => column.toSorted()), lower: cholesky(correlation, size) };
}

/**
 * Draws `count` twins in batches of at most `batchRows`. The same columns are filled again for each batch, so memory does not grow with
 * the population: use or copy a batch before asking for the next.
 */
export function* drawTwins(model: TwinModel, count: number, random: Random, batchRows = 5_000): Generator<Columns> {
  const size = model.sorted.length;
  const buffers = model.sorted.map(() => new Float64Array(Math.min(batchRows, count)));
  const normals = new Float64Array(size);
  for (let drawn = 0; drawn < count; ) {
    const rows = Math.min(batchRows, count - drawn);
    for (let r = 0; r < rows; r++) {
      for (let i = 0; i < size; i++) normals[i] = random.normal();
      for (let i = 0; i < size; i++) {
        let score = 0;
        for (let k = 0; k <= i; k++) score += (model.lower[i * size + k] as number) * (normals[k] as number);
        (buffers[i] as Float64Array)[r] = quantile(model.sorted[i] as Float64Array, normalShare(score));
      }
    }
    drawn += rows;
    yield rows === buffers[0]?.length ? buffers : buffers.map((column) => column.subarray(0, rows));
  }
}

/** Counts, means, spreads and correlations of rows that arrive in batches. Sums are kept around the first row, which keeps them exact. */
export interface Moments {
  count: number;
  shift: Float64Array;
  sums: Float64Array;
  products: Float64Array;
}

export function startMoments(columns: number): Moments {
  return { count: 0, shift: new Float64Array(columns), sums: new Float64Array(columns), products: new Float64Array(columns * columns) };
}

export function addMoments(moments: Moments, batch: Columns): void {
  const size = batch.length;
  const rows = batch[0]?.length ?? 0;
  if (moments.count === 0) moments.shift.set(batch.map((column) => column[0] ?? 0));
  for (let i = 0; i < size; i++) {
    const a = batch[i] as Float64Array;
    const shiftA = moments.shift[i] as number;
    let sum = 0;
    for (let r = 0; r < rows; r++) sum += (a[r] as number) - shiftA;
    moments.sums[i] = (moments.sums[i] as number) + sum;
    for (let j = 0; j <= i; j++) {
      const b = batch[j] as Float64Array;
      const shiftB = moments.shift[j] as number;
      let product = 0;
      for (let r = 0; r < rows; r++) product += ((a[r] as number) - shiftA) * ((b[r] as number) - shiftB);
      moments.products[i * size + j] = (moments.products[i * size + j] as number) + product;
    }
  }
  moments.count += rows;
}

export function summarise(moments: Moments): { count: number; mean: number[]; spread: number[]; correlation: number[][] } {
  const { count, shift, sums, products } = moments;
  const size = shift.length;
  const centred = (i: number) => (sums[i] as number) / count;
  const covariance = (i: number, j: number) => {
    const [row, column] = i >= j ? [i, j] : [j, i];
    return (products[row * size + column] as number) / count - centred(i) * centred(j);
  };
  const indexes = Array.from({ length: size }, (_, i) => i);
  const spread = indexes.map((i) => Math.sqrt(covariance(i, i)));
  return {
    count,
    mean: indexes.map((i) => (shift[i] as number) + centred(i)),
    spread,
    correlation: indexes.map((i) => indexes.map((j) => covariance(i, j) / ((spread[i] as number) * (spread[j] as number)))),
  };
}

/** Standard normal distribution function (Abramowitz and Stegun 26.2.17, error below 7.5e-8). */
export function normalShare(x: number): number {
  const t = 1 / (1 + 0.2316419 * Math.abs(x));
  const tail =
    (Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI)) *
    t *
    (0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))));
  return x >= 0 ? 1 - tail : tail;
}

/** Inverse of the standard normal distribution function: bisection on `normalShare`; used once per row of the small sample. */
export function normalScore(share: number): number {
  let low = -8;
  let high = 8;
  for (let i = 0; i < 60; i++) {
    const middle = (low + high) / 2;
    if (normalShare(middle) < share) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/** The normal scores of the ranks; equal values share their mean rank. */
function normalScores(column: Float64Array): Float64Array {
  const order = Uint32Array.from(column, (_, index) => index).sort((a, b) => (column[a] as number) - (column[b] as number));
  const scores = new Float64Array(column.length);
  for (let first = 0; first < order.length; ) {
    let last = first;
    while (last + 1 < order.length && column[order[last + 1] as number] === column[order[first] as number]) last++;
    const score = normalScore(((first + last) / 2 + 0.5) / column.length);
    for (let i = first; i <= last; i++) scores[order[i] as number] = score;
    first = last + 1;
  }
  return scores;
}

function correlate(a: Float64Array, b: Float64Array): number {
  const moments = startMoments(2);
  addMoments(moments, [a, b]);
  return a === b ? 1 : (summarise(moments).correlation[0]?.[1] as number);
}
