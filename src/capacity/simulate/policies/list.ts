import { Failure } from '../../../kit/errors.ts';
import type { Policy } from '../world/model.ts';
import { fixed } from './fixed.ts';
import { KEDA, KEDA_TUNED, keda } from './keda.ts';
import { ours } from './ours.ts';
import { threshold } from './threshold.ts';

/** Every policy by its name on the command line. */
const POLICIES: Record<string, (seed: number) => Policy> = {
  ours,
  'fixed:max': () => fixed('max'),
  threshold: () => threshold(),
  keda: (seed) => keda('keda', { ...KEDA, seed }),
  'keda-tuned': (seed) => keda('keda-tuned', { ...KEDA_TUNED, seed }),
  'keda-patient': (seed) => keda('keda-patient', withoutKill(seed)),
};

function withoutKill(seed: number): typeof KEDA {
  const { graceMs: _, ...rest } = KEDA_TUNED;
  return { ...rest, seed };
}

export const POLICY_NAMES = ['ours', 'fixed:N', 'fixed:max', 'threshold', 'keda', 'keda-tuned', 'keda-patient'];

/** Failure USAGE for a name that is not known. */
export function policyByName(name: string, seed: number): Policy {
  const replicas = /^fixed:(\d+)$/.exec(name)?.[1];
  if (replicas !== undefined) return fixed(Number(replicas));
  const make = Object.hasOwn(POLICIES, name) ? POLICIES[name] : undefined;
  if (!make) throw new Failure('USAGE', `there is no policy ${name}`, { next: `choose of ${POLICY_NAMES.join(', ')}` });
  return make(seed);
}
