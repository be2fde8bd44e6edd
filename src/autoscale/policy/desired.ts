import { type Formula, parseFormula } from '../../triggers/formula.ts';
import type { MetricType } from '../../triggers/model.ts';
import type { Fallback, Tier, TierTrigger } from '../model.ts';
import { leavesAtMs, nextChangeEndMs, scaleDownLimit, scaleUpLimit, slide, withinWindows } from './stabilize.ts';
import { type AutoscaleState, LIMITS, NEVER, provesItself, serving, type TierState, type TriggerState, warmKind } from './state.ts';

/** A metric that nobody has renewed for so long is missing, even if no read failed: three polls, and at least this. */
const STALE_MS = 60_000;
/** Frozen workers are looked at this often, because a lost notice may have left a job in a socket's buffer. */
export const SAFETY_THAW_MS = 600_000;
/** A thawed worker gets this long to show a job that it had been handed. */
export const SETTLE_MS = 2000;
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

/** When a delayed job of the tier falls due next, on decide's clock; undefined: none is known. */
function nextDue(state: TierState, skewMs: number): number | undefined {
  let due: number | undefined;
  for (const { reading } of state.triggers) {
    const at = reading?.queue?.nextDueMs;
    if (at !== undefined && (due === undefined || at < due)) due = at;
  }
  return due === undefined ? undefined : due - skewMs;
}

/** Looks at one tier: sets what it wants and needs, why not more or less, and when to look again. Takes nothing and starts nothing. */
export function evaluate(all: AutoscaleState, state: TierState): void {
  const { tier, counts } = state;
  const nowMs = all.nowMs;
  const current = serving(state);
  let limits = 0;
  let activating = 0;
  let other = 0;
  let active = tier.forceActivation;
  let lost = false;
  let noticed = false;
  let canActivate = false;
  // Nothing waits, runs or is held, and all of that is known.
  let quiet = counts.busy === 0;

  for (let index = 0; index < state.triggers.length; index += 1) {
    const trigger = state.triggers[index] as TriggerState;
    const spec = tier.triggers[index] as TierTrigger;
    const demand = demandOf(state, spec, trigger, nowMs);
    if (spec.activates) {
      canActivate = true;
      activating = Math.max(activating, demand.raw);
    } else other = Math.max(other, demand.raw);
    if (demand.active) active = true;
    if (demand.lost) lost = true;
    if (demand.fallback) {
      limits |= LIMITS.fallback;
      activating = Math.max(activating, demand.raw);
    }
    if (trigger.noticeAtMs !== NEVER) noticed = true;
    const queue = trigger.reading?.queue;
    if (queue) {
      if (queue.waiting > 0 || (queue.active ?? 0) > 0 || (queue.held ?? 0) > 0) quiet = false;
      if (queue.active === undefined && counts.unknown > 0 && !provesItself(tier)) quiet = false;
    }
  }
  if (!canActivate) active = true;

  const due = nextDue(state, all.skewMs);
  const dueSoon = due !== undefined && due - tier.bootMs <= nowMs;
  let raw: number;
  if (tier.scalingModifiers && (limits & LIMITS.fallback) === 0) {
    const { target, activationTarget, metricType } = tier.scalingModifiers;
    const value = compositeValue(state, nowMs);
    active = tier.forceActivation || (value !== undefined && value > activationTarget);
    // A formula may go on without a trigger (`??`), but only upwards.
    if (value === undefined) lost = true;
    raw = value === undefined ? current : countFor(metricType, value, target, tier, counts.running, current);
  } else raw = Math.max(activating, active || !quiet ? other : 0);
  if (dueSoon) {
    active = true;
    raw = Math.max(raw, 1);
  }
  if (active || lost || noticed) quiet = false;
  if (lost) limits |= LIMITS.metrics;
  if (noticed) limits |= LIMITS.notice;
  // What was going on at the last look went on until now.
  if (!quiet || !state.quiet) state.activeAtMs = nowMs;
  state.raw = raw;
  state.quiet = quiet;
  state.lost = lost;

  const { scaleUp, scaleDown } = tier.behavior;
  // While nobody knows what is needed, what is there is needed.
  const highest = slide(state.highest, 'highest', lost ? Math.max(raw, current) : raw, nowMs, scaleDown.stabilizationWindowMs);
  const lowest = slide(state.lowest, 'lowest', raw, nowMs, scaleUp.stabilizationWindowMs);
  let stabilized = withinWindows(current, lowest, highest);
  if (stabilized !== raw && raw !== current) limits |= LIMITS.window;
  const beforeRates = stabilized;
  if (stabilized > current) stabilized = Math.min(stabilized, scaleUpLimit(scaleUp, state.changes, current, nowMs));
  else if (stabilized < current) stabilized = Math.max(stabilized, scaleDownLimit(scaleDown, state.changes, current, nowMs));
  if (stabilized !== beforeRates) limits |= LIMITS.rate;
  state.stabilized = stabilized;

  const toZero = tier.min === 0 || tier.idle === 0;
  const cooledAtMs = Math.max(state.activeAtMs + tier.cooldownMs, state.sinceMs + tier.initialCooldownMs);
  const zero = toZero && quiet && nowMs >= cooledAtMs;
  state.zero = zero;
  const least = Math.max(1, tier.min);
  let wanted: number;
  let floor: number;
  if (active || !toZero) {
    floor = active ? least : tier.min;
    wanted = Math.max(stabilized, floor);
    if (wanted > stabilized && stabilized < current) limits |= LIMITS.min;
  } else if (zero) {
    floor = 0;
    // The window holds its own; the minimum is for tiers that have something to do.
    wanted = stabilized;
  } else if (current === 0) {
    floor = 0;
    wanted = 0;
    if (raw > 0) limits |= LIMITS.activation;
  } else {
    floor = 0;
    wanted = Math.max(stabilized, Math.min(current, least));
    if (wanted > stabilized) limits |= LIMITS.cooldown;
  }
  if (wanted > tier.max) {
    wanted = tier.max;
    limits |= LIMITS.max;
  }
  if (state.manual !== undefined && wanted < Math.min(state.manual, tier.max)) {
    wanted = Math.min(state.manual, tier.max);
    limits |= LIMITS.manual;
  }
  let needed = Math.min(wanted, Math.max(raw, floor, Math.min(state.manual ?? 0, tier.max)));
  if ((lost || noticed) && wanted < current) wanted = current;
  if (lost || noticed) needed = Math.max(needed, Math.min(wanted, current));

  const { pause } = tier;
  if (pause.pausedReplicas !== undefined || pause.paused) {
    wanted = pause.pausedReplicas ?? current;
    needed = wanted;
    limits |= LIMITS.paused;
  } else {
    if (pause.pausedScaleIn && wanted < current) {
      wanted = current;
      limits |= LIMITS.paused;
    }
    if (pause.pausedScaleIn) needed = Math.max(needed, Math.min(wanted, current));
    if (pause.pausedScaleOut && wanted > current) {
      wanted = current;
      needed = Math.min(needed, wanted);
      limits |= LIMITS.paused;
    }
  }
  state.wanted = wanted;
  state.needed = needed;

  const isHeld = all.held[tier.project] !== undefined;
  if (isHeld) limits |= LIMITS.held;
  state.thaw =
    counts.frozen > 0 &&
    (!quiet ||
      (!isHeld &&
        (wanted > 0 || counts.obsoleteFrozen > 0 || warmKind(state) !== 'frozen' || nowMs - state.frozenSinceMs >= SAFETY_THAW_MS)));
  state.limits = limits;
  state.wakeMs = wakeOf(all, state, current, due, cooledAtMs);
}

