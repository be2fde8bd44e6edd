import { Document, isMap, isSeq, type Node } from 'yaml';
import type { AutoscaleSpec, AutoscaleTrigger } from '../project/model.ts';
import { keyJsonSchema } from '../project/schema.ts';
import { triggerType } from '../triggers/list.ts';
import type { TriggerType } from '../triggers/model.ts';
import { kedaMetadata } from './keda.ts';
import type { ScalingRules, Tier } from './model.ts';
import type { ScaledService } from './tiers.ts';

/** A ScaledObject of keda.sh/v1alpha1, and what a person should know before applying it. */
export interface ExportedObject {
  service: string;
  object: { apiVersion: string; kind: string; metadata: Record<string, unknown>; spec: Record<string, unknown> };
  /** About the object as a whole. */
  notes: string[];
  /** About each trigger of the object, in its order. */
  triggerNotes: string[][];
}

/**
 * What a scaled service is in KEDA: every default written, because ours differ from KEDA's, and what KEDA has no word for in notes. Pasted
 * back as x-autoscale, with the same `tier`, it makes the same Tier, except that a target then is written. Pure.
 */
export function scaledObject(service: ScaledService, tier: Tier, types?: readonly TriggerType[]): ExportedObject {
  const spec = service.autoscale;
  const name = kubernetesName(service.name);
  const notes: string[] = [];
  const triggers = spec.triggers.flatMap((trigger, index) => {
    const target = tier.triggers[index]?.target;
    const type = types ? types.find((one) => one.type === trigger.type) : triggerType(trigger.type);
    const keda = type && kedaMetadata({ type: trigger.type, metadata: trigger.written.metadata, defaults: defaultsOf(type) }, tier, target);
    if (!keda) {
      notes.push(
        `The trigger ${trigger.name} is left out: KEDA has no trigger "${trigger.type}". Offer the number over HTTP and use metrics-api.`,
      );
      return [];
    }
    return [{ trigger: kedaTrigger(trigger, keda.metadata), notes: keda.notes }];
  });
  if (triggers.length === 0) notes.push('Without a trigger KEDA refuses it.');
  notes.push(...objectNotes(service, name));
  const annotations = annotationsOf(tier);
  return {
    service: service.name,
    object: {
      apiVersion: 'keda.sh/v1alpha1',
      kind: 'ScaledObject',
      metadata: { name, ...(Object.keys(annotations).length > 0 ? { annotations } : {}) },
      spec: {
        scaleTargetRef: { name },
        pollingInterval: tier.pollingIntervalMs / 1000,
        cooldownPeriod: tier.cooldownMs / 1000,
        initialCooldownPeriod: tier.initialCooldownMs / 1000,
        ...(tier.idle === undefined ? {} : { idleReplicaCount: tier.idle }),
        minReplicaCount: tier.min,
        maxReplicaCount: tier.max,
        ...(tier.fallback ? { fallback: { ...tier.fallback } } : {}),
        advanced: advancedOf(spec, tier),
        triggers: triggers.map(({ trigger }) => trigger),
      },
    },
    notes,
    triggerNotes: triggers.map((one) => one.notes),
  };
}

function advancedOf(spec: AutoscaleSpec, tier: Tier): Record<string, unknown> {
  const modifiers = tier.scalingModifiers;
  return {
    restoreToOriginalReplicaCount: spec.keda.restoreToOriginalReplicaCount ?? true,
    horizontalPodAutoscalerConfig: {
      ...(spec.keda.hpaName === undefined ? {} : { name: spec.keda.hpaName }),
      behavior: {
        scaleUp: rulesOf(tier.behavior.scaleUp, { type: 'Pods', value: tier.max, periodSeconds: 15 }),
        scaleDown: rulesOf(tier.behavior.scaleDown, { type: 'Percent', value: 100, periodSeconds: 15 }),
      },
    },
    ...(modifiers
      ? { scalingModifiers: { ...modifiers, target: String(modifiers.target), activationTarget: String(modifiers.activationTarget) } }
      : {}),
  };
}

/** HPA limits the rate where no policy is written, so no limit is written as a policy that lets everything through. */
function rulesOf(rules: ScalingRules, unlimited: object): Record<string, unknown> {
  const policies = rules.policies.map(({ type, value, periodMs }) => ({ type, value, periodSeconds: periodMs / 1000 }));
  return {
    stabilizationWindowSeconds: rules.stabilizationWindowMs / 1000,
    selectPolicy: rules.selectPolicy,
    policies: policies.length > 0 ? policies : [unlimited],
    tolerance: String(rules.tolerance),
  };
}

