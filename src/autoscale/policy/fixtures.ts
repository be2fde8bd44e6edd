import type { Action, AutoscaleEvent, Decision, HostBudget, Tier, TierTrigger, Worker } from '../model.ts';
import { createState, decide } from './decide.ts';
import type { AutoscaleState, TierState } from './state.ts';

export const GIB = 1024 ** 3;
export const HOST: HostBudget = { cpus: 4, memoryBytes: 8 * GIB, cores: 4 };

export function trigger(changes: Partial<TierTrigger> = {}): TierTrigger {
  return { name: 'queue', type: 'redis', metricType: 'AverageValue', activation: 0, activates: true, freezable: true, ...changes };
}

/** A light tier of one-job workers, as the project room fills it in, with a window and a cooldown of 60 s. */
export function tier(service = 'mail', changes: Partial<Tier> = {}): Tier {
  return {
    id: `shop/${service}`,
    project: 'shop',
    service,
    class: 'light',
    drainTargetMs: 5000,
    concurrency: 1,
    warm: { kind: 'none', count: 0 },
    min: 0,
    max: 10,
    pollingIntervalMs: 5000,
    cooldownMs: 60_000,
    initialCooldownMs: 0,
    behavior: {
      scaleUp: { stabilizationWindowMs: 0, selectPolicy: 'Max', policies: [], tolerance: 0.1 },
      scaleDown: { stabilizationWindowMs: 60_000, selectPolicy: 'Max', policies: [], tolerance: 0.1 },
    },
    pause: { paused: false, pausedScaleIn: false, pausedScaleOut: false },
    forceActivation: false,
    triggers: [trigger()],
    need: { cpus: 0.5, memoryBytes: GIB },
    bootMs: 3000,
    ...changes,
  };
}

export function worker(number: number, changes: Partial<Worker> = {}): Worker {
  return { id: `c${number}`, number, phase: 'running', sinceMs: 0, busy: false, obsolete: false, ...changes };
}

/** An event without its time and, where there is one tier, without its name. */
type Brief = AutoscaleEvent extends infer Event
  ? Event extends { atMs: number }
    ? Omit<Event, 'atMs' | 'tier'> & { tier?: unknown }
    : never
  : never;

export interface Course {
  state: AutoscaleState;
  /** Of all events so far; what a test has seen it may clear. */
  actions: Action[];
  decisions: Decision[];
  at(seconds: number, event: Brief): Action[];
  reading(seconds: number, waiting: number, active: number, more?: { held?: number; nextDueMs?: number }): Action[];
  tier(id?: string): TierState;
}

/** A host and its tiers with nothing running yet. Events without a tier are about the first one. */
export function course(tiers: Tier[], host: HostBudget | null = HOST): Course {
  const state = createState(0);
  const made: Course = {
    state,
    actions: [],
    decisions: [],
    at(seconds, event) {
      const outcome = decide(state, { tier: tiers[0]?.id, ...event, atMs: seconds * 1000 } as AutoscaleEvent);
      made.actions.push(...outcome.actions);
      made.decisions.push(...outcome.decisions);
      return outcome.actions;
    },
    reading(seconds, waiting, active, more = {}) {
      return made.at(seconds, {
        kind: 'reading',
        trigger: 'queue',
        reading: { value: waiting + active, queue: { waiting, active, ...more } },
      });
    },
    tier(id = tiers[0]?.id) {
      return state.tiers[id as string] as TierState;
    },
  };
  if (host) made.at(0, { kind: 'host', budget: host });
  for (const entry of tiers) {
    made.at(0, { kind: 'tier', tier: entry });
    made.at(0, { kind: 'workers', tier: entry.id, workers: [] });
  }
  return made;
}