/** The next moment at which looking again without an event can change something. */
function wakeOf(all: AutoscaleState, state: TierState, current: number, due: number | undefined, cooledAtMs: number): number {
  const { tier, counts, limits } = state;
  const nowMs = all.nowMs;
  let wake = Number.POSITIVE_INFINITY;
  const at = (ms: number | undefined): void => {
    if (ms !== undefined && ms > nowMs && ms < wake) wake = ms;
  };
  if (state.raw < current) at(leavesAtMs(state.highest, tier.behavior.scaleDown.stabilizationWindowMs));
  if (state.raw > current) at(leavesAtMs(state.lowest, tier.behavior.scaleUp.stabilizationWindowMs));
  if ((limits & LIMITS.rate) !== 0) {
    at(nextChangeEndMs(state.changes, state.raw > current ? tier.behavior.scaleUp : tier.behavior.scaleDown, nowMs));
  }
  if (current > 0 && state.quiet && !state.zero) at(cooledAtMs);
  if (due !== undefined) at(due - tier.bootMs);
  if (counts.frozen > 0) at(state.frozenSinceMs + SAFETY_THAW_MS);
  if (current > 0 && state.thawedAtMs !== NEVER) at(state.thawedAtMs + SETTLE_MS);
  if (state.restUntilMs !== NEVER) at(state.restUntilMs);
  if (state.poolRestUntilMs !== NEVER) at(state.poolRestUntilMs);
  for (const worker of state.workers) if (worker.restUntilMs !== NEVER) at(worker.restUntilMs);
  return wake === Number.POSITIVE_INFINITY ? NEVER : wake;
}