function kedaTrigger(trigger: AutoscaleTrigger, metadata: Record<string, string>): Record<string, unknown> {
  return {
    type: trigger.type,
    name: trigger.name,
    metricType: trigger.metricType,
    ...(trigger.written.useCachedMetrics === undefined ? {} : { useCachedMetrics: trigger.written.useCachedMetrics }),
    metadata,
  };
}

/** What the trigger's own schema fills in, as text. */
function defaultsOf(type: TriggerType): Record<string, string> {
  const properties = Object.entries(keyJsonSchema(type.metadata).properties ?? {});
  return Object.fromEntries(
    properties.flatMap(([key, field]) => {
      const value = typeof field === 'object' ? field.default : undefined;
      return value === undefined || value === null || typeof value === 'object' ? [] : [[key, String(value)]];
    }),
  );
}

function annotationsOf({ pause, forceActivation }: Tier): Record<string, string> {
  const prefix = 'autoscaling.keda.sh/';
  return {
    ...(pause.paused ? { [`${prefix}paused`]: 'true' } : {}),
    ...(pause.pausedReplicas === undefined ? {} : { [`${prefix}paused-replicas`]: String(pause.pausedReplicas) }),
    ...(pause.pausedScaleIn ? { [`${prefix}paused-scale-in`]: 'true' } : {}),
    ...(pause.pausedScaleOut ? { [`${prefix}paused-scale-out`]: 'true' } : {}),
    ...(forceActivation ? { [`${prefix}force-activation`]: 'true' } : {}),
  };
}

function objectNotes({ name, autoscale, stopGraceMs }: ScaledService, kubernetes: string): string[] {
  return [
    ...(kubernetes === name ? [] : [`Kubernetes takes no name like ${name}: the Deployment has to be called ${kubernetes}.`]),
    ...(autoscale.max === undefined ? ['maxReplicaCount is what this host has room for; a cluster may have more.'] : []),
    `KEDA ends busy workers too: give the Deployment a terminationGracePeriodSeconds above its longest job (stop_grace_period here: ${stopGraceMs / 1000} s).`,
    'tolerance needs Kubernetes 1.33 or newer; remove the lines for an older one.',
  ];
}

/** Lower case letters, digits and "-", with a letter or a digit at both ends, at most 63. */
const kubernetesName = (name: string): string =>
  name
    .toLowerCase()
    .replaceAll(/[^a-z0-9-]/g, '-')
    .slice(0, 63)
    .replaceAll(/^-+|-+$/g, '');

/** The additions as they would stand in the compose file. */
function tierLines(tier: Tier): string[] {
  const { kind, count } = tier.warm;
  const addition = {
    class: tier.class,
    drainTarget: `${tier.drainTargetMs / 1000}s`,
    concurrency: tier.concurrency,
    ...(tier.framework === undefined ? {} : { framework: tier.framework }),
    warm: kind === 'none' ? kind : { [kind]: count },
    ...(tier.busy ? { busy: busyOf(tier.busy) } : {}),
  };
  return new Document({ tier: addition }).toString({ lineWidth: 0 }).trimEnd().split('\n');
}

function busyOf(busy: NonNullable<Tier['busy']>): object {
  if (busy.kind === 'exec') return { exec: busy.command };
  return busy.kind === 'http' ? { http: { port: busy.port, path: busy.path } } : { file: busy.path };
}

/** One YAML document for each object; notes and dropped additions as comments. */
export function printScaledObjects(exported: readonly { tier: Tier; object: ExportedObject }[]): string {
  return exported.map(({ tier, object }) => printOne(tier, object)).join('---\n');
}

function printOne(tier: Tier, exported: ExportedObject): string {
  const document = new Document(exported.object, { aliasDuplicateObjects: false });
  document.commentBefore = [
    ` The service ${tier.service} of the project ${tier.project}, with every default written: ours differ from KEDA’s.`,
    ...exported.notes.map((note) => ` ${note}`),
    ' KEDA has no word for this, so it is left out; back in a compose file it goes beside spec:',
    ...tierLines(tier).map((line) => `   ${line}`),
  ].join('\n');
  const triggers = document.getIn(['spec', 'triggers'], true);
  if (isSeq(triggers)) {
    for (const [index, item] of triggers.items.entries()) {
      const notes = exported.triggerNotes[index] ?? [];
      if (notes.length > 0 && isMap(item)) (item as Node).commentBefore = notes.map((note) => ` ${note}`).join('\n');
    }
  }
  return document.toString({ lineWidth: 0 });
}
