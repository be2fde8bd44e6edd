import { Failure } from '../kit/errors.ts';
import { canFallBack, whichFreezable } from '../project/autoscale.ts';
import type { AutoscaleRules, AutoscaleSpec, AutoscaleTrigger, Project, Service } from '../project/model.ts';
import { triggerType } from '../triggers/list.ts';
import type { Framework, TriggerType } from '../triggers/model.ts';
import { type AlwaysOn, fitting } from './budget.ts';
import type { Fallback, HostBudget, Need, ScalingRules, Tier, TierTrigger, Warm } from './model.ts';

/** Ours, where the file says nothing. KEDA's and HPA's own are in the guide, beside the reason for each. */
export const DEFAULTS = {
  /** Reading costs nothing that could be measured; 30 s, as KEDA has it, is what jobs would wait. */
  pollingIntervalMs: 5000,
  /** KEDA: 300 s. In simulation 60 s cost no wait and up to half the CPU time. */
  cooldownMs: 60_000,
  initialCooldownMs: 0,
  min: 0,
  drainTargetMs: { light: 5000, medium: 30_000, heavy: 120_000 },
  /** Until a start has been measured. */
  bootMs: 3000,
  /** Ten starts: going down pays only when the container would stay away for much longer than its return takes. */
  scaleDownWindow: { boots: 10, minMs: 60_000, maxMs: 300_000 },
  scaleUpWindowMs: 0,
  /** HPA's, for what swings around its target all the time. Counting jobs is exact and needs none. */
  levelTolerance: 0.1,
  failureThreshold: 3,
  /** Sidekiq's own. */
  sidekiqConcurrency: 5,
  /** Where no CPU limit is set. */
  cpus: 1,
  /** Up to this drain target one frozen container is worth its memory. */
  frozenDrainTargetMs: 5000,
} as const;

export interface TierOptions {
  /** What all scaled services may use: without it the default of `max` is what is written for `min`, at least 1. */
  budget?: HostBudget;
  /** Start until ready, as measured; undefined: not yet. */
  bootMs?: number;
  /** Default: all there are. */
  types?: readonly TriggerType[];
}

export type ScaledService = Service & { autoscale: AutoscaleSpec };

/** The services of a project that have x-autoscale. */
export const scaledServices = ({ services }: Project): ScaledService[] =>
  Object.values(services).filter((service): service is ScaledService => service.autoscale !== undefined);

/** The services of a project that run whatever the queues hold: what they may use is not there for scaled ones. Release jobs end by themselves. */
export const alwaysOnOf = ({ name, services }: Project): AlwaysOn[] =>
  Object.values(services)
    .filter(({ autoscale, release, replicas }) => !autoscale && !release && replicas > 0)
    .map((service) => ({
      name: `${name}/${service.name}`,
      containers: service.replicas,
      limit: { cpus: service.cpus, memoryBytes: service.memoryLimitBytes },
      ...(service.reservedCpus === undefined ? {} : { reservedCpus: service.reservedCpus }),
    }));

/** A scaled service with every default filled in, and what a person should know about what was assumed. Pure. */
export function tierOf(project: string, service: ScaledService, options: TierOptions = {}): { tier: Tier; warnings: string[] } {
  const spec = service.autoscale;
  const warnings: string[] = [];
  const triggers = readTriggers(spec.triggers, options.types);
  const need = needOf(service, warnings);
  const min = spec.min ?? (triggers.some(({ activates }) => activates) ? DEFAULTS.min : 1);
  const max = spec.max ?? Math.max(1, min, options.budget ? fitting(need, options.budget) : 0);
  const bootMs = options.bootMs ?? DEFAULTS.bootMs;
  const drainTargetMs = spec.tier.drainTargetMs ?? DEFAULTS.drainTargetMs[spec.tier.class];
  const fallback = spec.fallback ?? (canFallBack(spec) ? defaultFallback(min) : undefined);
  const tolerance = hasLevel(spec) ? DEFAULTS.levelTolerance : 0;
  const { boots, minMs, maxMs } = DEFAULTS.scaleDownWindow;
  const tier: Tier = {
    id: `${project}/${service.name}`,
    project,
    service: service.name,
    class: spec.tier.class,
    drainTargetMs,
    concurrency: spec.tier.concurrency ?? concurrencyOf(service, spec.tier.framework, warnings),
    ...(spec.tier.framework === undefined ? {} : { framework: spec.tier.framework }),
    warm: spec.tier.warm ?? defaultWarm(service, triggers, drainTargetMs, min),
    ...(spec.tier.busy === undefined ? {} : { busy: spec.tier.busy }),
    min,
    max,
    ...(spec.idle === undefined ? {} : { idle: spec.idle }),
    pollingIntervalMs: spec.pollingIntervalMs ?? DEFAULTS.pollingIntervalMs,
    cooldownMs: spec.cooldownMs ?? DEFAULTS.cooldownMs,
    initialCooldownMs: spec.initialCooldownMs ?? DEFAULTS.initialCooldownMs,
    ...(fallback === undefined ? {} : { fallback }),
    behavior: {
      scaleUp: rules(spec.behavior.scaleUp, DEFAULTS.scaleUpWindowMs, tolerance, max, 'up'),
      scaleDown: rules(
        spec.behavior.scaleDown,
        Math.min(maxMs, Math.max(minMs, Math.ceil((boots * bootMs) / 1000) * 1000)),
        tolerance,
        max,
        'down',
      ),
    },
    ...(spec.scalingModifiers === undefined ? {} : { scalingModifiers: spec.scalingModifiers }),
    pause: spec.pause,
    forceActivation: spec.forceActivation,
    triggers,
    need,
    bootMs,
  };
  return { tier, warnings };
}

