import type { Work } from './drive.ts';
import { leastSquares } from './linear.ts';
import { createRandom } from './random.ts';
import type { Observations } from './trial.ts';

export interface Refutation {
  effect: number;
  standardError: number;
  /** Percentile bootstrap, 95 %. */
  interval: { low: number; high: number };
  /** The treatment shuffled among the individuals: an honest estimator then finds nothing. */
  placebo: { mean: number; spread: number; pValue: number };
  /** A made-up cause added to the adjustment: an honest estimate then hardly moves. */
  randomCommonCause: { effect: number; change: number };
  /** True: the effect is not zero, the placebo finds none, and a random cause does not move it. */
  holds: boolean;
}

export interface RefutationOptions {
  bootstraps: number;
  placebos: number;
  seed: number;
}

/** Average treatment effect by regression adjustment: the treatment's coefficient beside the confounders. */
export function estimateEffect(
  { treatment, outcome, confounders }: Observations,
  weights?: Float64Array,
): { effect: number; standardError: number } {
  const ones = new Float64Array(outcome.length).fill(1);
  const fit = leastSquares([ones, treatment, ...confounders], outcome, weights);
  return { effect: fit.coefficients[1] as number, standardError: fit.standardErrors[1] as number };
}

/** Estimates the effect and then tries to prove it wrong in three ways. */
export function* refute(data: Observations, { bootstraps, placebos, seed }: RefutationOptions): Work<Refutation> {
  const random = createRandom(seed);
  const rows = data.outcome.length;
  const steps = bootstraps + placebos + 1;
  const { effect, standardError } = estimateEffect(data);

  const resampled = new Float64Array(bootstraps);
  const weights = new Float64Array(rows);
  for (let i = 0; i < bootstraps; i++) {
    weights.fill(0);
    for (let draw = 0; draw < rows; draw++) {
      const row = random.below(rows);
      weights[row] = (weights[row] as number) + 1;
    }
    resampled[i] = estimateEffect(data, weights).effect;
    yield (i + 1) / steps;
  }
  resampled.sort();

  const shuffled = Float64Array.from(data.treatment);
  const placeboEffects = new Float64Array(placebos);
  let asExtreme = 0;
  for (let i = 0; i < placebos; i++) {
    random.shuffle(shuffled);
    const placebo = estimateEffect({ ...data, treatment: shuffled }).effect;
    placeboEffects[i] = placebo;
    if (Math.abs(placebo) >= Math.abs(effect)) asExtreme++;
    yield (bootstraps + i + 1) / steps;
  }
  const mean = placeboEffects.reduce((sum, value) => sum + value, 0) / placebos;
  const spread = Math.sqrt(placeboEffects.reduce((sum, value) => sum + (value - mean) ** 2, 0) / Math.max(1, placebos - 1));

  const cause = Float64Array.from({ length: rows }, () => random.normal());
  const withCause = estimateEffect({ ...data, confounders: [...data.confounders, cause] }).effect;
  yield 1;

  const interval = { low: quantile(resampled, 0.025), high: quantile(resampled, 0.975) };
  // One is added on both sides: a p-value from finitely many shuffles is never zero.
  const pValue = (asExtreme + 1) / (placebos + 1);
  const change = Math.abs(withCause - effect);
  const excludesZero = interval.low > 0 || interval.high < 0;
  return {
    effect,
    standardError,
    interval,
    placebo: { mean, spread, pValue },
    randomCommonCause: { effect: withCause, change },
    holds: excludesZero && pValue < 0.05 && change < 2 * standardError,
  };
}

/** Linear interpolation between the sorted values, `share` from 0 to 1. */
export function quantile(sorted: Float64Array, share: number): number {
  const position = share * (sorted.length - 1);
  const below = Math.floor(position);
  const low = sorted[below] as number;
  const high = sorted[Math.min(below + 1, sorted.length - 1)] as number;
  return low + (position - below) * (high - low);
}
