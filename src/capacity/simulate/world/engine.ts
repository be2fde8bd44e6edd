import { begin, enqueue, giveBack, offerSlots } from './broker.ts';
import { addContainer, enter, exit, forget } from './containers.ts';
import { fits, hasCpu, reserve } from './ledger.ts';
import { type DrainOptions, KILL, type Play, READY, THAWED, type VirtualTier, type VirtualWorker } from './model.ts';

const FLAP_MS = 60_000;

// What can be asked of it; what comes of each call is said at VirtualHost.

export function create(play: Play, tier: VirtualTier): VirtualWorker | undefined {
  if (!fits(play, tier)) {
    tier.counts.refused += 1;
    return undefined;
  }
  const worker = addContainer(play, tier);
  boot(play, worker);
  return worker;
}

export function start(play: Play, worker: VirtualWorker): boolean {
  if (worker.phase !== 'stopped' || !fits(play, worker.tier)) return refuse(worker);
  boot(play, worker);
  return true;
}

export function freeze(play: Play, worker: VirtualWorker): boolean {
  if (worker.phase !== 'running' || worker.jobs.length > 0) return refuse(worker);
  enter(play, worker, 'frozen');
  reserve(play, worker.tier, -1, 0);
  return true;
}

export function thaw(play: Play, worker: VirtualWorker): boolean {
  if (worker.phase !== 'frozen' || !hasCpu(play, worker.tier)) return refuse(worker);
  worker.tier.counts.thaws += 1;
  // Its CPU is taken from the call on; it runs, and takes what it was handed, when the call returns.
  enter(play, worker, 'starting');
  reserve(play, worker.tier, 1, 0);
  play.events.add(play.nowMs + play.times.thawMs, THAWED, worker.index, worker.serial);
  return true;
}

export function drain(play: Play, worker: VirtualWorker, options: DrainOptions): boolean {
  if (worker.phase !== 'running' && worker.phase !== 'starting') return refuse(worker);
  enter(play, worker, 'draining');
  worker.stamp += 1;
  worker.keep = options.keep ?? false;
  worker.tier.stoppedAtMs = play.nowMs;
  giveBack(play, worker.held);
  if (worker.jobs.length === 0) exit(play, worker);
  else if (options.graceMs !== undefined) play.events.add(play.nowMs + options.graceMs, KILL, worker.index, worker.serial);
  return true;
}

export function remove(play: Play, worker: VirtualWorker): boolean {
  if (worker.phase !== 'stopped' && worker.phase !== 'frozen') return refuse(worker);
  if (worker.phase === 'frozen') reserve(play, worker.tier, 0, -1);
  giveBack(play, worker.held);
  forget(play, worker);
  return true;
}

function refuse(worker: VirtualWorker): false {
  worker.tier.counts.refused += 1;
  return false;
}

function boot(play: Play, worker: VirtualWorker): void {
  const { tier } = worker;
  tier.counts.starts += 1;
  if (play.nowMs - tier.stoppedAtMs < FLAP_MS) tier.counts.flaps += 1;
  worker.exiting = false;
  enter(play, worker, 'starting');
  reserve(play, tier, 1, 1);
  tier.counts.peakWorkers = Math.max(tier.counts.peakWorkers, tier.withCpu);
  play.events.add(play.nowMs + tier.tier.bootMs, READY, worker.index, worker.serial);
}

// What happens later.

/** It is ready, or thawed: it works on what it was handed while it was frozen, and a worker that has booted asks for its first jobs. */
export function runs(play: Play, worker: VirtualWorker, booted: boolean): void {
  enter(play, worker, 'running');
  for (const job of worker.held.splice(0)) begin(play, job, worker);
  if (booted) offerSlots(play, worker, worker.tier.tier.concurrency);
  play.policy.workerChanged?.(worker);
  if (worker.jobs.length > 0) play.policy.queueChanged?.(worker.tier);
}

/** Its grace is over: what it still worked on is lost and delivered again. */
export function kill(play: Play, worker: VirtualWorker): void {
  if (worker.phase !== 'draining' || worker.exiting) return;
  const { counts } = worker.tier;
  counts.kills += 1;
  for (const job of worker.jobs) counts.lostMs += play.nowMs - (play.startedMs[job] as number);
  counts.redelivered += worker.jobs.length;
  worker.tier.running -= worker.jobs.length;
  const jobs = worker.jobs.splice(0);
  // The events of its jobs find another serial.
  worker.serial = play.nextSerial++;
  leave(play, worker);
  for (const job of jobs) enqueue(play, job, true);
}

/** Its process has ended. */
export function leave(play: Play, worker: VirtualWorker): void {
  reserve(play, worker.tier, -1, -1);
  if (worker.keep) {
    worker.serial = play.nextSerial++;
    enter(play, worker, 'stopped');
  } else forget(play, worker);
  play.policy.workerChanged?.(worker);
}
