import type { Action } from './model.ts';
import { type Growth, grow, idleWorkers, nextGrowth, retire } from './policy/choose.ts';
import {
  type AutoscaleState,
  HOST_LIMITS,
  LIMITS,
  NEVER,
  nanoCpus,
  recount,
  serving,
  type TierState,
  type WorkerState,
  warmKind,
} from './policy/state.ts';

/** A start that takes longer than this many boots is stuck and does not count against the starts in flight. */
const STUCK_BOOTS = 3;
const STUCK_MS = 30_000;
/** A warm pool that gave way to others is not filled again for so long. */
const POOL_REST_MS = 60_000;

/** A worker that was idle when it was asked to go is expected to be gone after so long; later it is not counted on. */
const LEAVING_MS = 30_000;

/** What is free of the host's budget, in the ledger's exact units. */
export interface Room {
  nanoCpus: number;
  bytes: number;
}

/** Sums of the ledger: every container that is not stopped has its memory, and its CPU unless it is frozen. */
export function usedOf(all: AutoscaleState): Room {
  let cpus = 0;
  let bytes = 0;
  for (const id in all.tiers) {
    const counts = all.tiers[id]?.counts;
    cpus += counts?.nanoCpus ?? 0;
    bytes += counts?.bytes ?? 0;
  }
  return { nanoCpus: cpus, bytes };
}

/** The larger of a tier's shares of the host's CPU and memory (dominant share, DRF). */
export function dominantShare(all: AutoscaleState, { counts }: TierState): number {
  if (!all.host) return 0;
  return Math.max(counts.nanoCpus / Math.max(1, nanoCpus(all.host)), counts.bytes / Math.max(1, all.host.memoryBytes));
}

/** Workers that the tier asks the host for. */
export function claimOf(all: AutoscaleState, state: TierState): number {
  const thaws = state.thaw ? state.counts.frozen : 0;
  if (all.held[state.tier.project] !== undefined) return thaws;
  return Math.max(thaws, state.wanted - serving(state));
}

/** How long a tier has waited, in drain targets: above 1 it is late. */
export function lateness(all: AutoscaleState, state: TierState): number {
  return (all.nowMs - state.waitingSinceMs) / Math.max(1, state.tier.drainTargetMs);
}

/**
 * Grants workers one at a time, as long as one fits: to the tier that has waited the most drain targets above one, which reserves what is
 * free until it fits, else to the one with the lowest dominant share. What is idle or frozen elsewhere gives way; what is busy never does.
 * Returns whether something was asked for.
 */
export function admit(all: AutoscaleState, actions: Action[]): boolean {
  let waiting = 0;
  let listed = true;
  for (const id in all.tiers) {
    const state = all.tiers[id] as TierState;
    state.limits &= ~HOST_LIMITS;
    if (!state.listed) listed = false;
    if (claimOf(all, state) <= 0) state.waitingSinceMs = NEVER;
    else {
      waiting += 1;
      if (state.waitingSinceMs === NEVER) state.waitingSinceMs = all.nowMs;
    }
  }
  const before = actions.length;
  if (!listed) refuseAll(all);
  else if (waiting > 0) grantAll(all, actions);
  else fillPools(all, actions);
  return actions.length > before;
}

interface Pass {
  free: Room;
  starts: number;
  /** Tiers that cannot be granted anything in this pass. */
  over: Set<TierState>;
  /** The late tier that what is free is kept for; `soon`: what it lacks is on its way out. */
  reserved?: { state: TierState; soon: boolean };
}

function grantAll(all: AutoscaleState, actions: Action[]): void {
  const used = usedOf(all);
  const pass: Pass = {
    free: { nanoCpus: all.host ? nanoCpus(all.host) - used.nanoCpus : 0, bytes: (all.host?.memoryBytes ?? 0) - used.bytes },
    starts: startsInFlight(all),
    over: new Set(),
  };
  for (;;) {
    const state = next(all, pass.over);
    if (!state) return;
    if (!grantOne(all, state, pass, actions)) pass.over.add(state);
  }
}

/** Late tiers by how late they are; then the others by dominant share, then by how long they wait, then by name. */
function next(all: AutoscaleState, over: Set<TierState>): TierState | undefined {
  let best: TierState | undefined;
  let bestLate = 0;
  let bestShare = 0;
  for (const id in all.tiers) {
    const state = all.tiers[id] as TierState;
    if (state.waitingSinceMs === NEVER || over.has(state) || claimOf(all, state) <= 0) continue;
    const late = lateness(all, state);
    const share = dominantShare(all, state);
    if (best) {
      if (late > 1 !== bestLate > 1) {
        if (bestLate > 1) continue;
      } else if (late > 1) {
        if (late < bestLate || (late === bestLate && state.tier.id > best.tier.id)) continue;
      } else if (share > bestShare) continue;
      else if (share === bestShare) {
        if (state.waitingSinceMs > best.waitingSinceMs) continue;
        if (state.waitingSinceMs === best.waitingSinceMs && state.tier.id > best.tier.id) continue;
      }
    }
    best = state;
    bestLate = late;
    bestShare = share;
  }
  return best;
}

