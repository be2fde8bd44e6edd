import { Failure } from '../kit/errors.ts';
import { parseFormula } from '../triggers/formula.ts';
import { TRIGGERS, triggerType } from '../triggers/list.ts';
import type { TriggerType } from '../triggers/model.ts';
import {
  ANNOTATIONS,
  type AutoscaleFields,
  anyTrigger,
  autoscaleFields,
  type ScaledObjectForm,
  scaledObjectForm,
} from './autoscale-schema.ts';
import { checkKey, fieldName, type Problem } from './check.ts';
import type { AutoscaleRules, AutoscaleSpec, AutoscaleTrigger } from './model.ts';
import { isMapping, mapping, type PlainService } from './services.ts';
import type { Path, Source } from './sources.ts';
import { closest } from './suggest.ts';

type Mapping = Record<string, unknown>;

export interface AutoscaleInput {
  /** The value of x-autoscale. */
  value: unknown;
  service: PlainService;
  /** Host ports of the service as Compose writes them, in their order. */
  ports: readonly unknown[];
  sources: readonly Source[];
  /** Default: all there are. */
  types?: readonly TriggerType[];
}

/** x-autoscale of one service, checked. Pure; what is wrong goes into `problems`, what should be known into `warnings`. */
export function readAutoscale(
  { value, service, ports, sources, types = TRIGGERS }: AutoscaleInput,
  problems: Problem[],
  warnings: Problem[],
): AutoscaleSpec | undefined {
  const path: Path = ['services', service.name, 'x-autoscale'];
  const before = problems.length;
  const whole = isMapping(value) && ('kind' in value || 'apiVersion' in value || 'spec' in value);
  const known = withoutRefused(value, whole, path, problems);
  const form = whole
    ? fromObject(checkKey(scaledObjectForm, known, path, sources, problems), path, problems)
    : checkKey(autoscaleFields, known, path, sources, problems);
  const specPath: Path = whole ? [...path, 'spec'] : path;
  checkMemory(service, path, problems);
  if (!form) {
    // The triggers are looked at even so: all mistakes are told at once.
    const written = mapping(whole ? mapping(known).spec : known).triggers;
    for (const [index, raw] of Array.isArray(written) ? written.entries() : []) {
      const trigger = anyTrigger.safeParse(raw).data;
      if (trigger) readTrigger(trigger, [...specPath, 'triggers', index], index, types, sources, problems);
    }
    return undefined;
  }
  const target = mapping(form.scaleTargetRef).name;
  if (form.scaleTargetRef !== undefined && target !== service.name) {
    const named = target === undefined ? '' : `, not "${String(target)}"`;
    warnings.push({
      path: [...specPath, 'scaleTargetRef'],
      message: `${fieldName([...specPath, 'scaleTargetRef'])} has no effect: what is scaled is the service that holds the key${named}`,
    });
  }
  const triggers = form.triggers.flatMap((trigger, index) =>
    readTrigger(trigger, [...specPath, 'triggers', index], index, types, sources, problems),
  );
  if (problems.length > before || triggers.length < form.triggers.length) return undefined;
  const spec = { ...readFields(form), triggers };
  checkCounts(spec, specPath, types, problems);
  checkFallback(spec, specPath, problems);
  checkFormula(spec, specPath, problems);
  checkWarm(spec, path, types, problems);
  checkService(spec, service, ports, problems);
  return problems.length > before ? undefined : spec;
}

/** What KEDA has and we do not, where "no such field" would not help. */
function withoutRefused(value: unknown, whole: boolean, path: Path, problems: Problem[]): unknown {
  if (!isMapping(value)) return value;
  const refuse = (where: Path, text: string) => problems.push({ path: where, message: `${fieldName(where)}: ${text}` });
  const spec = whole ? value.spec : value;
  const specPath: Path = whole ? [...path, 'spec'] : path;
  if (!isMapping(spec)) return value;
  const { jobTargetRef, ...rest } = spec;
  if (jobTargetRef !== undefined)
    refuse(
      [...specPath, 'jobTargetRef'],
      'a ScaledJob starts a container for each job, which is not done here; scale a service of workers',
    );
  const triggers = Array.isArray(rest.triggers)
    ? rest.triggers.map((trigger, index) => {
        if (!isMapping(trigger) || !('authenticationRef' in trigger)) return trigger;
        const { authenticationRef: _, ...others } = trigger;
        refuse(
          [...specPath, 'triggers', index, 'authenticationRef'],
          'there is no TriggerAuthentication here; put the secret into the environment of the service and name its variable in metadata, in a key that ends in FromEnv',
        );
        return others;
      })
    : rest.triggers;
  const known = triggers === undefined ? rest : { ...rest, triggers };
  return whole ? { ...value, spec: known } : known;
}

