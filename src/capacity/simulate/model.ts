import type { HostBudget, Tier } from '../../autoscale/model.ts';

/** What is simulated: the scaled services and the host they share. */
export interface Scenario {
  name: string;
  budget: HostBudget;
  tiers: Tier[];
}

/** The jobs of a workload, by time of arrival; column i of every array is job i. Times in ms from the start. */
export interface Jobs {
  count: number;
  atMs: Float64Array;
  /** Index into the scenario's tiers. */
  tier: Uint8Array;
  /** How long a run takes. */
  serviceMs: Float64Array;
  /** 1: it fails at the end of every run. */
  poison: Uint8Array;
}

export interface Workload {
  name: string;
  jobs: Jobs;
  /** The period that is simulated and paid for; it is prolonged until the last job has ended. */
  durationMs: number;
  retry: Retry;
}

/** What becomes of a job that fails. */
export interface Retry {
  /** Runs in all; the last failure ends the job. */
  attempts: number;
  delayMs: number;
}

/** Times of the virtual engine. A worker's boot time is its tier's. */
export interface EngineTimes {
  /** Unpause until it runs. */
  thawMs: number;
  /** SIGTERM to an idle worker until it is gone. */
  exitMs: number;
  /** A change in the broker until the new reading is here. */
  detectMs: number;
  /** The least time between two readings of one queue. */
  readingGapMs: number;
}

/** Medians measured on Docker Engine 28 and Redis 7 on two cores. */
export const MEASURED: EngineTimes = { thawMs: 10, exitMs: 120, detectMs: 0.2, readingGapMs: 50 };

/** Money for an hour of one CPU and of one GB (2^30 bytes), in the currency of the user's choice. */
export interface Price {
  cpuHour: number;
  gbHour: number;
}

/** Serverless containers by the hour, as the large clouds ask for them (USD, Linux on x86). */
export const DEFAULT_PRICE: Price = { cpuHour: 0.04048, gbHour: 0.004445 };

export const HOUR_MS = 3_600_000;
export const GB = 2 ** 30;