/** Gives the tier one worker. False: nothing more for it in this pass, and its limits say why. */
function grantOne(all: AutoscaleState, state: TierState, pass: Pass, actions: Action[]): boolean {
  const growth = nextGrowth(all, state);
  if (!growth) return false;
  if (!all.host) return refuse(state, LIMITS.noHost);
  const isThaw = growth.kind === 'thaw';
  if (!isThaw && all.held[state.tier.project] !== undefined) return false;
  if (!isThaw && state.restUntilMs > all.nowMs) return refuse(state, LIMITS.failing);
  const need = needOf(state, growth);
  const fits = pass.free.nanoCpus >= need.nanoCpus && pass.free.bytes >= need.bytes;
  if (nanoCpus(all.host) < need.nanoCpus || (!isThaw && all.host.memoryBytes < need.bytes)) return refuse(state, LIMITS.neverFits);
  if (!isThaw && all.host.pressure !== undefined) return refuse(state, LIMITS.pressure);

  const { reserved } = pass;
  // A tier without any worker may have its first one in spite of a reservation that only the end of a job can serve.
  if (reserved && (reserved.soon || serving(state) > 0)) return refuse(state, LIMITS.reserved);
  if (!fits) {
    state.limits |= LIMITS.budget;
    const soon = reserved === undefined && makeRoom(all, state, need, pass, actions);
    if (reserved === undefined && lateness(all, state) > 1 && couldFit(all, state, need)) pass.reserved = { state, soon };
    return false;
  }
  if (!isThaw && pass.starts >= Math.max(1, Math.floor(2 * all.host.cores))) return refuse(state, LIMITS.starts);

  grow(all, state, growth, actions, whyGranted(all, state));
  pass.free.nanoCpus -= need.nanoCpus;
  pass.free.bytes -= need.bytes;
  if (!isThaw) pass.starts += 1;
  state.waitingSinceMs = all.nowMs;
  return true;
}

function refuseAll(all: AutoscaleState): void {
  for (const id in all.tiers) {
    const state = all.tiers[id] as TierState;
    if (state.waitingSinceMs !== NEVER) state.limits |= LIMITS.unlisted;
  }
}

function refuse(state: TierState, limit: number): false {
  state.limits |= limit;
  return false;
}

/** What a growth adds to the ledger: a thaw only CPU, because a frozen container has its memory already. */
function needOf(state: TierState, growth: Growth): Room {
  const need = growth.worker?.need ?? state.tier.need;
  return { nanoCpus: nanoCpus(need), bytes: growth.kind === 'thaw' ? 0 : need.memoryBytes };
}

function whyGranted(all: AutoscaleState, state: TierState): string {
  const wants = state.wanted > serving(state) ? `${serving(state)} serve, ${state.wanted} wanted` : 'it may have been handed a job';
  const late = lateness(all, state);
  return late > 1 ? `${wants}; late, waited ${((all.nowMs - state.waitingSinceMs) / 1000).toFixed(1)} s` : wants;
}

function startsInFlight(all: AutoscaleState): number {
  let starts = 0;
  for (const id in all.tiers) {
    const state = all.tiers[id] as TierState;
    if (state.counts.starting === 0) continue;
    const stuckMs = Math.max(STUCK_MS, STUCK_BOOTS * state.tier.bootMs);
    for (const { phase, sinceMs } of state.workers) if (phase === 'starting' && all.nowMs - sinceMs < stuckMs) starts += 1;
  }
  return starts;
}

/**
 * Takes idle and frozen workers from others for one worker of `wanting`, if that and what is already leaving makes it fit; nothing is taken in
 * vain. Returns whether room is on its way.
 */
