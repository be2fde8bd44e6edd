/** Rows of a table, one typed array per column: `columns[c][r]`. */
export type Columns = Float64Array[];

export interface Fit {
  coefficients: Float64Array;
  /** Classical standard errors, same order as the coefficients. */
  standardErrors: Float64Array;
  /** Residual variance with n - p degrees of freedom. */
  residualVariance: number;
}

/**
 * Lower triangle L with L·Lᵀ = matrix, for a symmetric positive definite matrix in row-major order.
 * Throws RangeError when the matrix is not positive definite (for regression: columns that depend on each other).
 */
export function cholesky(matrix: Float64Array, size: number): Float64Array {
  const lower = new Float64Array(size * size);
  for (let row = 0; row < size; row++) {
    for (let column = 0; column <= row; column++) {
      let sum = at(matrix, row * size + column);
      for (let k = 0; k < column; k++) sum -= at(lower, row * size + k) * at(lower, column * size + k);
      if (row !== column) {
        lower[row * size + column] = sum / at(lower, column * size + column);
      } else {
        if (!(sum > 1e-12 * Math.abs(at(matrix, row * size + row))))
          throw new RangeError(`matrix is not positive definite at row ${row + 1}`);
        lower[row * size + row] = Math.sqrt(sum);
      }
    }
  }
  return lower;
}

/** Solves L·Lᵀ·x = right for the factor that `cholesky` gave. */
export function solveCholesky(lower: Float64Array, size: number, right: Float64Array): Float64Array {
  const x = Float64Array.from(right);
  for (let row = 0; row < size; row++) {
    let sum = at(x, row);
    for (let k = 0; k < row; k++) sum -= at(lower, row * size + k) * at(x, k);
    x[row] = sum / at(lower, row * size + row);
  }
  for (let row = size - 1; row >= 0; row--) {
    let sum = at(x, row);
    for (let k = row + 1; k < size; k++) sum -= at(lower, k * size + row) * at(x, k);
    x[row] = sum / at(lower, row * size + row);
  }
  return x;
}

/**
 * Ordinary least squares of `y` on `columns` (bring a column of ones for the intercept). `weights`, when given, count each row that often.
 * Throws RangeError with fewer rows than columns or columns that depend on each other.
 */
export function leastSquares(columns: Columns, y: Float64Array, weights?: Float64Array): Fit {
  const size = columns.length;
  const rows = y.length;
  const total = weights ? weights.reduce((sum, weight) => sum + weight, 0) : rows;
  if (total <= size) throw new RangeError(`${total} rows are too few for ${size} columns`);
  const gram = new Float64Array(size * size);
  const right = new Float64Array(size);
  for (let i = 0; i < size; i++) {
    const left = columns[i] as Float64Array;
    right[i] = dot(left, y, weights);
    for (let j = 0; j <= i; j++) {
      const value = dot(left, columns[j] as Float64Array, weights);
      gram[i * size + j] = value;
      gram[j * size + i] = value;
    }
  }
  const lower = cholesky(gram, size);
  const coefficients = solveCholesky(lower, size, right);
  let squares = 0;
  for (let row = 0; row < rows; row++) {
    let residual = at(y, row);
    for (let i = 0; i < size; i++) residual -= at(coefficients, i) * at(columns[i] as Float64Array, row);
    squares += (weights ? at(weights, row) : 1) * residual * residual;
  }
  const residualVariance = squares / (total - size);
  const standardErrors = new Float64Array(size);
  const unit = new Float64Array(size);
  for (let i = 0; i < size; i++) {
    unit.fill(0);
    unit[i] = 1;
    standardErrors[i] = Math.sqrt(residualVariance * at(solveCholesky(lower, size, unit), i));
  }
  return { coefficients, standardErrors, residualVariance };
}

function dot(a: Float64Array, b: Float64Array, weights?: Float64Array): number {
  let sum = 0;
  if (weights) for (let i = 0; i < a.length; i++) sum += at(a, i) * at(b, i) * at(weights, i);
  else for (let i = 0; i < a.length; i++) sum += at(a, i) * at(b, i);
  return sum;
}

function at(values: Float64Array, index: number): number {
  return values[index] as number;
}
