import type { Need, Tier, WorkerPhase } from '../../autoscale/model.ts';
import { EventQueue } from './event-queue.ts';
import { Fifo } from './fifo.ts';
import { type EngineTimes, HOUR_MS, type Jobs, MEASURED, type Scenario, type Workload } from './model.ts';
import type { Series, TierSeries } from './series.ts';

/** Decides in virtual time what the host does. It is told of changes and asks to be woken; it never sees a job before it has arrived. */
export interface Policy {
  name: string;
  begin(world: World): void;
  /** A job arrived, began, ended or came back. Called very often. */
  queueChanged?(tier: VirtualTier): void;
  /** Ready, thawed, or gone (it is in no list any more). */
  workerChanged?(worker: VirtualWorker): void;
  /** A time it asked for with wakeAt. */
  wake(token: number): void;
}

export interface VirtualWorker {
  readonly tier: VirtualTier;
  /** Place in the world's table; used again by a later worker. */
  readonly index: number;
  /** Different for each container that ever was. */
  serial: number;
  /** Compose's container number: the lowest that is free. */
  number: number;
  phase: WorkerPhase | 'gone';
  sinceMs: number;
  /** Jobs that run on it. */
  jobs: number[];
  /** Jobs that the broker handed to it while it was frozen. */
  held: number[];
  /** Told to stop and has nothing left to do. */
  exiting: boolean;
  /** Entries of the tier's free slots with another stamp are void. */
  stamp: number;
  /** When it is to be kept as a stopped container after it has drained. */
  keep: boolean;
}

export interface VirtualTier {
  readonly index: number;
  readonly tier: Tier;
  readonly need: Need;
  /** All containers that exist, stopped and frozen ones included. */
  readonly workers: VirtualWorker[];
  /** Jobs that are ready to be taken. */
  readonly queue: Fifo;
  running: number;
  /** Jobs that wait for their next attempt, by the time they are due. */
  readonly delayedMs: number[];
  readonly counts: TierCounts;
  readonly slots: Fifo;
  /** Containers that hold CPU, and those that hold memory; booting and draining ones included. */
  withCpu: number;
  withMemory: number;
  cpuWorkerMs: number;
  memoryWorkerMs: number;
  ledgerMs: number;
  /** Jobs waiting, times how long. */
  waitingJobMs: number;
  queueMs: number;
  stoppedAtMs: number;
}

export interface TierCounts {
  arrived: number;
  ended: number;
  failed: number;
  /** Containers created or started. */
  starts: number;
  thaws: number;
  /** Workers that were killed with a job on them, and the work they had done on those jobs. */
  kills: number;
  lostMs: number;
  redelivered: number;
  /** A start within a minute after a stop of the same tier. */
  flaps: number;
  /** What the host had no room for, or what cannot be done to a worker as it is. */
  refused: number;
  peakWorkers: number;
}

export interface Run {
  scenario: Scenario;
  workload: Workload;
  policy: string;
  tiers: VirtualTier[];
  /** From arrival to the start of the run that ended the job; NaN while it has not started. By job. */
  waitMs: Float64Array;
  endedMs: number;
  /** Jobs that had not ended when the simulation was cut off. */
  unfinished: number;
  /** Arrivals, starts and ends. */
  jobEvents: number;
  peakCpus: number;
  peakMemoryBytes: number;
  series: Series;
}

export interface WorldOptions {
  times?: EngineTimes;
  /** Steps of the series. */
  steps?: number;
  /** How long after the workload's end the last jobs may take before the run is cut off: a quarter of it, at least an hour. */
  overtimeMs?: number;
}

const ARRIVE_AGAIN = 0;
const END = 1;
const READY = 2;
const THAWED = 3;
const KILL = 4;
const GONE = 5;
const WAKE = 6;

const FLAP_MS = 60_000;

/** One host with its containers, brokers and jobs in virtual time. The engine refuses what does not fit the budget, whoever asks. */
export class World {
  readonly scenario: Scenario;
  readonly times: EngineTimes;
  readonly tiers: VirtualTier[];
  nowMs = 0;
  cpus = 0;
  memoryBytes = 0;

