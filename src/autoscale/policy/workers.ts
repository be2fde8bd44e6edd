import type { Action, Worker } from '../model.ts';
import { ask, WORST_STARTS } from './choose.ts';
import { SAFETY_THAW_MS } from './desired.ts';
import { setBusy } from './reading.ts';
import { type AutoscaleState, NEVER, type TierState, type WorkerState } from './state.ts';

/**
 * A look may be older than an action that was asked for, so the action is believed until it is answered. So many lists in which it does not
 * show, one after another, mean that its answer is lost. Counted in lists, not in time, because the clock may jump.
 */
const DOUBTS = 3;
/** Failures further apart than this do not add up. */
const FORGIVEN_MS = 300_000;
const LONGEST_REST_MS = 60_000;
/** A worker that refused to go because it is busy is left alone for so long, unless its source says otherwise. */
const REFUSED_MS = 10_000;
/** A worker that ends by itself so soon after its start has failed to start. */
const EARLY_EXIT_MS = 10_000;

export function takeList(all: AutoscaleState, state: TierState, list: readonly Worker[]): void {
  state.listed = true;
  const listed: WorkerState[] = list.map((worker) => {
    const known = state.workers.find(({ id }) => id === worker.id);
    if (!known) return adopt(all, state, worker);
    // The engine does not know who is busy: what sources said of a worker stands.
    const busy = worker.busy ?? (known.phase === worker.phase ? known.busy : undefined);
    merge(all, state, known, busy === undefined ? worker : { ...worker, busy }, true);
    return known;
  });
  for (const worker of state.workers) {
    if (worker.pending !== 'create' || listed.some(({ number }) => number === worker.number)) continue;
    if (!isLostAnswer(worker)) listed.push(worker);
  }
  state.workers = listed;
}

export function takeWorker(all: AutoscaleState, state: TierState, worker: Worker, replaces: string | undefined): void {
  const known = state.workers.find(({ id }) => id === worker.id);
  const made = state.workers.find(
    (other) =>
      other.pending === 'create' && other !== known && (other.id === replaces || (!known && !replaces && other.number === worker.number)),
  );
  if (known) {
    merge(all, state, known, worker);
    if (made) state.workers.splice(state.workers.indexOf(made), 1);
  } else if (made) {
    made.id = worker.id;
    made.number = worker.number;
    delete made.pending;
    delete made.doubts;
    merge(all, state, made, worker);
  } else state.workers.push(adopt(all, state, worker));
}

/** It is no more, whoever removed it. */
export function takeGone(state: TierState, id: string, why: string | undefined, nowMs: number): void {
  const index = state.workers.findIndex((worker) => worker.id === id);
  const worker = state.workers[index];
  if (!worker) return;
  if (endedEarly(worker, state, nowMs)) fail(state, nowMs, why ?? 'a worker ended right after its start');
  state.workers.splice(index, 1);
}

function adopt(all: AutoscaleState, state: TierState, worker: Worker): WorkerState {
  const adopted: WorkerState = {
    id: worker.id,
    number: worker.number,
    phase: worker.phase,
    sinceMs: Math.min(all.nowMs, worker.sinceMs - all.skewMs),
    obsolete: worker.obsolete,
    need: worker.need ?? state.tier.need,
    pendingSinceMs: NEVER,
    failures: 0,
    restUntilMs: NEVER,
  };
  name(adopted, worker);
  if (worker.phase === 'frozen') suspect(state, all.nowMs);
  setBusy(adopted, worker.busy, all.nowMs, worker.idleSinceMs === undefined ? undefined : worker.idleSinceMs - all.skewMs);
  return adopted;
}

function name(known: WorkerState, worker: Worker): void {
  if (worker.hostname === undefined) delete known.hostname;
  else known.hostname = worker.hostname;
  if (worker.address === undefined) delete known.address;
  else known.address = worker.address;
}

/** How a container looks once an action on it has been done. */
const DONE: Record<Action['kind'], readonly Worker['phase'][]> = {
  create: ['starting', 'running'],
  start: ['starting', 'running'],
  thaw: ['running', 'starting'],
  freeze: ['frozen'],
  retire: ['draining'],
  remove: [],
};

/** How it looks as long as nothing has been done: what an older look may still show. */
const NOT_YET: Record<Action['kind'], readonly Worker['phase'][]> = {
  create: ['stopped'],
  start: ['stopped'],
  thaw: ['frozen'],
  freeze: ['running', 'starting'],
  retire: ['running', 'frozen'],
  remove: ['stopped'],
};

