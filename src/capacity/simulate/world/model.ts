import type { Need, Tier, WorkerPhase } from '../../../autoscale/model.ts';
import type { EventQueue } from '../event-queue.ts';
import type { Fifo } from '../fifo.ts';
import type { EngineTimes, Scenario, Workload } from '../model.ts';
import type { Series } from '../series.ts';

/** Decides in virtual time what the host does. It is told of changes and asks to be woken; it never sees a job before it has arrived. */
export interface Policy {
  name: string;
  begin(world: VirtualHost): void;
  /** A job arrived, began, ended or came back. Called very often. */
  queueChanged?(tier: VirtualTier): void;
  /** Ready, thawed, or gone (it is in no list any more). */
  workerChanged?(worker: VirtualWorker): void;
  /** A time it asked for with wakeAt. */
  wake(token: number): void;
}

/** What a policy sees of the host and can ask of its engine. */
export interface VirtualHost {
  readonly scenario: Scenario;
  readonly times: EngineTimes;
  readonly tiers: VirtualTier[];
  readonly nowMs: number;
  /** Calls the policy's wake(token) at a time to come. */
  wakeAt(atMs: number, token: number): void;
  fits(tier: VirtualTier): boolean;
  /** Creates and starts a container; undefined when the host has no room for it. */
  create(tier: VirtualTier): VirtualWorker | undefined;
  /** Starts a stopped container; false when the host has no room or it is not stopped. */
  start(worker: VirtualWorker): boolean;
  /** False when it runs a job or does not run. */
  freeze(worker: VirtualWorker): boolean;
  /** False when there is no CPU for it or it is not frozen. */
  thaw(worker: VirtualWorker): boolean;
  /** One signal: it takes no more jobs and goes after those it has; after `graceMs` it is killed. A frozen worker cannot hear it: false. */
  drain(worker: VirtualWorker, options?: DrainOptions): boolean;
  /** Removes a stopped or frozen container; false for any other. */
  remove(worker: VirtualWorker): boolean;
}

export interface DrainOptions {
  graceMs?: number;
  /** Keeps it as a stopped container. */
  keep?: boolean;
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

/** What is to happen, beside its time: the kinds of events in the queue. */
export const ARRIVE_AGAIN = 0;
export const END = 1;
export const READY = 2;
export const THAWED = 3;
export const KILL = 4;
export const GONE = 5;
export const WAKE = 6;

/** A run while it goes on: what broker, engine and ledger share. */
export interface Play {
  readonly scenario: Scenario;
  readonly times: EngineTimes;
  readonly workload: Workload;
  readonly policy: Policy;
  readonly tiers: VirtualTier[];
  readonly events: EventQueue;
  nowMs: number;

  /** What all containers hold, and the most they ever held. */
  cpus: number;
  memoryBytes: number;
  peakCpus: number;
  peakMemoryBytes: number;

  /** Places of workers; those that are free are used again. */
  readonly workers: VirtualWorker[];
  readonly freePlaces: number[];
  nextSerial: number;

  /** By job. */
  readonly waitMs: Float64Array;
  readonly startedMs: Float64Array;
  readonly attempts: Uint8Array;
  /** Jobs that have arrived and not ended. */
  open: number;
  jobEvents: number;
}
