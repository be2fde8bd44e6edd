import type { Reading } from '../../triggers/model.ts';
import type { Action, HostBudget, Need, Tier, Worker } from '../model.ts';
import { type Estimate, firstEstimate } from './estimate.ts';
import { type CountChange, emptyWindow, type SlidingExtreme } from './stabilize.ts';

/** A time before all others that survives JSON. */
export const NEVER = Number.MIN_SAFE_INTEGER;

/**
 * Everything that decide() remembers: plain data that JSON carries without loss, so that a recording can begin with it and a replay go on from
 * there. Times in it are on decide's own clock, which never goes back (`nowMs`); `skewMs` is what the events' clock is ahead of it.
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
  /** Lists since then in which it does not show. */
  doubts?: number;
  /** It is draining to be kept stopped. */
  keep?: boolean;
  /** Starts that failed, one after another. */
  failures: number;
  /** No action on it before. */
  restUntilMs: number;
}

/** What of a tier's workers is asked for at every event; recounted whenever one of them changes. */
export interface Counts {
  stopped: number;
  starting: number;
  running: number;
  frozen: number;
  draining: number;
  /** Of the running: told to be busy, told nothing of. */
  busy: number;
  unknown: number;
  /** Of the frozen. */
  obsoleteFrozen: number;
  /** What all have of the ledger: CPU in billionths of a core, so that sums are exact, and bytes. */
  nanoCpus: number;
  bytes: number;
}

export interface TierState {
  tier: Tier;
  sinceMs: number;
  /** In the order of tier.triggers. */
  triggers: TriggerState[];
  workers: WorkerState[];
  /** Its containers have been listed since decide began: until then nobody is given anything, because the ledger may lack some. */
  listed: boolean;
  counts: Counts;
  manual?: number;
  highest: SlidingExtreme;
  lowest: SlidingExtreme;
  /** Changes of the count that rate policies still ask for. */
  changes: CountChange[];
  /** Last moment at which something waited, ran or was due, or at which nobody knew. */
  activeAtMs: number;
  /** Since when it has had fewer workers than it needs; NEVER while it has enough. Each grant sets it anew. */
  waitingSinceMs: number;
  /** Since when containers of it are frozen without a look at what they may have been handed. */
  frozenSinceMs: number;
  thawedAtMs: number;
  /** A warm pool that was reclaimed is not filled again before. */
  poolRestUntilMs: number;
  /** Starts and early exits that failed, one after another, when the last one did, and until when none is tried. */
  failures: number;
  failedAtMs: number;
  failure?: string;
  restUntilMs: number;
  raw: number;
  stabilized: number;
  wanted: number;
  /** What it needs now, windows aside: what it claims, and what is not taken from it for others. */
  needed: number;
  /** Nothing waits, runs, is held or is due, and all of it is known. */
  quiet: boolean;
  /** It may go to zero. */
  zero: boolean;
  /** Its frozen workers are to be thawed, all of them. */
  thaw: boolean;
  /** Some metric is missing: nothing is taken from it. */
  lost: boolean;
  /** LIMITS that hold it back now. */
  limits: number;
  /** When it is to be looked at again without an event, on decide's clock; NEVER: no need. */
  wakeMs: number;
  /** What the last Decision said. */
  said: { wanted: number; granted: number; limits: number };
}

/** What keeps a tier from what its metrics ask for, as bits. Their words are in explain.ts. */
export const LIMITS = {
  max: 1,
  window: 1 << 1,
  rate: 1 << 2,
  cooldown: 1 << 3,
  activation: 1 << 4,
  metrics: 1 << 5,
  fallback: 1 << 6,
  paused: 1 << 7,
  held: 1 << 8,
  manual: 1 << 9,
  min: 1 << 10,
  unproven: 1 << 11,
  budget: 1 << 12,
  reserved: 1 << 13,
  starts: 1 << 14,
  pressure: 1 << 15,
  noHost: 1 << 16,
  neverFits: 1 << 17,
  failing: 1 << 18,
  notice: 1 << 19,
  unlisted: 1 << 20,
} as const;

/** Limits that the host sets, in admission. */
export const HOST_LIMITS =
  LIMITS.budget | LIMITS.reserved | LIMITS.starts | LIMITS.pressure | LIMITS.noHost | LIMITS.neverFits | LIMITS.failing | LIMITS.unlisted;

export function createTier(tier: Tier, nowMs: number): TierState {
  return {
    tier,
    sinceMs: nowMs,
    triggers: tier.triggers.map(({ name }) => createTrigger(name)),
    workers: [],
    listed: false,
    counts: emptyCounts(),
    highest: emptyWindow(),
    lowest: emptyWindow(),
    changes: [],
    activeAtMs: nowMs,
    waitingSinceMs: NEVER,
    frozenSinceMs: NEVER,
    thawedAtMs: NEVER,
    poolRestUntilMs: NEVER,
    failures: 0,
    failedAtMs: NEVER,
    restUntilMs: NEVER,
    raw: 0,
    stabilized: 0,
    wanted: 0,
    needed: 0,
    quiet: false,
    zero: false,
    thaw: false,
    lost: true,
    limits: 0,
    wakeMs: NEVER,
    said: { wanted: -1, granted: -1, limits: -1 },
  };
}

export function createTrigger(name: string): TriggerState {
  return { name, readAtMs: NEVER, failures: 0, noticeAtMs: NEVER, estimate: firstEstimate() };
}

/** Workers that serve or are about to: what HPA calls the current count. */
export function serving({ counts }: TierState): number {
  return counts.starting + counts.running;
}

export function emptyCounts(): Counts {
  return {
    stopped: 0,
    starting: 0,
    running: 0,
    frozen: 0,
    draining: 0,
    busy: 0,
    unknown: 0,
    obsoleteFrozen: 0,
    nanoCpus: 0,
    bytes: 0,
  };
}

export function nanoCpus(need: Need): number {
  return Math.round(need.cpus * 1e9);
}

/** Counts a tier's workers anew: after every change of one of them. */
export function recount(state: TierState): void {
  const counts = state.counts;
  counts.stopped = counts.starting = counts.running = counts.frozen = counts.draining = 0;
  counts.busy = counts.unknown = counts.obsoleteFrozen = 0;
  counts.nanoCpus = counts.bytes = 0;
  for (const worker of state.workers) {
    counts[worker.phase] += 1;
    if (worker.phase === 'stopped') continue;
    counts.bytes += worker.need.memoryBytes;
    if (worker.phase === 'frozen') {
      if (worker.obsolete) counts.obsoleteFrozen += 1;
      continue;
    }
    counts.nanoCpus += nanoCpus(worker.need);
    if (worker.phase !== 'running') continue;
    if (worker.busy === true) counts.busy += 1;
    else if (worker.busy === undefined) counts.unknown += 1;
  }
}

/** The container pool that stands ready: as declared, but frozen consumers of servers that drop silent connections are stopped instead. */
export function warmKind({ tier }: TierState): 'frozen' | 'stopped' | 'none' {
  if (tier.warm.count === 0) return 'none';
  if (tier.warm.kind !== 'frozen') return tier.warm.kind;
  for (const trigger of tier.triggers) if (!trigger.freezable) return 'stopped';
  return 'frozen';
}

/** Whoever carries out a `retire` has means of its own to prove idleness: the file's probe, or without a framework a quiet CPU. */
export const provesItself = ({ busy, framework }: Tier): boolean => busy !== undefined || framework === undefined;
