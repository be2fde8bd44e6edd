import { compositeValue, countFor, demandsOf, nextDue } from './demand.ts';
import { leavesAtMs, nextChangeEndMs, scaleDownLimit, scaleUpLimit, slide, withinWindows } from './stabilize.ts';
import { type AutoscaleState, LIMITS, NEVER, serving, type TierState, warmKind } from './state.ts';

/** Frozen workers are looked at this often, because a lost notice may have left a job in a socket's buffer. */
export const SAFETY_THAW_MS = 600_000;
/** A thawed worker gets this long to show a job that it had been handed. */
export const SETTLE_MS = 2000;

/**
 * Looks at one tier: sets what it wants and needs, why not more or less, and when to look again. Takes nothing and starts nothing. Each step
 * goes on from the count that the one before it left in the state.
 */
export function evaluate(all: AutoscaleState, state: TierState): void {
  const { nowMs } = all;
  const { tier } = state;
  const current = serving(state);
  const due = nextDue(state, all.skewMs);
  state.limits = 0;
  const asked = ask(state, current, due, nowMs);
  remember(state, asked, nowMs);
  stabilize(state, current, nowMs);
  const cooledAtMs = Math.max(state.activeAtMs + tier.cooldownMs, state.sinceMs + tier.initialCooldownMs);
  state.zero = goesToZero(state) && state.quiet && nowMs >= cooledAtMs;
  const floor = keepMinimum(state, current, asked.active);
  keepMaximum(state, floor);
  if (asked.lost || asked.noticed) takeNothing(state, current);
  obeyPause(state, current);
  const isHeld = all.held[tier.project] !== undefined;
  if (isHeld) state.limits |= LIMITS.held;
  state.thaw = state.counts.frozen > 0 && (!state.quiet || (!isHeld && isThawDue(state, nowMs)));
  state.wakeMs = wakeOf(all, state, current, due, cooledAtMs);
}

/** What a tier's metrics ask for, before anything holds it back. */
interface Asked {
  raw: number;
  active: boolean;
  lost: boolean;
  noticed: boolean;
  quiet: boolean;
}

function ask(state: TierState, current: number, due: number | undefined, nowMs: number): Asked {
  const { tier, counts } = state;
  const demands = demandsOf(state, nowMs);
  const { noticed } = demands;
  let { active, lost } = demands;
  let raw: number;
  if (demands.fallback) state.limits |= LIMITS.fallback;
  if (tier.scalingModifiers && !demands.fallback) {
    const { target, activationTarget, metricType } = tier.scalingModifiers;
    const value = compositeValue(state, nowMs);
    active = tier.forceActivation || (value !== undefined && value > activationTarget);
    // A formula may go on without a trigger (`??`), but only upwards.
    if (value === undefined) lost = true;
    raw = value === undefined ? current : countFor(metricType, value, target, tier, counts.running, current);
  } else raw = Math.max(demands.activating, active || !demands.quiet ? demands.others : 0);
  if (due !== undefined && due - tier.bootMs <= nowMs) {
    active = true;
    raw = Math.max(raw, 1);
  }
  return { raw, active, lost, noticed, quiet: demands.quiet && !active && !lost && !noticed };
}

function remember(state: TierState, { raw, lost, noticed, quiet }: Asked, nowMs: number): void {
  if (lost) state.limits |= LIMITS.metrics;
  if (noticed) state.limits |= LIMITS.notice;
  // What was going on at the last look went on until now.
  if (!quiet || !state.quiet) state.activeAtMs = nowMs;
  state.raw = raw;
  state.quiet = quiet;
  state.lost = lost;
}

/** HPA's windows, then its rates. */
function stabilize(state: TierState, current: number, nowMs: number): void {
  const { raw, lost, changes } = state;
  const { scaleUp, scaleDown } = state.tier.behavior;
  // While nobody knows what is needed, what is there is needed.
  const highest = slide(state.highest, 'highest', lost ? Math.max(raw, current) : raw, nowMs, scaleDown.stabilizationWindowMs);
  const lowest = slide(state.lowest, 'lowest', raw, nowMs, scaleUp.stabilizationWindowMs);
  const within = withinWindows(current, lowest, highest);
  if (within !== raw && raw !== current) state.limits |= LIMITS.window;
  state.stabilized = within;
  if (within > current) state.stabilized = Math.min(within, scaleUpLimit(scaleUp, changes, current, nowMs));
  else if (within < current) state.stabilized = Math.max(within, scaleDownLimit(scaleDown, changes, current, nowMs));
  if (state.stabilized !== within) state.limits |= LIMITS.rate;
}

const goesToZero = ({ tier }: TierState): boolean => tier.min === 0 || tier.idle === 0;

/** Minimum, activation and cooldown. Answers the count below which its need does not fall. */
function keepMinimum(state: TierState, current: number, active: boolean): number {
  const { tier, stabilized } = state;
  const least = Math.max(1, tier.min);
  if (active || !goesToZero(state)) {
    const floor = active ? least : tier.min;
    state.wanted = Math.max(stabilized, floor);
    if (state.wanted > stabilized && stabilized < current) state.limits |= LIMITS.min;
    return floor;
  }
  if (state.zero) {
    // The window holds its own; the minimum is for tiers that have something to do.
    state.wanted = stabilized;
  } else if (current === 0) {
    state.wanted = 0;
    if (state.raw > 0) state.limits |= LIMITS.activation;
  } else {
    state.wanted = Math.max(stabilized, Math.min(current, least));
    if (state.wanted > stabilized) state.limits |= LIMITS.cooldown;
  }
  return 0;
}

/** Maximum, and the least count that a person set; what is needed at once follows from both. */
function keepMaximum(state: TierState, floor: number): void {
  const { max } = state.tier;
  const manual = Math.min(state.manual ?? 0, max);
  if (state.wanted > max) {
    state.wanted = max;
    state.limits |= LIMITS.max;
  }
  if (state.wanted < manual) {
    state.wanted = manual;
    state.limits |= LIMITS.manual;
  }
  state.needed = Math.min(state.wanted, Math.max(state.raw, floor, manual));
}

/** While it is not known what goes on, what is there stays. */
function takeNothing(state: TierState, current: number): void {
  state.wanted = Math.max(state.wanted, current);
  state.needed = Math.max(state.needed, current);
}

function obeyPause(state: TierState, current: number): void {
  const { pause } = state.tier;
  if (pause.pausedReplicas !== undefined || pause.paused) {
    state.wanted = pause.pausedReplicas ?? current;
    state.needed = state.wanted;
    state.limits |= LIMITS.paused;
    return;
  }
  if (pause.pausedScaleIn) {
    if (state.wanted < current) {
      state.wanted = current;
      state.limits |= LIMITS.paused;
    }
    state.needed = Math.max(state.needed, current);
  }
  if (pause.pausedScaleOut && state.wanted > current) {
    state.wanted = current;
    state.needed = Math.min(state.needed, current);
    state.limits |= LIMITS.paused;
  }
}

/** Beside work to do: somebody wants it, it is of an earlier release, nobody wants it frozen, or it was not looked at for long. */
function isThawDue(state: TierState, nowMs: number): boolean {
  return (
    state.wanted > 0 || state.counts.obsoleteFrozen > 0 || warmKind(state) !== 'frozen' || nowMs - state.frozenSinceMs >= SAFETY_THAW_MS
  );
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