  readonly #workload: Workload;
  readonly #jobs: Jobs;
  readonly #policy: Policy;
  readonly #events = new EventQueue();
  readonly #workers: VirtualWorker[] = [];
  readonly #freePlaces: number[] = [];
  readonly #waitMs: Float64Array;
  readonly #startedMs: Float64Array;
  readonly #attempts: Uint8Array;
  readonly #overtimeMs: number;
  readonly #stepMs: number;
  readonly #series: TierSeries[];
  #stepEndMs: number;
  #stepBase: { cpu: number; memory: number; waiting: number }[];
  #serial = 0;
  #open = 0;
  #jobEvents = 0;
  #peakCpus = 0;
  #peakMemoryBytes = 0;

  constructor(scenario: Scenario, workload: Workload, policy: Policy, options: WorldOptions = {}) {
    this.scenario = scenario;
    this.times = options.times ?? MEASURED;
    this.#workload = workload;
    this.#jobs = workload.jobs;
    this.#policy = policy;
    this.#overtimeMs = options.overtimeMs ?? Math.max(HOUR_MS, workload.durationMs / 4);
    this.#waitMs = new Float64Array(workload.jobs.count).fill(Number.NaN);
    this.#startedMs = new Float64Array(workload.jobs.count);
    this.#attempts = new Uint8Array(workload.jobs.count);
    this.#stepMs = workload.durationMs / (options.steps ?? 288);
    this.#stepEndMs = this.#stepMs;
    this.#series = scenario.tiers.map(() => ({ waiting: [], workers: [], frozen: [] }));
    this.#stepBase = scenario.tiers.map(() => ({ cpu: 0, memory: 0, waiting: 0 }));
    this.tiers = scenario.tiers.map((tier, index) => ({
      index,
      tier,
      need: tier.need,
      workers: [],
      queue: new Fifo(),
      running: 0,
      delayedMs: [],
      counts: {
        arrived: 0,
        ended: 0,
        failed: 0,
        starts: 0,
        thaws: 0,
        kills: 0,
        lostMs: 0,
        redelivered: 0,
        flaps: 0,
        refused: 0,
        peakWorkers: 0,
      },
      slots: new Fifo(),
      withCpu: 0,
      withMemory: 0,
      cpuWorkerMs: 0,
      memoryWorkerMs: 0,
      ledgerMs: 0,
      waitingJobMs: 0,
      queueMs: 0,
      stoppedAtMs: Number.NEGATIVE_INFINITY,
    }));
  }