/** The fields of a whole ScaledObject: its spec, and its annotations in our words. */
function fromObject(object: ScaledObjectForm | undefined, path: Path, problems: Problem[]): AutoscaleFields | undefined {
  if (!object) return undefined;
  const annotations: Mapping = object.metadata?.annotations ?? {};
  const fields: Mapping = {};
  for (const [name, value] of Object.entries(annotations)) {
    const where = [...path, 'metadata', 'annotations', name];
    const field = ANNOTATIONS[name as keyof typeof ANNOTATIONS];
    if (field !== undefined) {
      fields[field] = value;
    } else if (name.startsWith('autoscaling.keda.sh/')) {
      const guess = closest(name, Object.keys(ANNOTATIONS));
      problems.push({
        path: where,
        message: `service ${path[1]}: the annotation ${name} is not known here${guess === undefined ? `; known: ${Object.keys(ANNOTATIONS).join(', ')}` : `; did you mean "${guess}"?`}`,
      });
    }
  }
  return { ...object.spec, ...(fields as Partial<AutoscaleFields>), ...(object.tier ? { tier: object.tier } : {}) };
}

function readTrigger(
  trigger: AutoscaleFields['triggers'][number],
  path: Path,
  index: number,
  types: readonly TriggerType[],
  sources: readonly Source[],
  problems: Problem[],
): AutoscaleTrigger[] {
  const type = types === TRIGGERS ? triggerType(trigger.type) : types.find((one) => one.type === trigger.type);
  if (!type) {
    const names = types.map((one) => one.type);
    const guess = closest(trigger.type, names);
    const hint = guess ? `did you mean "${guess}"?` : `known types: ${names.join(', ')}`;
    problems.push({ path: [...path, 'type'], message: `${fieldName([...path, 'type'])}: there is no trigger "${trigger.type}"; ${hint}` });
    return [];
  }
  const metricType = trigger.metricType ?? type.metricTypes[0];
  if (!type.metricTypes.includes(metricType)) {
    const where = [...path, 'metricType'];
    problems.push({
      path: where,
      message: `${fieldName(where)}: a ${type.type} trigger knows ${type.metricTypes.join(' and ')}, not ${metricType}`,
    });
  }
  const written = textual(trigger.metadata);
  const metadata = checkKey(type.metadata, written, [...path, 'metadata'], sources, problems);
  if (metadata === undefined) return [];
  return [
    {
      name: trigger.name ?? `${type.type}-${index}`,
      type: type.type,
      metricType,
      metadata,
      written: {
        ...(trigger.name === undefined ? {} : { name: trigger.name }),
        ...(trigger.metricType === undefined ? {} : { metricType: trigger.metricType }),
        ...(trigger.useCachedMetrics === undefined ? {} : { useCachedMetrics: trigger.useCachedMetrics }),
        metadata: written,
      },
    },
  ];
}

/** KEDA's metadata are texts; YAML reads an unquoted 5 or true as something else. */
function textual(metadata: Mapping): Mapping {
  return Object.fromEntries(
    Object.entries(metadata).map(([key, value]) => [key, typeof value === 'number' || typeof value === 'boolean' ? String(value) : value]),
  );
}

function readFields(form: AutoscaleFields): Omit<AutoscaleSpec, 'triggers'> {
  const { advanced, fallback, tier } = form;
  const hpa = advanced?.horizontalPodAutoscalerConfig;
  return defined({
    pollingIntervalMs: seconds(form.pollingInterval),
    cooldownMs: seconds(form.cooldownPeriod),
    initialCooldownMs: seconds(form.initialCooldownPeriod),
    idle: form.idleReplicaCount,
    min: form.minReplicaCount,
    max: form.maxReplicaCount,
    fallback,
    behavior: { scaleUp: readRules(hpa?.behavior?.scaleUp), scaleDown: readRules(hpa?.behavior?.scaleDown) },
    scalingModifiers: advanced?.scalingModifiers,
    pause: defined({
      paused: form.paused ?? false,
      pausedReplicas: form.pausedReplicas,
      pausedScaleIn: form.pausedScaleIn ?? false,
      pausedScaleOut: form.pausedScaleOut ?? false,
    }),
    forceActivation: form.forceActivation ?? false,
    tier: defined({
      class: tier?.class ?? ('medium' as const),
      drainTargetMs: tier?.drainTarget,
      concurrency: tier?.concurrency,
      framework: tier?.framework,
      warm: readWarm(tier?.warm),
      busy: readBusy(tier?.busy),
    }),
    keda: defined({ restoreToOriginalReplicaCount: advanced?.restoreToOriginalReplicaCount, hpaName: hpa?.name }),
  });
}