function makeRoom(all: AutoscaleState, wanting: TierState, need: Room, pass: Pass, actions: Action[]): boolean {
  let lackCpus = need.nanoCpus - pass.free.nanoCpus;
  let lackBytes = need.bytes - pass.free.bytes;
  const others: TierState[] = [];
  for (const id in all.tiers) {
    const state = all.tiers[id] as TierState;
    if (state.counts.draining > 0) {
      for (const worker of state.workers) {
        if (worker.phase !== 'draining' || all.nowMs - Math.max(worker.sinceMs, worker.pendingSinceMs) > LEAVING_MS) continue;
        lackCpus -= nanoCpus(worker.need);
        lackBytes -= worker.need.memoryBytes;
      }
    }
    if (state !== wanting) others.push(state);
  }
  if (lackCpus <= 0 && lackBytes <= 0) return true;
  others.sort((left, right) => dominantShare(all, right) - dominantShare(all, left) || (left.tier.id < right.tier.id ? -1 : 1));
  let thaws = 0;
  const taken: { state: TierState; worker: WorkerState }[] = [];
  for (const state of others) {
    for (const worker of sparedBy(all, state)) {
      if (lackCpus <= 0 && lackBytes <= 0) break;
      const frozen = worker.phase === 'frozen';
      if (frozen) {
        // It is thawed to be ended, which takes CPU.
        if (lackBytes <= 0 || nanoCpus(worker.need) > pass.free.nanoCpus - thaws) continue;
        thaws += nanoCpus(worker.need);
      }
      taken.push({ state, worker });
      lackCpus -= frozen ? 0 : nanoCpus(worker.need);
      lackBytes -= worker.need.memoryBytes;
    }
  }
  if (lackCpus > 0 || lackBytes > 0) return false;
  pass.free.nanoCpus -= thaws;
  const touched = new Set<TierState>();
  for (const { state, worker } of taken) {
    // Its pool is filled again some other time.
    if (worker.phase === 'frozen') state.poolRestUntilMs = all.nowMs + POOL_REST_MS;
    retire(all, state, worker, actions, `${wanting.tier.service} waits for room`);
    touched.add(state);
  }
  for (const state of touched) recount(state);
  return true;
}

/** Workers that a tier can do without right now, in the order in which they go: idle ones above what it needs, then frozen ones. */
function sparedBy(all: AutoscaleState, state: TierState): WorkerState[] {
  if (all.held[state.tier.project] !== undefined || state.tier.pause.paused || state.lost || (state.limits & LIMITS.notice) !== 0)
    return [];
  const spare = serving(state) - state.needed;
  const spared = spare > 0 ? idleWorkers(all, state).slice(0, spare) : [];
  if (!state.thaw) {
    for (const worker of state.workers) if (worker.phase === 'frozen' && worker.pending === undefined) spared.push(worker);
  }
  return spared;
}

/** Whether it would fit beside what never leaves: what is held or paused, minimum counts, and workers that nobody can tell to be idle. */
function couldFit(all: AutoscaleState, wanting: TierState, need: Room): boolean {
  if (!all.host) return false;
  let cpus = nanoCpus(all.host) - need.nanoCpus;
  let bytes = all.host.memoryBytes - need.bytes;
  for (const id in all.tiers) {
    const state = all.tiers[id] as TierState;
    if (state === wanting) continue;
    const { counts, tier } = state;
    if (all.held[tier.project] !== undefined || tier.pause.paused) {
      cpus -= counts.nanoCpus;
      bytes -= counts.bytes;
      continue;
    }
    const floor = tier.idle === 0 && state.quiet ? 0 : tier.min;
    const stay = Math.min(serving(state), Math.max(floor, state.manual ?? 0, counts.unknown));
    cpus -= stay * nanoCpus(tier.need);
    bytes -= stay * tier.need.memoryBytes;
  }
  return cpus >= 0 && bytes >= 0;
}

/** Fills the pools of frozen containers of idle tiers, while nobody waits for anything. */
function fillPools(all: AutoscaleState, actions: Action[]): void {
  const { host, nowMs } = all;
  if (!host || host.pressure !== undefined) return;
  for (const id in all.tiers) {
    const state = all.tiers[id] as TierState;
    const { tier, counts } = state;
    if (!state.zero || state.wanted > 0 || tier.warm.count <= counts.frozen + serving(state) || warmKind(state) !== 'frozen') continue;
    if (state.poolRestUntilMs > nowMs || state.restUntilMs > nowMs || tier.max < tier.warm.count) continue;
    if (all.held[tier.project] !== undefined || tier.pause.paused || tier.pause.pausedReplicas !== undefined || tier.pause.pausedScaleOut)
      continue;
    const growth = nextGrowth(all, { ...state, wanted: serving(state) + 1 });
    if (!growth || growth.kind === 'thaw') continue;
    const need = needOf(state, growth);
    const used = usedOf(all);
    if (nanoCpus(host) - used.nanoCpus < need.nanoCpus || host.memoryBytes - used.bytes < need.bytes) continue;
    if (startsInFlight(all) >= Math.max(1, Math.floor(2 * host.cores))) return;
    grow(all, state, growth, actions, `one of ${tier.warm.count} that stand ready frozen`);
  }
}
