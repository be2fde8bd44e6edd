import type { Policy } from '../world/model.ts';
import { highestNumber, type ReplicaSet, reconcile } from './replica-set.ts';

/** `replicas` workers of every tier for ever, or as many as a tier may have; in turn, while the host has room. */
export function fixed(replicas: number | 'max'): Policy {
  return {
    name: `fixed:${replicas}`,
    begin(world) {
      const sets: ReplicaSet[] = world.tiers.map((tier) => ({
        tier,
        wanted: replicas === 'max' ? tier.tier.max : Math.min(replicas, tier.tier.max),
      }));
      reconcile(world, sets, highestNumber, undefined);
    },
    wake() {},
  };
}
