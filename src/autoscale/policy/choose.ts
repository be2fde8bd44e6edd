import type { Action } from '../model.ts';
import { SETTLE_MS } from './desired.ts';
import { noteChange } from './stabilize.ts';
import { type AutoscaleState, LIMITS, NEVER, provesItself, recount, serving, type TierState, type WorkerState, warmKind } from './state.ts';

/** Starts of one container that may fail before it is replaced by a new one. */
export const WORST_STARTS = 3;

/**
 * Nothing of the tier runs anywhere, by word of all its queues: proof of idleness where workers are not told apart. A source that tells
 * nothing of what runs (a query, a metric) spoils it; cron, cpu and memory have no jobs of their own.
 */
export function nothingRuns(state: TierState): boolean {
  let told = false;
  for (let index = 0; index < state.triggers.length; index += 1) {
    const spec = state.tier.triggers[index];
    const reading = state.triggers[index]?.reading;
    if (!spec?.activates || spec.type === 'cron') continue;
    const queue = reading?.queue;
    if (!queue || queue.active === undefined) return false;
    if (queue.active > 0 || queue.waiting > 0 || (queue.held ?? 0) > 0) return false;
    told = true;
  }
  return told;
}

/** Whether a worker is known to be idle and free to be acted upon. */
export function isIdle(worker: WorkerState, idleByQueues: boolean, nowMs: number): boolean {
  return (
    worker.phase === 'running' &&
    worker.pending === undefined &&
    worker.restUntilMs <= nowMs &&
    (worker.busy === false || (worker.busy === undefined && idleByQueues))
  );
}

/** Who goes first: another configuration, then the longest idle, then the highest number. */
export function goesBefore(left: WorkerState, right: WorkerState): number {
  if (left.obsolete !== right.obsolete) return left.obsolete ? -1 : 1;
  const since = (left.idleSinceMs ?? NEVER) - (right.idleSinceMs ?? NEVER);
  return since !== 0 ? since : right.number - left.number;
}

/** Idle workers in the order in which they go. Empty while nobody knows how things stand. */
export function idleWorkers(all: AutoscaleState, state: TierState): WorkerState[] {
  if (state.lost || (state.limits & LIMITS.notice) !== 0) return [];
  const idleByQueues = nothingRuns(state);
  return state.workers.filter((worker) => isIdle(worker, idleByQueues, all.nowMs)).sort(goesBefore);
}

/**
 * Workers of which no source tells anything, where asking one to end asks for the proof first. A quiet CPU only counts in a tier in which nothing
 * waits.
 */
function unprovenWorkers(all: AutoscaleState, state: TierState): WorkerState[] {
  if (state.lost || (state.limits & LIMITS.notice) !== 0 || !provesItself(state.tier)) return [];
  if (state.tier.busy === undefined && !nothingShows(state)) return [];
  return state.workers
    .filter(({ phase, pending, restUntilMs, busy }) => phase === 'running' && !pending && restUntilMs <= all.nowMs && busy === undefined)
    .sort(goesBefore);
}

/** No source shows a job. */
const nothingShows = ({ triggers }: TierState): boolean =>
  triggers.every(({ reading }) => {
    if (!reading) return false;
    const { queue, value } = reading;
    return queue ? queue.waiting === 0 && (queue.active ?? 0) === 0 && (queue.held ?? 0) === 0 : value <= 0;
  });

/** Freezes and retires what the tier has above what it wants, as far as it is proved idle. True: something was asked for. */
export function takeSurplus(all: AutoscaleState, state: TierState, actions: Action[]): boolean {
  const surplus = serving(state) - state.wanted;
  if (surplus <= 0 || state.counts.running === 0) return false;
  const idle = idleWorkers(all, state);
  let going = idle.slice(0, surplus);
  let froze = 0;
  if (state.zero && state.wanted === 0 && warmKind(state) === 'frozen') {
    const room = state.tier.warm.count - state.counts.frozen - freezing(state);
    // The last in the order are the newest configuration, the last to have worked.
    const stay = idle.filter((worker) => !worker.obsolete).slice(-Math.max(0, room));
    if (room > 0 && stay.length > 0) {
      going = idle.filter((worker) => !stay.includes(worker));
      if (mayFreeze(all, state, idle)) {
        for (const worker of stay) {
          ask(worker, 'freeze', all.nowMs);
          actions.push({ kind: 'freeze', tier: state.tier.id, worker: worker.id, why: 'the whole tier is idle' });
          froze += 1;
        }
      }
    }
  }
  for (const worker of going) retire(all, state, worker, actions, whyRetired(state, worker, all.nowMs));
  if (going.length + froze < surplus) {
    const asked = unprovenWorkers(all, state)
      .filter((worker) => !idle.includes(worker))
      .slice(0, surplus - going.length - froze);
    for (const worker of asked) retire(all, state, worker, actions, `${serving(state)} serve, ${state.wanted} wanted; if it proves idle`);
    going = [...going, ...asked];
  }
  if (going.length + froze < surplus) state.limits |= LIMITS.unproven;
  if (going.length + froze === 0) return false;
  recount(state);
  return true;
}