function readTriggers(triggers: readonly AutoscaleTrigger[], types: readonly TriggerType[] | undefined): TierTrigger[] {
  const found = triggers.map((trigger) => {
    const type = types ? types.find((one) => one.type === trigger.type) : triggerType(trigger.type);
    if (!type) throw new Error(`no trigger of type ${trigger.type}`);
    return { trigger, type };
  });
  const freezable = whichFreezable(found.map(({ type }) => type));
  return found.map(({ trigger, type }, index) => {
    const { value, activation } = type.target(trigger.metadata);
    return {
      name: trigger.name,
      type: trigger.type,
      metricType: trigger.metricType,
      ...(value === undefined ? {} : { target: value }),
      activation,
      activates: type.activates,
      freezable: freezable[index] === true,
    };
  });
}

function needOf(service: Service, warnings: string[]): Need {
  if (service.memoryLimitBytes === 0) {
    throw new Failure('CONFIG_INVALID', `service ${service.name} is scaled and has no memory limit`, {
      where: service.name,
      next: 'set deploy.resources.limits.memory: it is how the room on the host is counted, and what the kernel holds the container to',
    });
  }
  if (service.cpus === 0) {
    warnings.push(
      `service ${service.name} has no deploy.resources.limits.cpus: ${DEFAULTS.cpus} CPU is assumed for each container, and nothing holds it to that`,
    );
  }
  return { cpus: service.cpus || DEFAULTS.cpus, memoryBytes: service.memoryLimitBytes };
}

/** A metric that is lost never takes a worker away. */
const defaultFallback = (min: number): Fallback => ({
  failureThreshold: DEFAULTS.failureThreshold,
  replicas: Math.max(1, min),
  behavior: 'currentReplicasIfHigher',
});

/** Of Celery and Sidekiq the command says it, if anybody does. */
function concurrencyOf({ name, command = [] }: Service, framework: Framework | undefined, warnings: string[]): number {
  if (framework !== 'celery' && framework !== 'sidekiq') return 1;
  // `sh -c "celery worker -c 4"` is one word.
  const words = command.flatMap((word) => word.split(/\s+/));
  for (const [index, word] of words.entries()) {
    const match = /^(?:-c|--concurrency)(?:=?(\d+))?$/.exec(word);
    const written = match && (match[1] ?? words[index + 1]);
    if (written && /^[1-9]\d*$/.test(written)) return Number(written);
  }
  if (framework === 'sidekiq') return DEFAULTS.sidekiqConcurrency;
  warnings.push(
    `service ${name}: the command does not say how many tasks a Celery worker runs at a time, and Celery then takes the host’s cores: 1 is assumed; give the command -c, or set x-autoscale.tier.concurrency`,
  );
  return 1;
}

/** A frozen worker stands beside nobody that runs: it only makes sense where the service goes to zero. */
function defaultWarm({ autoscale: spec, edge }: ScaledService, triggers: readonly TierTrigger[], drainTargetMs: number, min: number): Warm {
  if (spec.tier.class === 'heavy') return { kind: 'none', count: 0 };
  const goesToZero = min === 0 || spec.idle === 0;
  // Requests that reach a frozen container would hang.
  const mayFreeze = edge.length === 0 && triggers.every(({ freezable }) => freezable);
  if (goesToZero && mayFreeze && drainTargetMs <= DEFAULTS.frozenDrainTargetMs) return { kind: 'frozen', count: 1 };
  return { kind: 'stopped', count: 1 };
}

/** A level is held near its target; a queue is counted. */
const hasLevel = ({ triggers, scalingModifiers }: AutoscaleSpec): boolean =>
  scalingModifiers
    ? scalingModifiers.metricType === 'Value'
    : triggers.some(({ metricType, type }) => metricType !== 'AverageValue' || type === 'cpu' || type === 'memory');

function rules(written: AutoscaleRules, windowMs: number, tolerance: number, max: number, direction: 'up' | 'down'): ScalingRules {
  const { selectPolicy } = written;
  const limiting = (written.policies ?? []).filter(
    ({ type, value }) => !(type === 'Pods' ? value >= max : direction === 'down' && value >= 100),
  );
  // One policy that lets everything through decides where the largest counts, and never where the smallest does.
  const isFree = selectPolicy === 'Max' && limiting.length < (written.policies ?? []).length;
  return {
    stabilizationWindowMs: written.stabilizationWindowMs ?? windowMs,
    selectPolicy,
    policies: isFree ? [] : limiting,
    tolerance: written.tolerance ?? tolerance,
  };
}
