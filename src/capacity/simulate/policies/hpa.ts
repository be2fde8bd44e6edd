import type { ScalingRules } from '../../../autoscale/model.ts';

/** HPA v2's defaults for `behavior`. */
export const HPA_DEFAULTS: { scaleUp: ScalingRules; scaleDown: ScalingRules } = {
  scaleUp: {
    stabilizationWindowMs: 0,
    selectPolicy: 'Max',
    policies: [
      { type: 'Pods', value: 4, periodMs: 15_000 },
      { type: 'Percent', value: 100, periodMs: 15_000 },
    ],
    tolerance: 0.1,
  },
  scaleDown: {
    stabilizationWindowMs: 300_000,
    selectPolicy: 'Max',
    policies: [{ type: 'Percent', value: 100, periodMs: 15_000 }],
    tolerance: 0.1,
  },
};

/** What the controller remembers of one target. */
export interface HpaMemory {
  recommendations: { atMs: number; replicas: number }[];
  scaled: { atMs: number; by: number }[];
}

export const freshMemory = (): HpaMemory => ({ recommendations: [], scaled: [] });

/** Replicas for a metric of the type AverageValue: total over target, or what there is when that is within the tolerance. */
export function recommend(
  total: number,
  target: number,
  current: number,
  rules: { scaleUp: ScalingRules; scaleDown: ScalingRules },
): number {
  const ratio = current === 0 ? Number.POSITIVE_INFINITY : total / (target * current);
  const isWithin = ratio >= 1 - rules.scaleDown.tolerance && ratio <= 1 + rules.scaleUp.tolerance;
  return isWithin ? current : Math.ceil(total / target);
}

/**
 * One sync of the HorizontalPodAutoscaler after its metric: stabilization windows (lowest recommendation for up, highest for down), rate
 * policies, then min and max. Rates are counted from the replicas at the start of a policy's period. `memory` is changed.
 */
export function syncHpa(
  recommended: number,
  current: number,
  bounds: { min: number; max: number },
  rules: { scaleUp: ScalingRules; scaleDown: ScalingRules },
  memory: HpaMemory,
  nowMs: number,
): number {
  let up = recommended;
  let down = recommended;
  const longest = Math.max(rules.scaleUp.stabilizationWindowMs, rules.scaleDown.stabilizationWindowMs);
  memory.recommendations = memory.recommendations.filter(({ atMs }) => atMs > nowMs - longest);
  for (const { atMs, replicas } of memory.recommendations) {
    if (atMs > nowMs - rules.scaleUp.stabilizationWindowMs) up = Math.min(up, replicas);
    if (atMs > nowMs - rules.scaleDown.stabilizationWindowMs) down = Math.max(down, replicas);
  }
  memory.recommendations.push({ atMs: nowMs, replicas: recommended });
  let stabilized = current;
  if (stabilized < up) stabilized = up;
  if (stabilized > down) stabilized = down;

  let desired = stabilized;
  if (stabilized > current) desired = Math.min(stabilized, rateLimit(rules.scaleUp, current, 1, memory, nowMs));
  else if (stabilized < current) desired = Math.max(stabilized, rateLimit(rules.scaleDown, current, -1, memory, nowMs));
  desired = Math.min(bounds.max, Math.max(bounds.min, desired));

  const keepMs = Math.max(0, ...[...rules.scaleUp.policies, ...rules.scaleDown.policies].map(({ periodMs }) => periodMs));
  memory.scaled = memory.scaled.filter(({ atMs }) => atMs > nowMs - keepMs);
  if (desired !== current) memory.scaled.push({ atMs: nowMs, by: desired - current });
  return desired;
}

function rateLimit(rules: ScalingRules, current: number, direction: 1 | -1, memory: HpaMemory, nowMs: number): number {
  if (rules.selectPolicy === 'Disabled') return current;
  if (rules.policies.length === 0) return direction === 1 ? Number.POSITIVE_INFINITY : 0;
  const limits = rules.policies.map(({ type, value, periodMs }) => {
    let atStart = current;
    for (const { atMs, by } of memory.scaled) if (atMs > nowMs - periodMs) atStart -= by;
    if (type === 'Pods') return atStart + direction * value;
    return direction === 1 ? Math.ceil(atStart * (1 + value / 100)) : Math.trunc(atStart * (1 - value / 100));
  });
  // Max is the policy that changes most: the highest count on the way up, the lowest on the way down.
  const most = (direction === 1) === (rules.selectPolicy === 'Max');
  const limit = most ? Math.max(...limits) : Math.min(...limits);
  // What was used up within the period stops the way, it does not turn it round.
  return direction === 1 ? Math.max(limit, current) : Math.min(limit, current);
}
