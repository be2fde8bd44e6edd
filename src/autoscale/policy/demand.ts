import { type Formula, parseFormula } from '../../triggers/formula.ts';
import type { MetricType } from '../../triggers/model.ts';
import type { Fallback, Tier, TierTrigger } from '../model.ts';
import { NEVER, provesItself, serving, type TierState, type TriggerState } from './state.ts';

/** A metric that nobody has renewed for so long is missing, even if no read failed: three polls, and at least this. */
const STALE_MS = 60_000;
/** Sums of CPU shares and rates carry rounding: that is not another worker. */
const EPSILON = 1e-9;

/** What one trigger asks for. */
export interface Demand {
  raw: number;
  /** Its value is above the activation value: it lifts the tier from zero. */
  active: boolean;
  /** No fresh reading. */
  lost: boolean;
  /** Enough reads failed for the tier's fallback. */
  fallback: boolean;
}

/** The numbers of the formula where a drain target decides. */
export interface Slots {
  waiting: number;
  active: number;
  serviceMs: number;
  keepUp: number;
  slots: number;
}

/**
 * Slots that keep up with what arrives and clear the backlog within the drain target, never more than one a job:
 * slots = min(W + A, max(A, L) + W x S / T), with L = lambda x S; S = T until a job has ended.
 */
export function slotsFor(state: TierState, trigger: TriggerState): Slots {
  const { drainTargetMs, concurrency } = state.tier;
  const queue = trigger.reading?.queue;
  const waiting = queue ? queue.waiting : (trigger.reading?.value ?? 0);
  const active = queue ? (queue.active ?? state.counts.busy * concurrency) : 0;
  const serviceMs = trigger.estimate.serviceMs ?? drainTargetMs;
  const keepUp = trigger.estimate.arrivalsPerMs * serviceMs;
  const clear = drainTargetMs > 0 ? (waiting * serviceMs) / drainTargetMs : waiting;
  return { waiting, active, serviceMs, keepUp, slots: Math.min(waiting + active, Math.max(active, keepUp) + clear) };
}

/**
 * HPA's count for one metric: AverageValue ceil(total / target), Value and Utilization ceil(ready x value / target); the present count while
 * the ratio of usage is within the tolerance.
 */
export function countFor(metricType: MetricType, value: number, target: number, tier: Tier, ready: number, current: number): number {
  if (!(target > 0)) return current;
  const average = metricType === 'AverageValue';
  const ratio = average ? (current > 0 ? value / (target * current) : undefined) : value / target;
  if (ratio !== undefined && current > 0 && withinTolerance(ratio, tier)) return current;
  if (average) return roundUp(value / target);
  const count = roundUp(Math.max(1, ready) * (value / target));
  // Containers that are still starting take nothing off the others yet: that is no reason for fewer.
  return ready < current ? Math.max(current, count) : count;
}

export function roundUp(workers: number): number {
  return Math.max(0, Math.ceil(workers - EPSILON));
}

function withinTolerance(ratio: number, { behavior }: Tier): boolean {
  return ratio >= 1 - behavior.scaleDown.tolerance - EPSILON && ratio <= 1 + behavior.scaleUp.tolerance + EPSILON;
}

/** KEDA's fallback, except that a missing metric never takes a worker away. */
export function fallbackCount(fallback: Fallback, current: number): number {
  switch (fallback.behavior) {
    case 'currentReplicas':
      return current;
    case 'currentReplicasIfLower':
      return Math.max(current, Math.min(current, fallback.replicas));
    case 'currentReplicasIfHigher':
    case 'static':
      return Math.max(current, fallback.replicas);
  }
}

export function isLost(tier: Tier, trigger: TriggerState, nowMs: number): boolean {
  return !trigger.reading || trigger.failures > 0 || nowMs - trigger.readAtMs > staleMs(tier);
}

export function staleMs(tier: Tier): number {
  return Math.max(STALE_MS, 3 * tier.pollingIntervalMs);
}

