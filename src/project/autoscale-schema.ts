import { z } from 'zod';
import { count, duration, flag, port, scalar, text, word } from '../kit/fields.ts';
import { FRAMEWORKS } from '../triggers/model.ts';

/**
 * `x-autoscale`: the spec of a KEDA ScaledObject without scaleTargetRef, KEDA's annotations as fields, and our additions under `tier`.
 * A whole ScaledObject is taken too. What a trigger's metadata may hold is said by the trigger itself.
 */

/** A scalar that says both of its limits, because the field's own rules have two. */
const between = (min: number, max: number) =>
  scalar(
    `a whole number from ${min} to ${max}`,
    (value) => (/^\d+$/.test(value) && Number(value) >= min && Number(value) <= max ? Number(value) : undefined),
    'number',
  );

const decimal = (expected: string) =>
  scalar(expected, (value) => (/^-?\d+(\.\d+)?$/.test(value.trim()) ? Number(value) : undefined), 'number');

/** Kubernetes' Quantity as far as a share needs it: 0.05 or 50m. */
const tolerance = () =>
  scalar(
    'a share of the target from 0 to 1, such as 0.1 or 100m',
    (value) => {
      const match = /^(\d+(?:\.\d+)?)(m?)$/.exec(value.trim());
      const found = match ? Number(match[1]) / (match[2] === 'm' ? 1000 : 1) : Number.NaN;
      return found >= 0 && found <= 1 ? found : undefined;
    },
    'number',
  );

const MAX_REPLICAS = 1000;
const replicas = (min = 0) => between(min, MAX_REPLICAS);

const policy = z.strictObject({
  type: word('Pods', 'Percent')
    .describe('`Pods` counts containers, `Percent` is of those there are.')
    .meta({ samples: ['Pods'] }),
  value: count(1)
    .describe('How much may change within the period.')
    .meta({ samples: [4] }),
  periodSeconds: between(1, 1800)
    .describe('The period.')
    .meta({ samples: [60] }),
});

const scalingRules = (what: string, window: string, limit: string) =>
  z
    .strictObject({
      stabilizationWindowSeconds: between(0, 3600)
        .optional()
        .describe(`How long the past counts when ${what}. Left out: ${window}.`)
        .meta({ samples: [120] }),
      selectPolicy: word('Max', 'Min', 'Disabled')
        .prefault('Max')
        .describe('Of several policies the one that lets most through, or least; `Disabled`: never in this direction.')
        .meta({ samples: ['Min'] }),
      policies: z
        .array(policy)
        .min(1, 'expected at least one policy; leave the list out for no limit')
        .optional()
        .describe(`How fast. Left out: ${limit}.`)
        .meta({ samples: [[{ type: 'Pods', value: 4, periodSeconds: 60 }]] }),
      tolerance: tolerance()
        .optional()
        .describe(
          'Share of the target within which nothing changes. Left out: 0.1 where a trigger measures a level (metricType `Utilization` or `Value`), otherwise 0.',
        )
        .meta({ samples: ['0.05'] }),
    })
    .optional()
    .describe(`HPA’s rules for ${what}.`)
    .meta({ samples: [{ stabilizationWindowSeconds: 120 }] });

export const triggerFields = {
  name: scalar('a name of letters, digits, "_" and "-" that begins with a letter', (value) =>
    /^[A-Za-z][A-Za-z0-9_-]*$/.test(value) ? value : undefined,
  )
    .optional()
    .describe('Name for `scalingModifiers.formula` and in explanations. Left out: the type and the trigger’s place in the list.')
    .meta({ samples: ['jobs'] }),
  metricType: word('AverageValue', 'Value', 'Utilization')
    .optional()
    .describe('What the target is held against, see each trigger for those that it knows. Left out: the first of them.')
    .meta({ samples: ['AverageValue'] }),
  useCachedMetrics: flag()
    .optional()
    .describe('Taken and without effect: every reading is made once and used for everything.')
    .meta({ samples: [true] }),
};

