import { formatMs } from '../../kit/duration.ts';
import type { Decision, TierTrigger } from '../model.ts';
import { compositeValue, demandOf, isLost, roundUp, slotsFor } from './demand.ts';
import { type AutoscaleState, LIMITS, serving, type TierState, type TriggerState } from './state.ts';

/** The tier's count as it is now, and how it came about. */
export function decisionOf(all: AutoscaleState, state: TierState): Decision {
  return {
    tier: state.tier.id,
    atMs: all.nowMs + all.skewMs,
    inputs: state.triggers.map((trigger, index) => inputOf(all, trigger, state.tier.triggers[index])),
    formula: formulaText(all, state),
    raw: state.raw,
    stabilized: state.stabilized,
    wanted: state.wanted,
    granted: serving(state),
    limits: limitsOf(all, state),
  };
}

/** At most three digits behind the point, none that say nothing. */
export function number(value: number): string {
  return String(Math.round(value * 1000) / 1000);
}

function inputOf(all: AutoscaleState, trigger: TriggerState, spec: TierTrigger | undefined): string {
  const { reading } = trigger;
  const parts: string[] = [];
  if (reading?.queue) {
    const { waiting, active, held, nextDueMs } = reading.queue;
    parts.push(`W ${number(waiting)} waiting`, active === undefined ? 'A unknown' : `A ${number(active)} running`);
    if (held !== undefined && held > 0) parts.push(`P ${number(held)} held by workers`);
    if (nextDueMs !== undefined) {
      const inMs = nextDueMs - all.nowMs - all.skewMs;
      parts.push(inMs > 0 ? `next due in ${formatMs(inMs)}` : 'one due now');
    }
  } else if (reading) parts.push(`value ${number(reading.value)}`);
  else parts.push('not read yet');
  if (spec?.target !== undefined) parts.push(`target ${number(spec.target)} (${spec.metricType})`);
  if (spec && spec.activation > 0) parts.push(`activation ${number(spec.activation)}`);
  if (reading) parts.push(`read ${formatMs(all.nowMs - trigger.readAtMs)} ago`);
  if (trigger.failures > 0) parts.push(`${trigger.failures} reads failed: ${trigger.message ?? 'no reason given'}`);
  return `${trigger.name}: ${parts.join(', ')}`;
}

function formulaText(all: AutoscaleState, state: TierState): string {
  const { tier } = state;
  if (tier.scalingModifiers) {
    const value = compositeValue(state, all.nowMs);
    const { formula, target, metricType } = tier.scalingModifiers;
    return value === undefined
      ? `${formula} has no value now`
      : `${formula} = ${number(value)}, target ${number(target)} (${metricType}) -> ${state.raw}`;
  }
  const texts = state.triggers.map((trigger, index) => {
    const spec = tier.triggers[index];
    return spec ? triggerFormula(all, state, trigger, spec) : '';
  });
  if (texts.length === 0) return 'no trigger';
  return texts.length === 1
    ? `${texts[0]}`
    : `max of ${texts.map((text, index) => `[${state.triggers[index]?.name}: ${text}]`).join(' ')} = ${state.raw}`;
}