/**
 * A frozen consumer may be handed a job that nobody sees. So only a tier as a whole is frozen: nothing starts, all that runs is proved idle,
 * and every queue has been read since the last thaw long enough ago for such a job to show.
 */
function mayFreeze(all: AutoscaleState, state: TierState, idle: WorkerState[]): boolean {
  if (state.counts.starting > 0) return false;
  const settled = state.thawedAtMs === NEVER ? NEVER : state.thawedAtMs + SETTLE_MS;
  for (const { readAtMs } of state.triggers) if (readAtMs < settled) return false;
  const others = state.workers.filter((worker) => worker.phase === 'running' && worker.pending === undefined);
  return all.nowMs >= settled && others.length === idle.length;
}

function freezing(state: TierState): number {
  let count = 0;
  for (const worker of state.workers) if (worker.pending === 'freeze') count += 1;
  return count;
}

/** Asks for the safe end of an idle worker. The caller recounts. */
export function retire(all: AutoscaleState, state: TierState, worker: WorkerState, actions: Action[], why: string): void {
  const keep = warmKind(state) === 'stopped' && !worker.obsolete && kept(state) < state.tier.warm.count;
  if (worker.phase !== 'frozen') noteChange(state.changes, state.tier.behavior, all.nowMs, -1);
  worker.phase = 'draining';
  worker.keep = keep;
  ask(worker, 'retire', all.nowMs);
  // biome-ignore lint/suspicious/noThenProperty: what follows the exit, in the action's own words; nobody awaits an action
  actions.push({ kind: 'retire', tier: state.tier.id, worker: worker.id, then: keep ? 'keep' : 'remove', why });
}

function kept(state: TierState): number {
  let count = 0;
  for (const worker of state.workers) {
    if ((worker.phase === 'stopped' && !worker.obsolete) || (worker.phase === 'draining' && worker.keep)) count += 1;
  }
  return count;
}

function whyRetired(state: TierState, worker: WorkerState, nowMs: number): string {
  const since = worker.idleSinceMs === undefined ? 'idle' : `idle for ${Math.round((nowMs - worker.idleSinceMs) / 1000)} s`;
  return `${serving(state)} serve, ${state.wanted} wanted; ${worker.obsolete ? 'an older configuration, ' : ''}${since}`;
}

export function ask(worker: WorkerState, action: Action['kind'], nowMs: number): void {
  worker.pending = action;
  worker.pendingSinceMs = nowMs;
}

/** What the tier grows by next. `worker` undefined: a container is to be created. */
export interface Growth {
  kind: 'thaw' | 'start' | 'create';
  worker?: WorkerState;
}

/** Frozen before stopped before new; undefined: nothing can be done now. */
export function nextGrowth(all: AutoscaleState, state: TierState): Growth | undefined {
  const { nowMs } = all;
  let stopped: WorkerState | undefined;
  let standing = 0;
  let leaving = 0;
  for (const worker of state.workers) {
    // It may still prove busy and stay.
    if (worker.pending === 'retire') leaving += 1;
    if (worker.phase === 'frozen' && worker.failures < WORST_STARTS) standing += 1;
    if (worker.restUntilMs > nowMs) continue;
    if (worker.phase === 'frozen') return { kind: 'thaw', worker };
    if (worker.phase !== 'stopped' || worker.obsolete || worker.pending !== undefined || worker.failures >= WORST_STARTS) continue;
    if (!stopped || worker.failures < stopped.failures || (worker.failures === stopped.failures && worker.number < stopped.number)) {
      stopped = worker;
    }
  }
  // What could not be thawed just now is tried again before others take its place.
  if (serving(state) + standing >= state.wanted || serving(state) + leaving >= state.tier.max) return undefined;
  return stopped ? { kind: 'start', worker: stopped } : { kind: 'create' };
}

/** Carries the growth out in the state and asks for it. */
export function grow(all: AutoscaleState, state: TierState, growth: Growth, actions: Action[], why: string): void {
  const { tier } = state;
  const { nowMs } = all;
  noteChange(state.changes, tier.behavior, nowMs, 1);
  if (growth.worker) {
    const { worker, kind } = growth;
    if (kind === 'thaw') {
      worker.phase = 'running';
      delete worker.busy;
      delete worker.idleSinceMs;
      state.thawedAtMs = nowMs;
    } else worker.phase = 'starting';
    worker.sinceMs = nowMs;
    ask(worker, kind, nowMs);
    actions.push(
      kind === 'thaw' ? { kind, tier: tier.id, worker: worker.id, why } : { kind: 'start', tier: tier.id, worker: worker.id, why },
    );
  } else {
    all.serial += 1;
    const id = `${tier.id}/new-${all.serial}`;
    const number = lowestFreeNumber(state);
    state.workers.push({
      id,
      number,
      phase: 'starting',
      sinceMs: nowMs,
      obsolete: false,
      need: tier.need,
      pending: 'create',
      pendingSinceMs: nowMs,
      failures: 0,
      restUntilMs: NEVER,
    });
    actions.push({ kind: 'create', tier: tier.id, worker: id, number, why });
  }
  recount(state);
}

function lowestFreeNumber(state: TierState): number {
  const taken = new Set(state.workers.map(({ number }) => number));
  let number = 1;
  while (taken.has(number)) number += 1;
  return number;
}
