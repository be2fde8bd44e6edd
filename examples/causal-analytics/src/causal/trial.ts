import type { Columns } from './linear.ts';
import { createRandom } from './random.ts';

/** Observations of a treatment, an outcome and what both depend on. */
export interface Observations {
  /** 0 or 1 per individual. */
  treatment: Float64Array;
  outcome: Float64Array;
  confounders: Columns;
}

/**
 * Individuals whose treatment is likelier the higher the first confounder and the lower the second, which both move the outcome as well:
 * comparing plain means overstates the effect, adjusting for the confounders recovers it.
 */
export function simulateTrial({ individuals, effect, seed }: { individuals: number; effect: number; seed: number }): Observations {
  const random = createRandom(seed);
  const treatment = new Float64Array(individuals);
  const outcome = new Float64Array(individuals);
  const first = new Float64Array(individuals);
  const second = new Float64Array(individuals);
  for (let i = 0; i < individuals; i++) {
    const x = random.normal();
    const z = random.normal();
    const treated = random.uniform() < 1 / (1 + Math.exp(z / 2 - x)) ? 1 : 0;
    first[i] = x;
    second[i] = z;
    treatment[i] = treated;
    outcome[i] = effect * treated + 1.5 * x - z + random.normal();
  }
  return { treatment, outcome, confounders: [first, second] };
}
