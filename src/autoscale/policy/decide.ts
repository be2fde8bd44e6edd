import type { Action, AutoscaleEvent, Decision } from '../model.ts';
import type { AutoscaleState } from './state.ts';

export interface Outcome {
  state: AutoscaleState;
  actions: Action[];
  /** Of the tiers whose wanted or granted count, or what limits it, is another than before. */
  decisions: Decision[];
}

/** Knows of no host and no tier yet: events tell. */
export function createState(atMs: number): AutoscaleState {
  return { version: 1, nowMs: atMs, skewMs: 0, tiers: {}, held: {}, serial: 0 };
}

/**
 * What is to be done now that `event` has happened. Pure but for ownership: decide takes over the state it is given, changes it in place and
 * returns it, so keep no other reference to it; structuredClone first where both are needed. It also takes over the event's objects.
 * The same events always give the same outcome: no clock, no random, no I/O.
 */
export function decide(state: AutoscaleState, event: AutoscaleEvent): Outcome {
  state.nowMs = Math.max(state.nowMs, event.atMs);
  return { state, actions: [], decisions: [] };
}

/** When to send a `tick` at the latest if nothing else happens before, in ms since 1970 on the events' clock. Undefined: no need. */
export function nextWakeMs(state: AutoscaleState): number | undefined {
  let wakeMs: number | undefined;
  for (const id in state.tiers) {
    const at = state.tiers[id]?.wakeMs;
    if (at !== undefined && (wakeMs === undefined || at < wakeMs)) wakeMs = at;
  }
  return wakeMs === undefined ? undefined : wakeMs + state.skewMs;
}