type Rules = NonNullable<
  NonNullable<NonNullable<NonNullable<AutoscaleFields['advanced']>['horizontalPodAutoscalerConfig']>['behavior']>['scaleUp']
>;

function readRules(rules: Rules | undefined): AutoscaleRules {
  return defined({
    stabilizationWindowMs: seconds(rules?.stabilizationWindowSeconds),
    selectPolicy: rules?.selectPolicy ?? ('Max' as const),
    policies: rules?.policies?.map(({ type, value, periodSeconds }) => ({ type, value, periodMs: periodSeconds * 1000 })),
    tolerance: rules?.tolerance,
  });
}

function readWarm(warm: NonNullable<AutoscaleFields['tier']>['warm']): AutoscaleSpec['tier']['warm'] {
  if (warm === undefined) return undefined;
  if (warm === 'none') return { kind: 'none', count: 0 };
  if (typeof warm === 'string') return { kind: warm, count: 1 };
  return warm.frozen === undefined ? { kind: 'stopped', count: warm.stopped ?? 1 } : { kind: 'frozen', count: warm.frozen };
}

function readBusy(busy: NonNullable<AutoscaleFields['tier']>['busy']): AutoscaleSpec['tier']['busy'] {
  if (busy?.exec) return { kind: 'exec', command: busy.exec };
  if (busy?.http) return { kind: 'http', ...busy.http };
  return busy?.file === undefined ? undefined : { kind: 'file', path: busy.file };
}

function checkCounts(spec: AutoscaleSpec, path: Path, types: readonly TriggerType[], problems: Problem[]): void {
  const wrong = (field: string, text: string) =>
    problems.push({ path: [...path, field], message: `${fieldName([...path, field])}: ${text}` });
  const { min, max, idle } = spec;
  if (min !== undefined && max !== undefined && min > max) wrong('minReplicaCount', `${min} is more than maxReplicaCount, ${max}`);
  if (idle !== undefined && idle >= (min ?? 0)) {
    wrong('idleReplicaCount', 'it has to be less than minReplicaCount; with a minReplicaCount of 0 the service goes to zero without it');
  }
  const lifts = spec.triggers.filter((trigger) => types.find((type) => type.type === trigger.type)?.activates !== false);
  if (lifts.length === 0 && (min === 0 || idle === 0)) {
    const names = [...new Set(spec.triggers.map(({ type }) => type))].join(' and ');
    wrong(
      idle === 0 ? 'idleReplicaCount' : 'minReplicaCount',
      `a service without a container uses nothing, so ${names} could never lift it from zero; keep at least 1, or add a trigger that can`,
    );
  }
  const seen = new Set<string>();
  for (const [index, { name }] of spec.triggers.entries()) {
    const where = [...path, 'triggers', index, 'name'];
    if (seen.has(name)) problems.push({ path: where, message: `${fieldName(where)}: another trigger is called "${name}" too` });
    seen.add(name);
  }
}

/** KEDA's rule: a fallback is a number of workers times the target, which only an average has. */
export function canFallBack({ scalingModifiers, triggers }: Pick<AutoscaleSpec, 'scalingModifiers' | 'triggers'>): boolean {
  if (scalingModifiers) return scalingModifiers.metricType === 'AverageValue';
  return triggers.some(({ type, metricType }) => metricType === 'AverageValue' && type !== 'cpu' && type !== 'memory');
}

function checkFallback(spec: AutoscaleSpec, path: Path, problems: Problem[]): void {
  const where = [...path, 'fallback'];
  if (spec.fallback && !canFallBack(spec))
    problems.push({
      path: where,
      message: `${fieldName(where)}: it needs a metric of type AverageValue, from another trigger than cpu and memory, as in KEDA`,
    });
}

