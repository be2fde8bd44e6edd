import type { Play, VirtualTier } from './model.ts';

export const fits = (play: Play, tier: VirtualTier): boolean =>
  hasCpu(play, tier) && play.memoryBytes + tier.need.memoryBytes <= play.scenario.budget.memoryBytes;

export function hasCpu({ cpus, scenario }: Play, tier: VirtualTier): boolean {
  // Sums of fractions of a core must not refuse the last one that fits.
  return cpus + tier.need.cpus <= scenario.budget.cpus + 1e-9;
}

/** So many more containers of the tier hold CPU, and memory. */
export function reserve(play: Play, tier: VirtualTier, cpu: number, memory: number): void {
  settle(tier, play.nowMs);
  tier.withCpu += cpu;
  tier.withMemory += memory;
  play.cpus = 0;
  play.memoryBytes = 0;
  for (const { withCpu, withMemory, need } of play.tiers) {
    play.cpus += withCpu * need.cpus;
    play.memoryBytes += withMemory * need.memoryBytes;
  }
  play.peakCpus = Math.max(play.peakCpus, play.cpus);
  play.peakMemoryBytes = Math.max(play.peakMemoryBytes, play.memoryBytes);
}

/** Books what the tier's containers have held until now. */
export function settle(tier: VirtualTier, nowMs: number): void {
  const ms = nowMs - tier.ledgerMs;
  tier.cpuWorkerMs += tier.withCpu * ms;
  tier.memoryWorkerMs += tier.withMemory * ms;
  tier.ledgerMs = nowMs;
}

/** Books how long the tier's jobs have waited until now. Before the queue's length changes. */
export function settleQueue(tier: VirtualTier, nowMs: number): void {
  tier.waitingJobMs += tier.queue.size * (nowMs - tier.queueMs);
  tier.queueMs = nowMs;
}
