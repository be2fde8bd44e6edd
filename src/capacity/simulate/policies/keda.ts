import type { ScalingRules } from '../../../autoscale/model.ts';
import { seededRandom } from '../random.ts';
import type { Policy, VirtualHost, VirtualTier } from '../world/model.ts';
import { freshMemory, HPA_DEFAULTS, type HpaMemory, recommend, syncHpa } from './hpa.ts';
import { type ChooseVictim, type ReplicaSet, randomVictim, reconcile } from './replica-set.ts';

export interface KedaOptions {
  pollingMs: number;
  cooldownMs: number;
  /** Jobs that one worker is to have: the scaler's listLength. */
  target: number;
  /** The metric counts running jobs too; a list's length does not. */
  inFlight: boolean;
  syncMs: number;
  behavior: { scaleUp: ScalingRules; scaleDown: ScalingRules };
  /** terminationGracePeriodSeconds; undefined: without end. */
  graceMs?: number;
  seed: number;
}

export const KEDA: KedaOptions = {
  pollingMs: 30_000,
  cooldownMs: 300_000,
  target: 5,
  inFlight: false,
  syncMs: 15_000,
  behavior: HPA_DEFAULTS,
  graceMs: 30_000,
  seed: 1,
};

const downWindow = (ms: number): KedaOptions['behavior'] => ({
  scaleUp: HPA_DEFAULTS.scaleUp,
  scaleDown: { ...HPA_DEFAULTS.scaleDown, stabilizationWindowMs: ms },
});

/** Polls each 5 s, a minute to calm down, one job a worker, running jobs counted. */
export const KEDA_TUNED: KedaOptions = {
  ...KEDA,
  pollingMs: 5000,
  cooldownMs: 60_000,
  target: 1,
  inFlight: true,
  behavior: downWindow(60_000),
};

const POLL = 0;
const SYNC = 1;

/** What KEDA remembers of one ScaledObject. */
interface ScaledObject extends ReplicaSet {
  activeMs: number;
  memory: HpaMemory;
}

/**
 * KEDA's loop between 0 and 1, the HorizontalPodAutoscaler above, a ReplicaSet that removes a worker at random: SIGTERM, grace, SIGKILL, and the
 * broker delivers again. Scheduling takes no time here, which flatters it; what does not fit the host is pending until something ends.
 */
export function keda(name = 'keda', options: KedaOptions = KEDA): Policy {
  let world: VirtualHost;
  let objects: ScaledObject[] = [];
  const choose: ChooseVictim = randomVictim(seededRandom(options.seed));
  const metric = (tier: VirtualTier): number => tier.queue.size + (options.inFlight ? tier.running : 0);
  const apply = (): void => reconcile(world, objects, choose, options.graceMs);
  return {
    name,
    begin(given) {
      world = given;
      objects = world.tiers.map((tier) => ({ tier, wanted: tier.tier.min, activeMs: 0, memory: freshMemory() }));
      apply();
      world.wakeAt(0, POLL);
      world.wakeAt(options.syncMs, SYNC);
    },
    workerChanged(worker) {
      if (worker.phase === 'gone') apply();
    },
    wake(token) {
      const now = world.nowMs;
      if (token === POLL) {
        for (const object of objects) {
          const { min } = object.tier.tier;
          if (metric(object.tier) > 0) {
            object.activeMs = now;
            if (object.wanted === 0) object.wanted = Math.max(1, min);
          } else if (now - object.activeMs > options.cooldownMs) object.wanted = min;
        }
        apply();
        world.wakeAt(now + options.pollingMs, POLL);
        return;
      }
      for (const object of objects) {
        if (object.wanted === 0) continue;
        const { min, max } = object.tier.tier;
        const recommended = recommend(metric(object.tier), options.target, object.wanted, options.behavior);
        object.wanted = syncHpa(recommended, object.wanted, { min: Math.max(1, min), max }, options.behavior, object.memory, now);
      }
      apply();
      world.wakeAt(now + options.syncMs, SYNC);
    },
  };
}
