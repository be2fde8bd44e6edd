import type { Action, AutoscaleEvent } from '../model.ts';
import { takeReading } from './reading.ts';
import { type AutoscaleState, createTier, createTrigger, NEVER, recount, type TierState } from './state.ts';
import { takeFailure, takeGone, takeList, takeWorker } from './workers.ts';

/** Events may overtake each other by this much; the clock only went back if they differ by more. */
const DISORDER_MS = 1000;

/** decide's clock goes on with the events' clock and stands still when that one goes back. */
export function advance(state: AutoscaleState, atMs: number): void {
  const passedMs = atMs - state.skewMs - state.nowMs;
  if (passedMs >= 0) state.nowMs += passedMs;
  else if (passedMs < -DISORDER_MS) state.skewMs = atMs - state.nowMs;
}

/**
 * Takes an event in. Returns the tier it is about, or undefined when it is about several. A tier or trigger that is not known is passed
 * over: the loop and decide learn of a change of the project at different moments.
 */
export function record(all: AutoscaleState, event: AutoscaleEvent, actions: Action[]): TierState | undefined {
  const { nowMs } = all;
  switch (event.kind) {
    case 'tick':
      return undefined;
    case 'host':
      all.host = event.budget;
      return undefined;
    case 'held':
      if (event.by === undefined) delete all.held[event.project];
      else all.held[event.project] = event.by;
      return undefined;
    case 'tier': {
      const known = all.tiers[event.tier.id];
      if (!known) {
        const created = createTier(event.tier, nowMs);
        all.tiers[event.tier.id] = created;
        return created;
      }
      const before = known.triggers;
      known.tier = event.tier;
      known.triggers = event.tier.triggers.map(({ name }) => before.find((trigger) => trigger.name === name) ?? createTrigger(name));
      recount(known);
      return known;
    }
    case 'tier-gone': {
      const gone = all.tiers[event.tier];
      // Nobody will thaw them once they are forgotten.
      for (const worker of gone?.workers ?? []) {
        if (worker.phase === 'frozen' || worker.pending === 'freeze') {
          actions.push({ kind: 'thaw', tier: event.tier, worker: worker.id, why: 'the service is no longer scaled' });
        }
      }
      delete all.tiers[event.tier];
      return undefined;
    }
    default:
  }
  const state = all.tiers[event.tier];
  if (!state) return undefined;
  switch (event.kind) {
    case 'notice': {
      const trigger = state.triggers.find(({ name }) => name === event.trigger);
      if (trigger) trigger.noticeAtMs = nowMs;
      return state;
    }
    case 'reading':
      takeReading(state, event.trigger, event.reading, nowMs);
      return state;
    case 'reading-failed': {
      const trigger = state.triggers.find(({ name }) => name === event.trigger);
      if (trigger) {
        trigger.failures += 1;
        trigger.message = event.message;
      }
      return state;
    }
    case 'paused':
      state.tier.pause = event.pause;
      return state;
    case 'manual':
      if (event.replicas === undefined) delete state.manual;
      else state.manual = event.replicas;
      return state;
    case 'workers':
      takeList(all, state, event.workers);
      break;
    case 'worker':
      takeWorker(all, state, event.worker, event.replaces);
      break;
    case 'worker-gone':
      takeGone(state, event.worker, event.why, nowMs);
      break;
    case 'action-failed':
      takeFailure(state, event.action, event.worker, event.message, nowMs);
      break;
  }
  recount(state);
  if (state.counts.frozen === 0) state.frozenSinceMs = NEVER;
  else if (state.frozenSinceMs === NEVER) state.frozenSinceMs = nowMs;
  return state;
}