function triggerFormula(all: AutoscaleState, state: TierState, trigger: TriggerState, spec: TierTrigger): string {
  const { tier } = state;
  const demand = demandOf(state, spec, trigger, all.nowMs);
  if (demand.fallback && tier.fallback) return `fallback ${tier.fallback.behavior} ${tier.fallback.replicas} -> ${demand.raw}`;
  if (!trigger.reading) return isLost(tier, trigger, all.nowMs) ? 'unknown' : '0';
  if (spec.target === undefined) {
    const { waiting, active, serviceMs, keepUp, slots } = slotsFor(state, trigger);
    const rate = trigger.estimate.arrivalsPerMs * 1000;
    const service = `S ${formatMs(serviceMs)}${trigger.estimate.serviceMs === undefined ? ' (= T, none has ended yet)' : ''}`;
    return (
      `slots = min(W + A = ${number(waiting + active)}, max(A ${number(active)}, L ${number(keepUp)}) + W ${number(waiting)} x S/T) = ` +
      `${number(slots)}; ceil(slots / ${tier.concurrency}) = ${demand.raw}; ${service}, T ${formatMs(tier.drainTargetMs)}, lambda ${number(rate)}/s`
    );
  }
  const value = number(trigger.reading.value);
  const target = number(spec.target);
  const current = serving(state);
  if (spec.metricType === 'AverageValue') {
    const exact = roundUp(trigger.reading.value / spec.target);
    return demand.raw === exact
      ? `ceil(${value} / ${target}) = ${demand.raw}`
      : `${value} / ${target} is within the tolerance of ${current} -> ${demand.raw}`;
  }
  return `${Math.max(1, state.counts.running)} ready x ${value} / ${target} -> ${demand.raw}`;
}

/** In the words a person can act on; the order is that of the steps. */
export function limitsOf(all: AutoscaleState, state: TierState): string[] {
  const { limits, tier, counts } = state;
  const has = (limit: number): boolean => (limits & limit) !== 0;
  const texts: string[] = [];
  if (has(LIMITS.metrics)) texts.push('a metric is missing: nothing is taken away');
  if (has(LIMITS.fallback)) texts.push('fallback: reads keep failing');
  if (has(LIMITS.notice)) texts.push('the source told of a change that has not been read yet');
  if (has(LIMITS.window)) {
    const up = state.raw > state.stabilized;
    const windowMs = (up ? tier.behavior.scaleUp : tier.behavior.scaleDown).stabilizationWindowMs;
    texts.push(`the ${up ? 'scaleUp' : 'scaleDown'} window of ${formatMs(windowMs)}`);
  }
  if (has(LIMITS.rate)) texts.push('the rate policies of behavior');
  if (has(LIMITS.cooldown)) texts.push(`the cooldown of ${formatMs(tier.cooldownMs)} before zero`);
  if (has(LIMITS.activation)) texts.push('not above the activation value');
  if (has(LIMITS.min)) texts.push(`minReplicaCount ${Math.max(1, tier.min)}`);
  if (has(LIMITS.max)) texts.push(`maxReplicaCount ${tier.max}`);
  if (has(LIMITS.manual)) texts.push(`composure scale ${tier.service}=${state.manual}, until it is released`);
  if (has(LIMITS.paused)) texts.push('paused');
  if (has(LIMITS.held)) texts.push(`held by ${all.held[tier.project]}`);
  if (has(LIMITS.unproven)) texts.push(`${counts.busy} busy and ${counts.unknown} that nobody can tell to be idle stay`);
  if (has(LIMITS.noHost)) texts.push("the host's budget is not known yet");
  if (has(LIMITS.unlisted)) texts.push('the containers of some tier have not been listed yet');
  if (has(LIMITS.neverFits)) texts.push(`one worker (${needText(tier.need)}) is more than the whole budget`);
  if (has(LIMITS.pressure)) texts.push(`memory pressure: ${all.host?.pressure ?? 'over'}`);
  if (has(LIMITS.failing)) texts.push(`${state.failures} starts failed: ${state.failure ?? 'no reason given'}`);
  if (has(LIMITS.budget)) texts.push(`the host's budget has no room for another ${needText(tier.need)}`);
  if (has(LIMITS.reserved)) texts.push('room is kept for a tier that has waited longer over its target');
  if (has(LIMITS.starts)) texts.push('starts in flight: two a core');
  return texts;
}

export function needText({ cpus, memoryBytes }: { cpus: number; memoryBytes: number }): string {
  return `${number(cpus)} CPU, ${bytesText(memoryBytes)}`;
}

export function bytesText(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let unit = 0;
  while (Math.abs(value) >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${Math.round(value * 10) / 10} ${units[unit]}`;
}
