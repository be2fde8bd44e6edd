import { type Columns, leastSquares } from './linear.ts';
import type { Model } from './shapley.ts';

/**
 * Response surface: least squares on every feature, its square and every product of two features. Small enough to fit in milliseconds,
 * curved enough that its Shapley values are not simply its coefficients.
 */
export function fitResponse(features: Columns, outcome: Float64Array): Model {
  const rows = outcome.length;
  const row = new Float64Array(features.length);
  const width = 1 + features.length + (features.length * (features.length + 1)) / 2;
  const columns = Array.from({ length: width }, () => new Float64Array(rows));
  const terms = new Float64Array(width);
  for (let r = 0; r < rows; r++) {
    for (let f = 0; f < features.length; f++) row[f] = (features[f] as Float64Array)[r] as number;
    expand(row, terms);
    for (let c = 0; c < width; c++) (columns[c] as Float64Array)[r] = terms[c] as number;
  }
  const { coefficients } = leastSquares(columns, outcome);
  return (individual) => {
    expand(individual, terms);
    let sum = 0;
    for (let c = 0; c < width; c++) sum += (coefficients[c] as number) * (terms[c] as number);
    return sum;
  };
}

function expand(row: Float64Array, terms: Float64Array): void {
  let next = 0;
  terms[next++] = 1;
  for (let i = 0; i < row.length; i++) terms[next++] = row[i] as number;
  for (let i = 0; i < row.length; i++) for (let j = i; j < row.length; j++) terms[next++] = (row[i] as number) * (row[j] as number);
}
