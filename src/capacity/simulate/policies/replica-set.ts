import type { VirtualHost, VirtualTier, VirtualWorker } from '../world/model.ts';

/** A count that is kept for one tier, as a ReplicaSet or `compose up --scale` keeps it. */
export interface ReplicaSet {
  tier: VirtualTier;
  wanted: number;
}

/** Which worker goes, of those that have not been told to stop. */
export type ChooseVictim = (workers: VirtualWorker[]) => VirtualWorker;

export const highestNumber: ChooseVictim = (workers) => workers.reduce((last, worker) => (worker.number > last.number ? worker : last));

export const randomVictim =
  (random: () => number): ChooseVictim =>
  (workers) =>
    workers[Math.floor(random() * workers.length)] as VirtualWorker;

const alive = (tier: VirtualTier): VirtualWorker[] => tier.workers.filter(({ phase }) => phase === 'starting' || phase === 'running');

export const count = (set: ReplicaSet): number => alive(set.tier).length;

/** Removes what is too much, busy or not; then starts what is missing, one of each set in turn, as far as the host has room. */
export function reconcile(world: VirtualHost, sets: ReplicaSet[], choose: ChooseVictim, graceMs: number | undefined): void {
  for (const { tier, wanted } of sets) {
    const workers = alive(tier);
    while (workers.length > wanted) {
      const victim = choose(workers);
      workers.splice(workers.indexOf(victim), 1);
      world.drain(victim, graceMs === undefined ? {} : { graceMs });
    }
  }
  for (let started = true; started; ) {
    started = false;
    for (const set of sets) {
      if (count(set) >= set.wanted || !world.fits(set.tier)) continue;
      world.create(set.tier);
      started = true;
    }
  }
}