  /** Plays the workload to its end. */
  run(): Run {
    const { atMs, count } = this.#jobs;
    const endMs = this.#workload.durationMs;
    const cutMs = endMs + this.#overtimeMs;
    let arriving = 0;
    this.#policy.begin(this);
    for (;;) {
      const arrivalMs = arriving < count ? (atMs[arriving] as number) : Number.POSITIVE_INFINITY;
      const eventMs = this.#events.nextMs;
      const nextMs = Math.min(arrivalMs, eventMs);
      if (arriving === count && this.#open === 0 && nextMs >= endMs) break;
      if (nextMs > cutMs) break;
      this.nowMs = nextMs;
      if (nextMs >= this.#stepEndMs) this.#closeSteps(nextMs);
      if (arrivalMs <= eventMs) {
        this.#open += 1;
        this.#arrive(arriving++);
      } else this.#handle();
    }
    // Work that ended after the period, or was cut off, was paid for as long as it took.
    this.nowMs = Math.max(endMs, this.nowMs);
    this.#closeSteps(this.nowMs);
    for (const tier of this.tiers) this.#settle(tier);
    return {
      scenario: this.scenario,
      workload: this.#workload,
      policy: this.#policy.name,
      tiers: this.tiers,
      waitMs: this.#waitMs,
      endedMs: this.nowMs,
      unfinished: this.#open + (count - arriving),
      jobEvents: this.#jobEvents,
      peakCpus: this.#peakCpus,
      peakMemoryBytes: this.#peakMemoryBytes,
      series: { stepMs: this.#stepMs, tiers: this.#series },
    };
  }

  /** Calls the policy's wake(token) at a time to come. */
  wakeAt(atMs: number, token: number): void {
    this.#events.add(Math.max(atMs, this.nowMs), WAKE, token);
  }

  fits(tier: VirtualTier): boolean {
    return this.#hasCpu(tier) && this.memoryBytes + tier.need.memoryBytes <= this.scenario.budget.memoryBytes;
  }

  /** Creates and starts a container; undefined when the host has no room for it. */
  create(tier: VirtualTier): VirtualWorker | undefined {
    if (!this.fits(tier)) {
      tier.counts.refused += 1;
      return undefined;
    }
    const worker = this.#newWorker(tier);
    this.#boot(worker);
    return worker;
  }

  /** Starts a stopped container; false when the host has no room or it is not stopped. */
  start(worker: VirtualWorker): boolean {
    if (worker.phase !== 'stopped' || !this.fits(worker.tier)) return this.#refuse(worker);
    this.#boot(worker);
    return true;
  }

  /** False when it runs a job or does not run. */
  freeze(worker: VirtualWorker): boolean {
    if (worker.phase !== 'running' || worker.jobs.length > 0) return this.#refuse(worker);
    this.#enter(worker, 'frozen');
    this.#reserve(worker.tier, -1, 0);
    return true;
  }

  /** False when there is no CPU for it or it is not frozen. */
  thaw(worker: VirtualWorker): boolean {
    if (worker.phase !== 'frozen' || !this.#hasCpu(worker.tier)) return this.#refuse(worker);
    worker.tier.counts.thaws += 1;
    // Its CPU is taken from the call on; it runs, and takes what it was handed, when the call returns.
    this.#enter(worker, 'starting');
    this.#reserve(worker.tier, 1, 0);
    this.#events.add(this.nowMs + this.times.thawMs, THAWED, worker.index, worker.serial);
    return true;
  }

  /** One signal: it takes no more jobs and goes after those it has; after `graceMs` it is killed. A frozen worker cannot hear it: false. */
  drain(worker: VirtualWorker, options: { graceMs?: number; keep?: boolean } = {}): boolean {
    if (worker.phase !== 'running' && worker.phase !== 'starting') return this.#refuse(worker);
    this.#enter(worker, 'draining');
    worker.stamp += 1;
    worker.keep = options.keep ?? false;
    worker.tier.stoppedAtMs = this.nowMs;
    this.#giveBack(worker.held);
    if (worker.jobs.length === 0) this.#exit(worker);
    else if (options.graceMs !== undefined) this.#events.add(this.nowMs + options.graceMs, KILL, worker.index, worker.serial);
    return true;
  }

  /** Removes a stopped or frozen container; false for any other. */
  remove(worker: VirtualWorker): boolean {
    if (worker.phase !== 'stopped' && worker.phase !== 'frozen') return this.#refuse(worker);
    if (worker.phase === 'frozen') this.#reserve(worker.tier, 0, -1);
    this.#giveBack(worker.held);
    this.#forget(worker);
    return true;
  }

  #handle(): void {
    const events = this.#events;
    events.pop();
    const { kind, a, b, c } = events;
    if (kind === WAKE) {
      this.#policy.wake(a);
      return;
    }
    if (kind === ARRIVE_AGAIN) {
      this.tiers[this.#jobs.tier[a] as number]?.delayedMs.shift();
      this.#enqueue(a, false);
      return;
    }
    const worker = this.#workers[kind === END ? b : a] as VirtualWorker;
    if (worker.serial !== (kind === END ? c : b)) return;
    if (kind === END) this.#end(a, worker);
    else if (kind === KILL) this.#kill(worker);
    else if (kind === GONE) this.#leave(worker);
    else if (worker.phase === 'starting') this.#runs(worker, kind === READY);
  }

  #arrive(job: number): void {
    const tier = this.tiers[this.#jobs.tier[job] as number] as VirtualTier;
    tier.counts.arrived += 1;
    this.#jobEvents += 1;
    this.#enqueue(job, false);
  }

  #enqueue(job: number, front: boolean): void {
    const tier = this.tiers[this.#jobs.tier[job] as number] as VirtualTier;
    this.#settleQueue(tier);
    if (front) tier.queue.unshift(job);
    else tier.queue.push(job);
    this.#deal(tier);
    this.#policy.queueChanged?.(tier);
  }

  /** The broker serves the slot that has waited longest, frozen or not. */
  #deal(tier: VirtualTier): void {
    while (tier.queue.size > 0 && tier.slots.size > 0) {
      const worker = this.#workers[tier.slots.shift()] as VirtualWorker;
      if (worker.stamp !== tier.slots.shift()) continue;
      const job = tier.queue.shift();
      if (worker.phase === 'running') this.#begin(job, worker);
      else worker.held.push(job);
    }
  }

  #begin(job: number, worker: VirtualWorker): void {
    const now = this.nowMs;
    worker.jobs.push(job);
    worker.tier.running += 1;
    this.#startedMs[job] = now;
    if (this.#attempts[job] === 0) this.#waitMs[job] = now - (this.#jobs.atMs[job] as number);
    this.#jobEvents += 1;
    this.#events.add(now + (this.#jobs.serviceMs[job] as number), END, job, worker.index, worker.serial);
  }

  #end(job: number, worker: VirtualWorker): void {
    const { tier } = worker;
    const place = worker.jobs.indexOf(job);
    worker.jobs[place] = worker.jobs[worker.jobs.length - 1] as number;
    worker.jobs.pop();
    tier.running -= 1;
    this.#jobEvents += 1;
    const attempts = (this.#attempts[job] as number) + 1;
    this.#attempts[job] = attempts;
    if (this.#jobs.poison[job] === 1 && attempts < this.#workload.retry.attempts) {
      const dueMs = this.nowMs + this.#workload.retry.delayMs;
      tier.delayedMs.push(dueMs);
      this.#events.add(dueMs, ARRIVE_AGAIN, job);
    } else {
      this.#open -= 1;
      tier.counts.ended += 1;
      if (this.#jobs.poison[job] === 1) tier.counts.failed += 1;
    }
    if (worker.phase === 'running') this.#offerSlots(worker, 1);
    else if (worker.jobs.length === 0) this.#exit(worker);
    this.#policy.queueChanged?.(tier);
  }

  #offerSlots(worker: VirtualWorker, count: number): void {
    for (let slot = 0; slot < count; slot += 1) {
      worker.tier.slots.push(worker.index);
      worker.tier.slots.push(worker.stamp);
    }
    this.#settleQueue(worker.tier);
    this.#deal(worker.tier);
  }

  #runs(worker: VirtualWorker, booted: boolean): void {
    this.#enter(worker, 'running');
    for (const job of worker.held.splice(0)) this.#begin(job, worker);
    if (booted) this.#offerSlots(worker, worker.tier.tier.concurrency);
    this.#policy.workerChanged?.(worker);
    if (worker.jobs.length > 0) this.#policy.queueChanged?.(worker.tier);
  }

  #kill(worker: VirtualWorker): void {
    if (worker.phase !== 'draining' || worker.exiting) return;
    const { counts } = worker.tier;
    counts.kills += 1;
    for (const job of worker.jobs) counts.lostMs += this.nowMs - (this.#startedMs[job] as number);
    counts.redelivered += worker.jobs.length;
    worker.tier.running -= worker.jobs.length;
    const jobs = worker.jobs.splice(0);
    // The events of its jobs find another serial.
    worker.serial = this.#serial++;
    this.#leave(worker);
    for (const job of jobs) this.#enqueue(job, true);
  }

  #exit(worker: VirtualWorker): void {
    worker.exiting = true;
    this.#events.add(this.nowMs + this.times.exitMs, GONE, worker.index, worker.serial);
  }

  #leave(worker: VirtualWorker): void {
    this.#reserve(worker.tier, -1, -1);
    if (worker.keep) {
      worker.serial = this.#serial++;
      this.#enter(worker, 'stopped');
    } else this.#forget(worker);
    this.#policy.workerChanged?.(worker);
  }

