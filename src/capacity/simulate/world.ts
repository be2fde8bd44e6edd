import { EventQueue } from './event-queue.ts';
import { Fifo } from './fifo.ts';
import { type EngineTimes, HOUR_MS, MEASURED, type Scenario, type Workload } from './model.ts';
import { arrive, arriveAgain, end } from './world/broker.ts';
import { create, drain, freeze, kill, leave, remove, runs, start, thaw } from './world/engine.ts';
import { fits, settle } from './world/ledger.ts';
import {
  ARRIVE_AGAIN,
  type DrainOptions,
  END,
  GONE,
  KILL,
  type Play,
  type Policy,
  READY,
  type Run,
  type VirtualHost,
  type VirtualTier,
  type VirtualWorker,
  WAKE,
} from './world/model.ts';
import { closeSteps, openSteps, type Steps } from './world/steps.ts';

export interface WorldOptions {
  times?: EngineTimes;
  /** Steps of the series. */
  steps?: number;
  /** How long after the workload's end the last jobs may take before the run is cut off: a quarter of it, at least an hour. */
  overtimeMs?: number;
}

/** One host with its containers, brokers and jobs in virtual time. The engine refuses what does not fit the budget, whoever asks. */
export class World implements VirtualHost {
  readonly scenario: Scenario;
  readonly times: EngineTimes;
  readonly tiers: VirtualTier[];

  readonly #play: Play;
  readonly #overtimeMs: number;
  readonly #steps: Steps;

  constructor(scenario: Scenario, workload: Workload, policy: Policy, options: WorldOptions = {}) {
    this.scenario = scenario;
    this.times = options.times ?? MEASURED;
    this.tiers = scenario.tiers.map(tierAtRest);
    this.#play = {
      scenario,
      times: this.times,
      workload,
      policy,
      tiers: this.tiers,
      events: new EventQueue(),
      nowMs: 0,
      cpus: 0,
      memoryBytes: 0,
      peakCpus: 0,
      peakMemoryBytes: 0,
      workers: [],
      freePlaces: [],
      nextSerial: 0,
      waitMs: new Float64Array(workload.jobs.count).fill(Number.NaN),
      startedMs: new Float64Array(workload.jobs.count),
      attempts: new Uint8Array(workload.jobs.count),
      open: 0,
      jobEvents: 0,
    };
    this.#overtimeMs = options.overtimeMs ?? Math.max(HOUR_MS, workload.durationMs / 4);
    this.#steps = openSteps(workload.durationMs / (options.steps ?? 288), scenario.tiers.length);
  }

  get nowMs(): number {
    return this.#play.nowMs;
  }

  /** Plays the workload to its end. */
  run(): Run {
    const play = this.#play;
    const { workload, events, policy, tiers } = play;
    const { atMs, count } = workload.jobs;
    const endMs = workload.durationMs;
    const cutMs = endMs + this.#overtimeMs;
    let arriving = 0;
    policy.begin(this);
    for (;;) {
      const arrivalMs = arriving < count ? (atMs[arriving] as number) : Number.POSITIVE_INFINITY;
      const eventMs = events.nextMs;
      const nextMs = Math.min(arrivalMs, eventMs);
      if (arriving === count && play.open === 0 && nextMs >= endMs) break;
      if (nextMs > cutMs) break;
      play.nowMs = nextMs;
      if (nextMs >= this.#steps.endMs) closeSteps(this.#steps, tiers, nextMs);
      if (arrivalMs <= eventMs) arrive(play, arriving++);
      else happen(play);
    }
    // Work that ended after the period, or was cut off, was paid for as long as it took.
    play.nowMs = Math.max(endMs, play.nowMs);
    closeSteps(this.#steps, tiers, play.nowMs);
    for (const tier of tiers) settle(tier, play.nowMs);
    return {
      scenario: this.scenario,
      workload,
      policy: policy.name,
      tiers,
      waitMs: play.waitMs,
      endedMs: play.nowMs,
      unfinished: play.open + (count - arriving),
      jobEvents: play.jobEvents,
      peakCpus: play.peakCpus,
      peakMemoryBytes: play.peakMemoryBytes,
      series: this.#steps.series,
    };
  }

  wakeAt(atMs: number, token: number): void {
    this.#play.events.add(Math.max(atMs, this.#play.nowMs), WAKE, token);
  }

  fits(tier: VirtualTier): boolean {
    return fits(this.#play, tier);
  }

  create(tier: VirtualTier): VirtualWorker | undefined {
    return create(this.#play, tier);
  }

  start(worker: VirtualWorker): boolean {
    return start(this.#play, worker);
  }

  freeze(worker: VirtualWorker): boolean {
    return freeze(this.#play, worker);
  }

  thaw(worker: VirtualWorker): boolean {
    return thaw(this.#play, worker);
  }

  drain(worker: VirtualWorker, options: DrainOptions = {}): boolean {
    return drain(this.#play, worker, options);
  }

  remove(worker: VirtualWorker): boolean {
    return remove(this.#play, worker);
  }
}

/** The next event. One about a worker that has become another since is void. */
function happen(play: Play): void {
  const { events } = play;
  events.pop();
  const { kind, a, b, c } = events;
  if (kind === WAKE) {
    play.policy.wake(a);
    return;
  }
  if (kind === ARRIVE_AGAIN) {
    arriveAgain(play, a);
    return;
  }
  const worker = play.workers[kind === END ? b : a] as VirtualWorker;
  if (worker.serial !== (kind === END ? c : b)) return;
  if (kind === END) end(play, a, worker);
  else if (kind === KILL) kill(play, worker);
  else if (kind === GONE) leave(play, worker);
  else if (worker.phase === 'starting') runs(play, worker, kind === READY);
}

function tierAtRest(tier: VirtualTier['tier'], index: number): VirtualTier {
  return {
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
  };
}
