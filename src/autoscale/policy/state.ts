import type { Reading } from '../../triggers/model.ts';
import type { Action, HostBudget, Need, Tier, Worker } from '../model.ts';
import type { Estimate } from './estimate.ts';
import type { SlidingExtreme } from './stabilize.ts';

/** A time before all others that survives JSON. */
export const NEVER = Number.MIN_SAFE_INTEGER;

/**
 * Everything that decide() remembers: plain data that JSON carries without loss, and that is enough to go on after a crash. Times in it are
 * on decide's own clock, which never goes back (`nowMs`); `skewMs` is what the events' clock is ahead of it.
 */
export interface AutoscaleState {
  version: 1;
  nowMs: number;
  skewMs: number;
  /** Undefined: nothing is started, because nothing is known to fit. */
  host?: HostBudget;
  tiers: Record<string, TierState>;
  /** Project to what holds it. */
  held: Record<string, string>;
  /** Names of containers that are being created are counted through. */
  serial: number;
}

export interface TriggerState {
  name: string;
  reading?: Reading;
  readAtMs: number;
  /** Reads that failed since one succeeded. */
  failures: number;
  message?: string;
  /** The last notice that no reading has followed yet. */
  noticeAtMs: number;
  estimate: Estimate;
}

export interface WorkerState extends Worker {
  need: Need;
  /** The action that was asked for and has not been answered. */
  pending?: Action['kind'];
  pendingSinceMs: number;
  /** Starts that failed, one after another. */
  failures: number;
  /** No action on it before. */
  restUntilMs: number;
}

export interface PhaseCounts {
  stopped: number;
  starting: number;
  running: number;
  frozen: number;
  draining: number;
}

export interface TierState {
  tier: Tier;
  sinceMs: number;
  triggers: TriggerState[];
  workers: WorkerState[];
  counts: PhaseCounts;
  /** What its containers have of the ledger: CPU in billionths of a core, so that sums are exact, and bytes. */
  usedNanoCpus: number;
  usedBytes: number;
  manual?: number;
  highest: SlidingExtreme;
  lowest: SlidingExtreme;
  /** Changes of the count, for rate policies: when, and by how many. */
  changes: { atMs: number; by: number }[];
  /** Last moment at which something waited, ran or was due. */
  activeAtMs: number;
  /** Since when it has had fewer workers than it needs; NEVER while it has enough. Each grant sets it anew. */
  waitingSinceMs: number;
  /** Since when its frozen workers have been frozen without a look. */
  frozenSinceMs: number;
  thawedAtMs: number;
  /** Starts that failed, one after another, and until when none is tried. */
  failures: number;
  restUntilMs: number;
  raw: number;
  stabilized: number;
  wanted: number;
  /** What it needs now, windows aside: what it may claim, and what is not taken from it. */
  needed: number;
  /** Bits of LIMITS that held it back at the last look. */
  limits: number;
  /** When it is to be looked at again without an event; undefined: never. */
  wakeMs?: number;
}
