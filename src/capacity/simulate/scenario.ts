import type { Tier, TierClass } from '../../autoscale/model.ts';
import { GB, type Scenario } from './model.ts';

/** What a tier is where nothing else is said: drain target by class, window and cooldown of a minute, event-driven. */
export function tierWith(parts: Partial<Tier> & { service: string; class: TierClass; need: Tier['need']; max: number }): Tier {
  const project = parts.project ?? 'scenario';
  const rules = { selectPolicy: 'Max' as const, policies: [], tolerance: 0 };
  return {
    id: `${project}/${parts.service}`,
    project,
    drainTargetMs: { light: 5000, medium: 30_000, heavy: 120_000 }[parts.class],
    concurrency: 1,
    framework: 'bullmq',
    warm: { kind: 'none', count: 0 },
    min: 0,
    pollingIntervalMs: 5000,
    cooldownMs: 60_000,
    initialCooldownMs: 0,
    behavior: { scaleUp: { ...rules, stabilizationWindowMs: 0 }, scaleDown: { ...rules, stabilizationWindowMs: 60_000 } },
    pause: { paused: false, pausedScaleIn: false, pausedScaleOut: false },
    forceActivation: false,
    triggers: [{ name: 'redis-0', type: 'redis', metricType: 'AverageValue', activation: 0, activates: true, freezable: true }],
    bootMs: 3000,
    ...parts,
  };
}

/** Three tiers on a server of 16 cores and 64 GB, as the published comparison has them. */
export function referenceScenario(): Scenario {
  return {
    name: 'reference',
    budget: { cpus: 14, memoryBytes: 56 * GB, cores: 16 },
    tiers: [
      tierWith({
        service: 'light',
        class: 'light',
        concurrency: 4,
        need: { cpus: 0.5, memoryBytes: 0.5 * GB },
        max: 16,
        warm: { kind: 'frozen', count: 1 },
      }),
      tierWith({
        service: 'medium',
        class: 'medium',
        need: { cpus: 1, memoryBytes: 2 * GB },
        max: 10,
        warm: { kind: 'frozen', count: 1 },
      }),
      tierWith({
        service: 'heavy',
        class: 'heavy',
        need: { cpus: 2, memoryBytes: 6 * GB },
        max: 6,
      }),
    ],
  };
}
