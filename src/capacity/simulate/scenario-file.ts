import { parse } from 'yaml';
import { z } from 'zod';
import type { Tier } from '../../autoscale/model.ts';
import { Failure } from '../../kit/errors.ts';
import { count, duration, scalar, size, word } from '../../kit/fields.ts';
import type { Scenario } from './model.ts';
import { tierWith } from './scenario.ts';

const cpus = () => scalar('a number of cores above 0', positive, 'number');

function positive(text: string): number | undefined {
  const value = Number(text);
  return text.trim() !== '' && value > 0 && value < 1e6 ? value : undefined;
}

const tier = z.strictObject({
  class: word('light', 'medium', 'heavy'),
  cpus: cpus(),
  memory: size(),
  concurrency: count(1, 10_000).optional(),
  min: count(0, 10_000).optional(),
  max: count(1, 10_000),
  drainTarget: duration().optional(),
  boot: duration().optional(),
  cooldown: duration().optional(),
  /** The stabilization window on the way down. */
  window: duration().optional(),
  /** Jobs a worker, as KEDA's listLength; without it the drain target decides. */
  target: scalar('a number above 0', positive, 'number').optional(),
  warm: z.strictObject({ kind: word('frozen', 'stopped', 'none'), count: count(0, 1000) }).optional(),
});

const file = z.strictObject({
  name: z.string().optional(),
  /** What scaled services may have together. */
  host: z.strictObject({ cpus: cpus(), memory: size(), cores: cpus().optional() }),
  tiers: z.record(z.string(), tier).refine((tiers) => Object.keys(tiers).length > 0, 'there is no tier'),
});

/** Reads a scenario as YAML or JSON. Failure SIMULATION_INVALID lists every mistake. */
export function readScenario(text: string, path: string): Scenario {
  let content: unknown;
  try {
    content = parse(text);
  } catch (error) {
    throw new Failure('SIMULATION_INVALID', 'the scenario is not YAML', { where: path, details: [(error as Error).message] });
  }
  const result = file.safeParse(content);
  if (!result.success) {
    throw new Failure('SIMULATION_INVALID', 'the scenario is not one', {
      where: path,
      details: result.error.issues.map((issue) => `${issue.path.join('.') || 'the file'}: ${issue.message}`),
    });
  }
  const { name, host, tiers } = result.data;
  return {
    name: name ?? path.replace(/^.*[\\/]/, '').replace(/\.[a-z]+$/, ''),
    budget: { cpus: host.cpus, memoryBytes: host.memory, cores: host.cores ?? Math.ceil(host.cpus) },
    tiers: Object.entries(tiers).map(([service, parts]) => tierOfFile(service, parts)),
  };
}

function tierOfFile(service: string, parts: z.infer<typeof tier>): Tier {
  const base = tierWith({ service, class: parts.class, need: { cpus: parts.cpus, memoryBytes: parts.memory }, max: parts.max });
  return {
    ...base,
    concurrency: parts.concurrency ?? base.concurrency,
    min: parts.min ?? base.min,
    drainTargetMs: parts.drainTarget ?? base.drainTargetMs,
    bootMs: parts.boot ?? base.bootMs,
    cooldownMs: parts.cooldown ?? base.cooldownMs,
    warm: parts.warm ?? base.warm,
    behavior: {
      ...base.behavior,
      scaleDown: {
        ...base.behavior.scaleDown,
        stabilizationWindowMs: parts.window ?? base.behavior.scaleDown.stabilizationWindowMs,
      },
    },
    triggers: base.triggers.map((trigger) => (parts.target === undefined ? trigger : { ...trigger, target: parts.target })),
  };
}
