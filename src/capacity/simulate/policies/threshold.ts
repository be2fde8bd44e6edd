import type { Policy, VirtualHost } from '../world/model.ts';
import { count, highestNumber, type ReplicaSet, reconcile } from './replica-set.ts';

export interface ThresholdOptions {
  pollMs: number;
  /** Jobs in the queue from which one more worker is asked for. */
  upAt: number;
  /** Polls in a row that find the queue empty before one worker goes. */
  emptyPolls: number;
  /** docker compose: SIGTERM, then SIGKILL after stop_grace_period. */
  graceMs: number;
}

export const THRESHOLD: ThresholdOptions = { pollMs: 10_000, upAt: 1, emptyPolls: 6, graceMs: 10_000 };

/**
 * What teams write for themselves: look at the queue's length every few seconds, `docker compose up --scale` by one up when something waits and by one
 * down when it has been empty for a while. It sees no running job (the list's length does not show them), and Compose removes the highest
 * number.
 */
export function threshold(options: ThresholdOptions = THRESHOLD): Policy {
  let world: VirtualHost;
  let sets: ReplicaSet[];
  const empty: number[] = [];
  return {
    name: 'threshold',
    begin(given) {
      world = given;
      sets = world.tiers.map((tier) => ({ tier, wanted: tier.tier.min }));
      reconcile(world, sets, highestNumber, options.graceMs);
      world.wakeAt(options.pollMs, 0);
    },
    wake() {
      for (const set of sets) {
        const { tier, queue, index } = { tier: set.tier.tier, queue: set.tier.queue, index: set.tier.index };
        empty[index] = queue.size === 0 ? (empty[index] ?? 0) + 1 : 0;
        // What Compose could not start for lack of room is not asked for twice.
        set.wanted = Math.min(set.wanted, count(set));
        if (queue.size >= options.upAt) set.wanted = Math.min(tier.max, set.wanted + 1);
        else if (empty[index] >= options.emptyPolls) {
          set.wanted = Math.max(tier.min, set.wanted - 1);
          empty[index] = 0;
        }
      }
      reconcile(world, sets, highestNumber, options.graceMs);
      world.wakeAt(world.nowMs + options.pollMs, 0);
    },
  };
}