export function demandOf(state: TierState, spec: TierTrigger, trigger: TriggerState, nowMs: number): Demand {
  const { tier } = state;
  const current = serving(state);
  const lost = isLost(tier, trigger, nowMs);
  if (tier.fallback && trigger.failures >= tier.fallback.failureThreshold) {
    const raw = fallbackCount(tier.fallback, current);
    return { raw, active: raw > 0, lost, fallback: true };
  }
  if (!trigger.reading) return { raw: 0, active: false, lost, fallback: false };
  const raw =
    spec.target === undefined
      ? roundUp(slotsFor(state, trigger).slots / tier.concurrency)
      : countFor(spec.metricType, trigger.reading.value, spec.target, tier, state.counts.running, current);
  return { raw, active: spec.activates && (trigger.reading.active ?? trigger.reading.value > spec.activation), lost, fallback: false };
}

/** The composite metric of scalingModifiers; undefined: a trigger that it needs has no value now. */
export function compositeValue(state: TierState, nowMs: number): number | undefined {
  const { tier } = state;
  if (!tier.scalingModifiers) return undefined;
  return formulaOf(tier.scalingModifiers.formula, tier).evaluate((name) => {
    const index = tier.triggers.findIndex((trigger) => trigger.name === name);
    const trigger = state.triggers[index];
    return trigger && !isLost(tier, trigger, nowMs) ? trigger.reading?.value : undefined;
  });
}

const parsed = new Map<string, Formula>();

function formulaOf(text: string, tier: Tier): Formula {
  const known = parsed.get(text);
  if (known) return known;
  if (parsed.size >= 256) parsed.clear();
  const formula = parseFormula(
    text,
    tier.triggers.map(({ name }) => name),
  );
  parsed.set(text, formula);
  return formula;
}

/** What all triggers of a tier say together. */
export interface Demands {
  /** The highest count that a trigger asks for which can lift the tier from zero, and that of the others. */
  activating: number;
  others: number;
  active: boolean;
  /** Of some trigger nothing fresh is known. */
  lost: boolean;
  /** Something has changed that no reading has shown yet. */
  noticed: boolean;
  fallback: boolean;
  /** Nothing waits, runs or is held, and all of that is known. */
  quiet: boolean;
}

export function demandsOf(state: TierState, nowMs: number): Demands {
  const { tier, counts } = state;
  const all: Demands = {
    activating: 0,
    others: 0,
    active: tier.forceActivation || !tier.triggers.some(({ activates }) => activates),
    lost: false,
    noticed: false,
    fallback: false,
    quiet: counts.busy === 0,
  };
  for (let index = 0; index < state.triggers.length; index += 1) {
    const trigger = state.triggers[index] as TriggerState;
    const spec = tier.triggers[index] as TierTrigger;
    const { raw, active, lost, fallback } = demandOf(state, spec, trigger, nowMs);
    if (spec.activates || fallback) all.activating = Math.max(all.activating, raw);
    if (!spec.activates) all.others = Math.max(all.others, raw);
    if (active) all.active = true;
    if (lost) all.lost = true;
    if (fallback) all.fallback = true;
    if (trigger.noticeAtMs !== NEVER) all.noticed = true;
    if (!isQuiet(state, trigger)) all.quiet = false;
  }
  return all;
}

/** A trigger without a queue says nothing of jobs. */
function isQuiet({ tier, counts }: TierState, { reading }: TriggerState): boolean {
  const queue = reading?.queue;
  if (!queue) return true;
  if (queue.waiting > 0 || (queue.active ?? 0) > 0 || (queue.held ?? 0) > 0) return false;
  return queue.active !== undefined || counts.unknown === 0 || provesItself(tier);
}

/** When a delayed job of the tier falls due next, on decide's clock; undefined: none is known. */
export function nextDue(state: TierState, skewMs: number): number | undefined {
  let due: number | undefined;
  for (const { reading } of state.triggers) {
    const at = reading?.queue?.nextDueMs;
    if (at !== undefined && (due === undefined || at < due)) due = at;
  }
  return due === undefined ? undefined : due - skewMs;
}