  #giveBack(held: number[]): void {
    for (const job of held.splice(0).reverse()) this.#enqueue(job, true);
  }

  #boot(worker: VirtualWorker): void {
    const { tier } = worker;
    tier.counts.starts += 1;
    if (this.nowMs - tier.stoppedAtMs < FLAP_MS) tier.counts.flaps += 1;
    worker.exiting = false;
    this.#enter(worker, 'starting');
    this.#reserve(tier, 1, 1);
    tier.counts.peakWorkers = Math.max(tier.counts.peakWorkers, tier.withCpu);
    this.#events.add(this.nowMs + tier.tier.bootMs, READY, worker.index, worker.serial);
  }

  #newWorker(tier: VirtualTier): VirtualWorker {
    const taken = new Set(tier.workers.map(({ number }) => number));
    let number = 1;
    while (taken.has(number)) number += 1;
    const index = this.#freePlaces.pop() ?? this.#workers.length;
    const worker: VirtualWorker = {
      tier,
      index,
      serial: this.#serial++,
      number,
      phase: 'stopped',
      sinceMs: this.nowMs,
      jobs: [],
      held: [],
      exiting: false,
      // A place that is used again must not answer for slots of its last worker.
      stamp: (this.#workers[index]?.stamp ?? 0) + 1,
      keep: false,
    };
    this.#workers[index] = worker;
    tier.workers.push(worker);
    return worker;
  }

  #forget(worker: VirtualWorker): void {
    this.#enter(worker, 'gone');
    worker.serial = this.#serial++;
    worker.stamp += 1;
    worker.tier.workers.splice(worker.tier.workers.indexOf(worker), 1);
    this.#freePlaces.push(worker.index);
  }

  #enter(worker: VirtualWorker, phase: VirtualWorker['phase']): void {
    worker.phase = phase;
    worker.sinceMs = this.nowMs;
  }

  #refuse(worker: VirtualWorker): false {
    worker.tier.counts.refused += 1;
    return false;
  }

  #hasCpu(tier: VirtualTier): boolean {
    // Sums of fractions of a core must not refuse the last one that fits.
    return this.cpus + tier.need.cpus <= this.scenario.budget.cpus + 1e-9;
  }

  #reserve(tier: VirtualTier, cpu: number, memory: number): void {
    this.#settle(tier);
    tier.withCpu += cpu;
    tier.withMemory += memory;
    this.cpus = 0;
    this.memoryBytes = 0;
    for (const { withCpu, withMemory, need } of this.tiers) {
      this.cpus += withCpu * need.cpus;
      this.memoryBytes += withMemory * need.memoryBytes;
    }
    this.#peakCpus = Math.max(this.#peakCpus, this.cpus);
    this.#peakMemoryBytes = Math.max(this.#peakMemoryBytes, this.memoryBytes);
  }

  /** Before the queue's length changes. */
  #settleQueue(tier: VirtualTier): void {
    tier.waitingJobMs += tier.queue.size * (this.nowMs - tier.queueMs);
    tier.queueMs = this.nowMs;
  }

  #settle(tier: VirtualTier): void {
    const ms = this.nowMs - tier.ledgerMs;
    tier.cpuWorkerMs += tier.withCpu * ms;
    tier.memoryWorkerMs += tier.withMemory * ms;
    tier.ledgerMs = this.nowMs;
  }

  #closeSteps(untilMs: number): void {
    const nowMs = this.nowMs;
    while (this.#stepEndMs <= untilMs) {
      this.nowMs = this.#stepEndMs;
      for (const tier of this.tiers) {
        this.#settle(tier);
        this.#settleQueue(tier);
        const series = this.#series[tier.index] as TierSeries;
        const base = this.#stepBase[tier.index] as { cpu: number; memory: number; waiting: number };
        const workers = (tier.cpuWorkerMs - base.cpu) / this.#stepMs;
        series.waiting.push((tier.waitingJobMs - base.waiting) / this.#stepMs);
        series.workers.push(workers);
        series.frozen.push((tier.memoryWorkerMs - base.memory) / this.#stepMs - workers);
        this.#stepBase[tier.index] = { cpu: tier.cpuWorkerMs, memory: tier.memoryWorkerMs, waiting: tier.waitingJobMs };
      }
      this.#stepEndMs += this.#stepMs;
    }
    this.nowMs = nowMs;
  }
}
