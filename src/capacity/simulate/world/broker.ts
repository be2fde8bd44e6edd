import { exit } from './containers.ts';
import { settleQueue } from './ledger.ts';
import { ARRIVE_AGAIN, END, type Play, type VirtualTier, type VirtualWorker } from './model.ts';

const tierOf = (play: Play, job: number): VirtualTier => play.tiers[play.workload.jobs.tier[job] as number] as VirtualTier;

export function arrive(play: Play, job: number): void {
  play.open += 1;
  play.jobEvents += 1;
  tierOf(play, job).counts.arrived += 1;
  enqueue(play, job, false);
}

/** The delay of a job that failed is over. */
export function arriveAgain(play: Play, job: number): void {
  tierOf(play, job).delayedMs.shift();
  enqueue(play, job, false);
}

export function enqueue(play: Play, job: number, front: boolean): void {
  const tier = tierOf(play, job);
  settleQueue(tier, play.nowMs);
  if (front) tier.queue.unshift(job);
  else tier.queue.push(job);
  deal(play, tier);
  play.policy.queueChanged?.(tier);
}

/** What was handed to a worker that will not take it is waiting again, in its old place. */
export function giveBack(play: Play, held: number[]): void {
  for (const job of held.splice(0).reverse()) enqueue(play, job, true);
}

/** The broker serves the slot that has waited longest, frozen or not. */
function deal(play: Play, tier: VirtualTier): void {
  while (tier.queue.size > 0 && tier.slots.size > 0) {
    const worker = play.workers[tier.slots.shift()] as VirtualWorker;
    if (worker.stamp !== tier.slots.shift()) continue;
    const job = tier.queue.shift();
    if (worker.phase === 'running') begin(play, job, worker);
    else worker.held.push(job);
  }
}

/** The worker asks for so many jobs more. */
export function offerSlots(play: Play, worker: VirtualWorker, count: number): void {
  const { tier } = worker;
  for (let slot = 0; slot < count; slot += 1) {
    tier.slots.push(worker.index);
    tier.slots.push(worker.stamp);
  }
  settleQueue(tier, play.nowMs);
  deal(play, tier);
}

export function begin(play: Play, job: number, worker: VirtualWorker): void {
  const { nowMs, workload } = play;
  worker.jobs.push(job);
  worker.tier.running += 1;
  play.startedMs[job] = nowMs;
  if (play.attempts[job] === 0) play.waitMs[job] = nowMs - (workload.jobs.atMs[job] as number);
  play.jobEvents += 1;
  play.events.add(nowMs + (workload.jobs.serviceMs[job] as number), END, job, worker.index, worker.serial);
}

export function end(play: Play, job: number, worker: VirtualWorker): void {
  const { tier } = worker;
  const place = worker.jobs.indexOf(job);
  worker.jobs[place] = worker.jobs[worker.jobs.length - 1] as number;
  worker.jobs.pop();
  tier.running -= 1;
  play.jobEvents += 1;
  settleJob(play, job, tier);
  if (worker.phase === 'running') offerSlots(play, worker, 1);
  else if (worker.jobs.length === 0) exit(play, worker);
  play.policy.queueChanged?.(tier);
}

/** It is done, or has failed and waits for its next attempt. */
function settleJob(play: Play, job: number, tier: VirtualTier): void {
  const { jobs, retry } = play.workload;
  const attempts = (play.attempts[job] as number) + 1;
  play.attempts[job] = attempts;
  const failed = jobs.poison[job] === 1;
  if (failed && attempts < retry.attempts) {
    const dueMs = play.nowMs + retry.delayMs;
    tier.delayedMs.push(dueMs);
    play.events.add(dueMs, ARRIVE_AGAIN, job);
    return;
  }
  play.open -= 1;
  tier.counts.ended += 1;
  if (failed) tier.counts.failed += 1;
}