/** KEDA's rule: a formula reads triggers by their names. */
function checkFormula(spec: AutoscaleSpec, path: Path, problems: Problem[]): void {
  if (!spec.scalingModifiers) return;
  const where = [...path, 'advanced', 'scalingModifiers', 'formula'];
  const named = spec.triggers.flatMap(({ written }) => written.name ?? []);
  const wrong = formulaProblem(spec.scalingModifiers.formula, named);
  if (wrong !== undefined) problems.push({ path: where, message: `${fieldName(where)}: ${wrong}` });
}

function formulaProblem(formula: string, named: readonly string[]): string | undefined {
  if (named.length === 0) return 'a formula reads triggers by name; give them names';
  try {
    return parseFormula(formula, named).names.length > 0 ? undefined : `it reads none of the triggers ${named.join(', ')}`;
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return error.message.replace(/^The formula/, 'it').replace(/\.$/, '');
  }
}

/** They read nothing that a worker is connected to: what it is connected to is known from the other triggers. */
const NO_CONNECTION: readonly string[] = ['cron', 'cpu', 'memory'];

/** Of triggers of these types beside each other: whose workers may be frozen. A trigger without a connection says what the others say. */
export function whichFreezable(types: readonly Pick<TriggerType, 'type' | 'freezable'>[]): boolean[] {
  const isKnown = types.some(({ freezable }) => freezable);
  return types.map(({ type, freezable }) => freezable || (isKnown && NO_CONNECTION.includes(type)));
}

function checkWarm(spec: AutoscaleSpec, path: Path, types: readonly TriggerType[], problems: Problem[]): void {
  if (spec.tier.warm?.kind !== 'frozen') return;
  const where = [...path, 'tier', 'warm'];
  const found = spec.triggers.flatMap((trigger) => types.find((type) => type.type === trigger.type) ?? []);
  const freezable = whichFreezable(found);
  const dropped = spec.triggers.find((_, index) => freezable[index] === false);
  if (dropped)
    problems.push({
      path: where,
      message: `${fieldName(where)}: a worker that a ${dropped.type} trigger scales cannot be frozen, because what it is connected to may drop a client that stays silent; choose stopped or none`,
    });
  else if ((spec.min ?? 0) > 0 && spec.idle === undefined)
    problems.push({
      path: where,
      message: `${fieldName(where)}: beside ${spec.min} running ${spec.min === 1 ? 'worker' : 'workers'} a frozen one would be handed jobs that it cannot run; choose stopped or none, set minReplicaCount: 0, or add idleReplicaCount: 0`,
    });
}

function checkMemory(service: PlainService, path: Path, problems: Problem[]): void {
  if (service.memoryLimitBytes > 0) return;
  problems.push({
    path,
    message: `service ${service.name}: x-autoscale needs deploy.resources.limits.memory: without a limit nobody can say how many containers the host has room for`,
  });
}

/** What makes a second container impossible. */
function checkService(spec: AutoscaleSpec, service: PlainService, ports: readonly unknown[], problems: Problem[]): void {
  const own: Path = ['services', service.name];
  const wrong = (where: Path, text: string) => problems.push({ path: where, message: `service ${service.name}: ${text}` });
  if (spec.max === 1) return;
  const once = 'set maxReplicaCount: 1, or remove it';
  if (service.containerName !== undefined)
    wrong([...own, 'container_name'], `with container_name "${service.containerName}" it cannot run twice; ${once}`);
  for (const [index, port] of ports.entries()) {
    const published = String(mapping(port).published ?? '');
    if (/^[1-9]\d*$/.test(published))
      wrong([...own, 'ports', index], `host port ${published} can be taken once, so it cannot run twice; ${once}`);
  }
}

const seconds = (value: number | undefined): number | undefined => (value === undefined ? undefined : value * 1000);

type Defined<T> = { [K in keyof T as undefined extends T[K] ? never : K]: T[K] } & {
  [K in keyof T as undefined extends T[K] ? K : never]?: Exclude<T[K], undefined>;
};

/** Without the fields that hold undefined. */
function defined<T extends object>(value: T): Defined<T> {
  return Object.fromEntries(Object.entries(value).filter(([, one]) => one !== undefined)) as Defined<T>;
}
