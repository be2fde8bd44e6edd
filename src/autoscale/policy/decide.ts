import { admit } from '../admission.ts';
import type { Action, AutoscaleEvent, Decision } from '../model.ts';
import { takeSurplus } from './choose.ts';
import { decisionOf } from './decision.ts';
import { evaluate } from './desired.ts';
import { advance, record } from './record.ts';
import { type AutoscaleState, NEVER, serving, type TierState } from './state.ts';
import { clearBroken } from './workers.ts';

export interface Outcome {
  state: AutoscaleState;
  actions: Action[];
  /** Of the tiers whose wanted or granted count, or what limits it, is another than before. */
  decisions: Decision[];
}

/** Knows of no host and no tier yet: events tell, at the first start as after a crash. */
export function createState(atMs: number): AutoscaleState {
  return { version: 1, nowMs: atMs, skewMs: 0, tiers: {}, held: {}, serial: 0 };
}

/**
 * What is to be done now that `event` has happened. Pure but for ownership: decide takes over the state it is given, changes it in place and
 * returns it, so keep no other reference to it; structuredClone first where both are needed. It also takes over the event's objects.
 * The same events always give the same outcome: no clock, no random, no I/O. Who only acts, and shows nobody why, may leave the decisions out
 * (`explains` false): putting them into words is a good part of the work.
 */
export function decide(state: AutoscaleState, event: AutoscaleEvent, explains = true): Outcome {
  const actions: Action[] = [];
  const decisions: Decision[] = [];
  advance(state, event.atMs);
  const about = record(state, event, actions);
  if (about) look(state, about, actions);
  else if (!isPassedOver(event, state)) for (const id in state.tiers) look(state, state.tiers[id] as TierState, actions);
  admit(state, actions);
  if (!explains) return { state, actions, decisions };
  for (const id in state.tiers) {
    const tier = state.tiers[id] as TierState;
    const { said } = tier;
    const granted = serving(tier);
    if (said.wanted === tier.wanted && said.granted === granted && said.limits === tier.limits) continue;
    tier.said = { wanted: tier.wanted, granted, limits: tier.limits };
    decisions.push(decisionOf(state, tier));
  }
  return { state, actions, decisions };
}

/**
 * When to send a `tick` at the latest if nothing else happens before, on the events' clock. Undefined: no need. Read the sources first where
 * the last reading is older than a poll: nothing is taken away on a reading that is old (demand.ts, staleMs).
 */
export function nextWakeMs(state: AutoscaleState): number | undefined {
  let wakeMs = NEVER;
  for (const id in state.tiers) {
    const at = (state.tiers[id] as TierState).wakeMs;
    if (at !== NEVER && (wakeMs === NEVER || at < wakeMs)) wakeMs = at;
  }
  return wakeMs === NEVER ? undefined : wakeMs + state.skewMs;
}

function look(all: AutoscaleState, state: TierState, actions: Action[]): void {
  evaluate(all, state);
  if (all.held[state.tier.project] !== undefined) return;
  clearBroken(all, state, actions);
  takeSurplus(all, state, actions);
}

/** An event about one tier that is not known changes nothing for the others. */
function isPassedOver(event: AutoscaleEvent, state: AutoscaleState): boolean {
  return 'tier' in event && typeof event.tier === 'string' && event.kind !== 'tier-gone' && state.tiers[event.tier] === undefined;
}