/** One trigger as far as all types agree; its metadata is checked by its type. */
export const anyTrigger = z.strictObject({
  type: text('the type of a trigger')
    .describe('KEDA’s name of the trigger.')
    .meta({ samples: ['redis'] }),
  metadata: z.record(z.string(), z.unknown()).prefault({}).describe('What to read, and how much one worker is to have: see the trigger.'),
  ...triggerFields,
});

const warm = z
  .union([
    word('frozen', 'stopped', 'none'),
    z
      .strictObject({
        frozen: between(1, MAX_REPLICAS)
          .optional()
          .describe('Containers that are frozen: ready in about 10 ms; they keep their memory.')
          .meta({ samples: [2] }),
        stopped: between(1, MAX_REPLICAS)
          .optional()
          .describe('Containers that are stopped: ready after their own start; they keep only their disk.')
          .meta({ samples: [2] }),
      })
      .refine((value) => Object.values(value).filter((one) => one !== undefined).length === 1, {
        error: 'expected exactly one of "frozen" and "stopped"',
      }),
  ])
  .optional()
  .describe(
    'What stands ready while nothing is to do: `frozen`, `stopped` (one container, or a mapping with a count) or `none`. Left out: `none` for heavy; one frozen where drainTarget is at most 5s, the service goes to zero and every trigger allows it; otherwise one stopped.',
  )
  .meta({ samples: ['stopped', { frozen: 2 }] });

