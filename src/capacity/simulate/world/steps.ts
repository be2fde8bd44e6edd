import type { Series, TierSeries } from '../series.ts';
import { settle, settleQueue } from './ledger.ts';
import type { VirtualTier } from './model.ts';

/** The series of a run while it grows. */
export interface Steps {
  series: Series;
  endMs: number;
  /** What each tier's sums were when the present step began. */
  base: { cpu: number; memory: number; waiting: number }[];
}

export function openSteps(stepMs: number, tiers: number): Steps {
  const each = Array.from({ length: tiers });
  return {
    series: { stepMs, tiers: each.map((): TierSeries => ({ waiting: [], workers: [], frozen: [] })) },
    endMs: stepMs,
    base: each.map(() => ({ cpu: 0, memory: 0, waiting: 0 })),
  };
}

/** Closes the steps that have ended by `untilMs`: what it was is what it has been since the last event. */
export function closeSteps(steps: Steps, tiers: readonly VirtualTier[], untilMs: number): void {
  const { stepMs, tiers: series } = steps.series;
  while (steps.endMs <= untilMs) {
    for (const tier of tiers) {
      settle(tier, steps.endMs);
      settleQueue(tier, steps.endMs);
      const { waiting, workers, frozen } = series[tier.index] as TierSeries;
      const base = steps.base[tier.index] as Steps['base'][number];
      const busy = (tier.cpuWorkerMs - base.cpu) / stepMs;
      waiting.push((tier.waitingJobMs - base.waiting) / stepMs);
      workers.push(busy);
      frozen.push((tier.memoryWorkerMs - base.memory) / stepMs - busy);
      steps.base[tier.index] = { cpu: tier.cpuWorkerMs, memory: tier.memoryWorkerMs, waiting: tier.waitingJobMs };
    }
    steps.endMs += stepMs;
  }
}
