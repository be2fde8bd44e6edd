import { shortDecision } from './explain.ts';
import type { Action, AutoscaleEvent, Decision } from './model.ts';
import { decide } from './policy/decide.ts';
import type { AutoscaleState } from './policy/state.ts';

/** One event as it was recorded, with what was decided on it then. */
export interface Recorded {
  event: AutoscaleEvent;
  actions: Action[];
  decisions: Decision[];
}

export interface Replayed {
  events: number;
  /** Where the policy decides otherwise now, in order. */
  differences: { index: number; atMs: number; recorded: string[]; now: string[] }[];
  /** The state after the last event. */
  state: AutoscaleState;
}

/**
 * Feeds recorded events to the policy again, from `start`, the state that stood before the first of them (it is copied). Actions are compared
 * by what they do, not by their reasons, and decisions by their numbers and limits. After the first difference the events are those of
 * another course of things: what follows shows what this policy would have said to them, no more.
 * `change` may put other settings into an event, to ask what they would have changed.
 */
export function replay(
  start: AutoscaleState,
  recorded: Iterable<Recorded>,
  change: (event: AutoscaleEvent) => AutoscaleEvent = (event) => event,
): Replayed {
  let state = structuredClone(start);
  const differences: Replayed['differences'] = [];
  let index = 0;
  for (const entry of recorded) {
    const outcome = decide(state, change(structuredClone(entry.event)));
    state = outcome.state;
    const before = texts(entry);
    const now = texts(outcome);
    if (before.join('\n') !== now.join('\n')) differences.push({ index, atMs: entry.event.atMs, recorded: before, now });
    index += 1;
  }
  return { events: index, differences, state };
}

/** The differences as a person reads them. */
export function printReplay({ events, differences }: Pick<Replayed, 'events' | 'differences'>): string {
  if (differences.length === 0) return `${events} events, decided as recorded\n`;
  const lines = [`${events} events, ${differences.length} decided otherwise`];
  for (const { atMs, recorded, now } of differences) {
    lines.push('', `${new Date(atMs).toISOString()}`);
    lines.push(...recorded.filter((text) => !now.includes(text)).map((text) => `  - ${text}`));
    lines.push(...now.filter((text) => !recorded.includes(text)).map((text) => `  + ${text}`));
  }
  return `${lines.join('\n')}\n`;
}

function texts({ actions, decisions }: { actions: readonly Action[]; decisions: readonly Decision[] }): string[] {
  return [...actions.map((action) => actionText(action)), ...decisions.map((decision) => `${decision.tier}  ${shortDecision(decision)}`)];
}

/** What an action does, without its reason. */
export function actionText(action: Action): string {
  const more = action.kind === 'retire' ? `, then ${action.then}` : action.kind === 'create' ? ` as number ${action.number}` : '';
  return `${action.kind} ${action.worker} of ${action.tier}${more}`;
}