const busy = z
  .strictObject({
    exec: z
      .array(text('a word of a command'))
      .min(1, 'expected a command with at least one word')
      .optional()
      .describe('Command that runs in the container. Exit code 0: idle; 1: busy; anything else: unknown.')
      .meta({ samples: [['node', 'idle.js']] }),
    http: z
      .strictObject({
        port: port()
          .describe('Container port.')
          .meta({ samples: [8080] }),
        path: scalar('a path that begins with "/"', (value) => (/^\/[^\s#]*$/.test(value) ? value : undefined))
          .prefault('/')
          .describe('Path that is asked for with GET.')
          .meta({ samples: ['/busy'] }),
      })
      .optional()
      .describe('2xx: idle; 409 or 503: busy; anything else: unknown.')
      .meta({ samples: [{ port: 8080, path: '/busy' }] }),
    file: scalar('an absolute path', (value) => (value.startsWith('/') ? value : undefined))
      .optional()
      .describe('File in the container whose text begins with `idle` or with `busy`.')
      .meta({ samples: ['/tmp/state'] }),
  })
  .refine((value) => Object.values(value).filter((one) => one !== undefined).length === 1, {
    error: 'expected exactly one of "exec", "http" and "file"',
  })
  .optional()
  .describe('How idleness of one worker is proved where no framework tells: one of `exec`, `http`, `file`.')
  .meta({ samples: [{ file: '/tmp/state' }] });

const tier = z
  .strictObject({
    class: word('light', 'medium', 'heavy')
      .prefault('medium')
      .describe('How long jobs may wait, in one word: light 5s, medium 30s, heavy 2m.')
      .meta({ samples: ['heavy'] }),
    drainTarget: duration()
      .optional()
      .describe(
        'How long a job may wait before the tier counts as late; where no target is written it decides the count. Left out: by class.',
      )
      .meta({ samples: ['10s'] }),
    concurrency: between(1, 10_000)
      .optional()
      .describe(
        'Jobs that one container runs at a time. Left out: what `-c` or `--concurrency` of the service’s command says for Celery and Sidekiq, 5 for Sidekiq without it, otherwise 1.',
      )
      .meta({ samples: [4] }),
    framework: word(...FRAMEWORKS)
      .optional()
      .describe('The library that the workers use: all of its keys are counted, and which worker is idle is known.')
      .meta({ samples: ['celery'] }),
    warm,
    busy,
  })
  .optional()
  .describe('What KEDA has no word for. An export drops it and says so.')
  .meta({ samples: [{ class: 'heavy', framework: 'bullmq' }] });

const behavior = z
  .strictObject({
    scaleUp: scalingRules('going up', '0', 'no limit'),
    scaleDown: scalingRules('going down', 'ten times the measured start of a container, at least 60 and at most 300', 'no limit'),
  })
  .optional()
  .describe('HPA v2’s `behavior`.')
  .meta({ samples: [{ scaleDown: { stabilizationWindowSeconds: 120 } }] });

const specFields = <T extends z.ZodType>(trigger: T) => ({
  scaleTargetRef: z
    .looseObject({})
    .optional()
    .describe('Taken so that a pasted spec works: the service that holds the key is what is scaled.')
    .meta({ samples: [{ name: 'worker' }] }),
  pollingInterval: between(1, 86_400)
    .optional()
    .describe(
      'Seconds between two readings. Left out: at most 5; what tells of changes by itself is read when it does, and otherwise every 20.',
    )
    .meta({ samples: [15] }),
  cooldownPeriod: between(0, 604_800)
    .optional()
    .describe('Seconds without anything to do before the service goes to zero. Left out: 60.')
    .meta({ samples: [300] }),
  initialCooldownPeriod: between(0, 604_800)
    .optional()
    .describe('Seconds after the service was first seen in which it does not go to zero. Left out: 0.')
    .meta({ samples: [120] }),
  idleReplicaCount: scalar('0, the only count that KEDA supports here', (value) => (value === '0' ? (0 as const) : undefined), 'number')
    .optional()
    .describe('0: none while nothing is to do, although `minReplicaCount` is above 0.')
    .meta({ samples: [0] }),
  minReplicaCount: replicas()
    .optional()
    .describe('Fewest containers. Left out: 0, or 1 where no trigger can lift the service from zero.')
    .meta({ samples: [1] }),
  maxReplicaCount: replicas(1)
    .optional()
    .describe('Most containers. Left out: what the host has room for when this service runs alone.')
    .meta({ samples: [10] }),
  fallback: z
    .strictObject({
      failureThreshold: between(0, 1000)
        .describe('Failed readings in a row before it applies.')
        .meta({ samples: [3] }),
      replicas: replicas(1)
        .describe('Count to hold then; at least 1, because losing the metric must not take the last worker.')
        .meta({ samples: [2] }),
      behavior: word('static', 'currentReplicas', 'currentReplicasIfHigher', 'currentReplicasIfLower')
        .prefault('static')
        .describe(
          '`static`: `replicas`; `currentReplicas`: as many as there are; `…IfHigher`, `…IfLower`: as many as there are when that is more, or less, than `replicas`.',
        )
        .meta({ samples: ['currentReplicasIfHigher'] }),
    })
    .optional()
    .describe(
      'What counts while a trigger cannot be read. Left out: as many as there are, at least `minReplicaCount` and 1, after 3 failures; never down.',
    )
    .meta({ samples: [{ failureThreshold: 3, replicas: 2 }] }),
  advanced: z
    .strictObject({
      restoreToOriginalReplicaCount: flag()
        .optional()
        .describe('Taken and without effect: without `x-autoscale`, `deploy.replicas` counts again.')
        .meta({ samples: [true] }),
      horizontalPodAutoscalerConfig: z
        .strictObject({
          name: text('a name')
            .optional()
            .describe('Kept for the export; there is no HPA here.')
            .meta({ samples: ['worker-hpa'] }),
          behavior,
        })
        .optional()
        .describe('KEDA’s place for HPA’s settings.')
        .meta({ samples: [{ behavior: { scaleDown: { stabilizationWindowSeconds: 120 } } }] }),
      scalingModifiers: z
        .strictObject({
          formula: z
            .string({ error: 'expected a formula' })
            .min(1, 'expected a formula')
            .describe('One metric made of all triggers, by their names.')
            .meta({ samples: ['jobs + retries'] }),
          target: decimal('a number')
            .describe('What one worker is to have of it.')
            .meta({ samples: ['10'] }),
          activationTarget: decimal('a number')
            .prefault('0')
            .describe('Above this there is something to do.')
            .meta({ samples: ['2'] }),
          metricType: word('AverageValue', 'Value')
            .prefault('AverageValue')
            .describe('`AverageValue` is divided by the workers there are, `Value` is not.')
            .meta({ samples: ['AverageValue'] }),
        })
        .optional()
        .describe('One metric in place of those of the triggers.')
        .meta({ samples: [{ formula: 'jobs + retries', target: '10' }] }),
    })
    .optional()
    .describe('KEDA’s further settings.')
    .meta({ samples: [{ horizontalPodAutoscalerConfig: { behavior: { scaleDown: { stabilizationWindowSeconds: 120 } } } }] }),
  triggers: z
    .array(trigger)
    .min(1, 'expected at least one trigger')
    .describe('What is followed; the largest count wins.')
    .meta({ samples: [[{ type: 'redis', metadata: { address: 'redis:6379', listName: 'jobs' } }]] }),
});

/** KEDA's annotations, in the words of a field. */
const pauseFields = {
  paused: flag()
    .optional()
    .describe('Annotation `autoscaling.keda.sh/paused`: the count stays as it is.')
    .meta({ samples: [true] }),
  pausedReplicas: replicas()
    .optional()
    .describe('Annotation `autoscaling.keda.sh/paused-replicas`: this count, and it stays.')
    .meta({ samples: [2] }),
  pausedScaleIn: flag()
    .optional()
    .describe('Annotation `autoscaling.keda.sh/paused-scale-in`: never fewer.')
    .meta({ samples: [true] }),
  pausedScaleOut: flag()
    .optional()
    .describe('Annotation `autoscaling.keda.sh/paused-scale-out`: never more.')
    .meta({ samples: [true] }),
  forceActivation: flag()
    .optional()
    .describe('Annotation `autoscaling.keda.sh/force-activation`: as if there were something to do.')
    .meta({ samples: [true] }),
};

/** KEDA's annotation for each of our fields. */
export const ANNOTATIONS = {
  'autoscaling.keda.sh/paused': 'paused',
  'autoscaling.keda.sh/paused-replicas': 'pausedReplicas',
  'autoscaling.keda.sh/paused-scale-in': 'pausedScaleIn',
  'autoscaling.keda.sh/paused-scale-out': 'pausedScaleOut',
  'autoscaling.keda.sh/force-activation': 'forceActivation',
} as const satisfies Record<string, keyof typeof pauseFields>;

const annotations = z.looseObject(
  Object.fromEntries(Object.entries(ANNOTATIONS).map(([name, field]) => [name, pauseFields[field]])) as {
    [K in keyof typeof ANNOTATIONS]: (typeof pauseFields)[(typeof ANNOTATIONS)[K]];
  },
);

export const fieldsForm = <T extends z.ZodType>(trigger: T) => z.strictObject({ ...specFields(trigger), ...pauseFields, tier });

export const objectForm = <T extends z.ZodType>(trigger: T) =>
  z.strictObject({
    apiVersion: word('keda.sh/v1alpha1').describe('KEDA’s version.'),
    kind: word('ScaledObject').describe('A ScaledJob starts a container for each job, which is not done here.'),
    metadata: z
      .looseObject({ annotations: annotations.optional().describe('Those of KEDA that pause; others mean nothing here.') })
      .optional()
      .describe('Name, namespace and labels mean nothing here.'),
    spec: z.strictObject(specFields(trigger)).describe('See the fields of the short form.'),
    status: z.unknown().optional().describe('What a cluster wrote; it means nothing here.'),
    tier,
  });

/** The short form, without the metadata of triggers checked. */
export const autoscaleFields = fieldsForm(anyTrigger);
/** A whole ScaledObject, without the metadata of triggers checked. */
export const scaledObjectForm = objectForm(anyTrigger);

export type AutoscaleFields = z.output<typeof autoscaleFields>;
export type ScaledObjectForm = z.output<typeof scaledObjectForm>;