function merge(all: AutoscaleState, state: TierState, known: WorkerState, worker: Worker, isList = false): void {
  const { nowMs } = all;
  const { pending } = known;
  known.obsolete = worker.obsolete;
  if (worker.need) known.need = worker.need;
  name(known, worker);
  setBusy(known, worker.busy, nowMs, worker.idleSinceMs === undefined ? undefined : worker.idleSinceMs - all.skewMs);
  if (pending !== undefined) {
    if (NOT_YET[pending].includes(worker.phase) && !(isList && isLostAnswer(known))) return;
    delete known.pending;
    if (known.doubts !== undefined) delete known.doubts;
    if (pending === 'freeze' && worker.phase !== 'frozen') known.restUntilMs = nowMs + REFUSED_MS;
    if (DONE[pending].includes(worker.phase) && worker.phase === 'running') known.failures = 0;
  }
  if (known.phase === worker.phase) return;
  if (worker.phase === 'stopped' && endedEarly(known, state, nowMs)) {
    known.failures += 1;
    fail(state, nowMs, 'a worker ended right after its start');
  }
  if (worker.phase !== 'draining' && known.keep !== undefined) delete known.keep;
  if (worker.phase === 'running') known.failures = 0;
  if (worker.phase === 'frozen' && pending !== 'freeze') suspect(state, nowMs);
  known.phase = worker.phase;
  known.sinceMs = nowMs;
}

/** Frozen by somebody else, or still frozen after all: a look at what it may have been handed is due at once. */
function suspect(state: TierState, nowMs: number): void {
  state.frozenSinceMs = nowMs - SAFETY_THAW_MS;
}

function isLostAnswer(worker: WorkerState): boolean {
  worker.doubts = (worker.doubts ?? 0) + 1;
  return worker.doubts >= DOUBTS;
}

/** It ended by itself, sooner after its start than any worker that works. */
function endedEarly(worker: WorkerState, state: TierState, nowMs: number): boolean {
  return (
    (worker.phase === 'starting' || worker.phase === 'running') &&
    worker.pending !== 'create' &&
    nowMs - worker.sinceMs < Math.max(EARLY_EXIT_MS, 2 * state.tier.bootMs)
  );
}

function fail(state: TierState, nowMs: number, why: string): void {
  state.failures = nowMs - state.failedAtMs > FORGIVEN_MS ? 1 : state.failures + 1;
  state.failedAtMs = nowMs;
  state.failure = why;
  state.restUntilMs = nowMs + Math.min(LONGEST_REST_MS, 1000 * 2 ** (state.failures - 1));
}

export function takeFailure(state: TierState, action: Action['kind'], id: string | undefined, message: string, nowMs: number): void {
  const index = state.workers.findIndex((worker) => worker.id === id);
  const worker = state.workers[index];
  if (action === 'create' || action === 'start') fail(state, nowMs, message);
  if (!worker || (worker.pending !== action && !(action === 'retire' && worker.phase === 'draining'))) return;
  delete worker.pending;
  delete worker.doubts;
  switch (action) {
    case 'create':
      state.workers.splice(index, 1);
      return;
    case 'start':
      worker.phase = 'stopped';
      worker.failures += 1;
      return;
    case 'thaw':
      worker.phase = 'frozen';
      worker.failures += 1;
      worker.restUntilMs = nowMs + 1000;
      suspect(state, nowMs);
      return;
    case 'freeze':
    case 'retire':
      // It proved busy, or nobody could prove anything: either way it works on.
      worker.phase = 'running';
      delete worker.keep;
      setBusy(worker, undefined, nowMs);
      worker.restUntilMs = nowMs + REFUSED_MS;
      return;
    case 'remove':
      worker.restUntilMs = nowMs + LONGEST_REST_MS;
      return;
  }
}

/** Containers that never started are removed, so that new ones can take their place. */
export function clearBroken(all: AutoscaleState, state: TierState, actions: Action[]): void {
  for (const worker of state.workers) {
    if (worker.phase !== 'stopped' || worker.failures < WORST_STARTS || worker.pending !== undefined || worker.restUntilMs > all.nowMs)
      continue;
    ask(worker, 'remove', all.nowMs);
    actions.push({ kind: 'remove', tier: state.tier.id, worker: worker.id, why: `it failed to start ${worker.failures} times` });
  }
}
