import { GONE, type Play, type VirtualTier, type VirtualWorker } from './model.ts';

/** A container that exists and does not run yet. */
export function addContainer(play: Play, tier: VirtualTier): VirtualWorker {
  const taken = new Set(tier.workers.map(({ number }) => number));
  let number = 1;
  while (taken.has(number)) number += 1;
  const index = play.freePlaces.pop() ?? play.workers.length;
  const worker: VirtualWorker = {
    tier,
    index,
    serial: play.nextSerial++,
    number,
    phase: 'stopped',
    sinceMs: play.nowMs,
    jobs: [],
    held: [],
    exiting: false,
    // A place that is used again must not answer for slots of its last worker.
    stamp: (play.workers[index]?.stamp ?? 0) + 1,
    keep: false,
  };
  play.workers[index] = worker;
  tier.workers.push(worker);
  return worker;
}

export function forget(play: Play, worker: VirtualWorker): void {
  enter(play, worker, 'gone');
  worker.serial = play.nextSerial++;
  worker.stamp += 1;
  worker.tier.workers.splice(worker.tier.workers.indexOf(worker), 1);
  play.freePlaces.push(worker.index);
}

export function enter(play: Play, worker: VirtualWorker, phase: VirtualWorker['phase']): void {
  worker.phase = phase;
  worker.sinceMs = play.nowMs;
}

/** It has nothing left to do, and is gone when its process has ended. */
export function exit(play: Play, worker: VirtualWorker): void {
  worker.exiting = true;
  play.events.add(play.nowMs + play.times.exitMs, GONE, worker.index, worker.serial);
}
