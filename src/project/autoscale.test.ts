import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { count, text } from '../kit/fields.ts';
import type { TriggerType } from '../triggers/model.ts';
import { readAutoscale } from './autoscale.ts';
import { type Problem, placeProblems } from './check.ts';
import type { AutoscaleSpec } from './model.ts';
import { mapping, readService } from './services.ts';
import { parseSource } from './sources.ts';

/** Two kinds of trigger are all that these tests need: one that counts jobs, one that measures a level. */
const type = (given: Partial<TriggerType> & { type: string }): TriggerType => ({
  summary: '',
  metadata: z.strictObject({ list: text('a list'), length: count(1).optional() }),
  metricTypes: ['AverageValue', 'Value'],
  target: () => ({ value: undefined, activation: 0 }),
  activates: true,
  freezable: true,
  open: () => {
    throw new Error('nothing is read here');
  },
  ...given,
});
const types = [
  type({ type: 'queue' }),
  type({ type: 'shy-queue', freezable: false }),
  type({
    type: 'cpu',
    metadata: z.strictObject({ value: count(1) }),
    metricTypes: ['Utilization', 'AverageValue'],
    activates: false,
    freezable: false,
  }),
];

const QUEUE = '      triggers: [{type: queue, metadata: {list: jobs}}]\n';

/** A compose file whose service `w` has these lines below x-autoscale, and these beside it. */
function read(lines: string, beside = '    deploy: {resources: {limits: {memory: 64M}}}\n') {
  const file = `services:\n  w:\n    image: x\n${beside}    x-autoscale:\n${lines}`;
  const own = mapping(mapping(parse(file).services).w);
  const sources = [parseSource('/srv/compose.yaml', file)];
  const problems: Problem[] = [];
  const warnings: Problem[] = [];
  const limits = mapping(mapping(mapping(own.deploy).resources).limits);
  // Compose's answer has sizes in bytes and ports in their long form.
  const model = { ...own, deploy: { resources: { limits: limits.memory === undefined ? {} : { memory: 64 * 1024 ** 2 } } } };
  const value = own['x-autoscale'] ?? null;
  const ports = Array.isArray(own.ports) ? own.ports : [];
  const spec = readAutoscale({ value, service: readService('p', 'w', model), ports, sources, types }, problems, warnings);
  const placed = (found: Problem[]) => placeProblems(found, sources, '/srv').map(({ where, message }) => `${where}: ${message}`);
  return { spec, problems: placed(problems), warnings: placed(warnings) };
}

const accepted = (lines: string): AutoscaleSpec => {
  const { spec, problems } = read(lines);
  expect(problems).toEqual([]);
  if (!spec) throw new Error('nothing was read');
  return spec;
};

test('the shortest form says nothing but the trigger', () => {
  expect(accepted(QUEUE)).toEqual({
    triggers: [
      { name: 'queue-0', type: 'queue', metricType: 'AverageValue', metadata: { list: 'jobs' }, written: { metadata: { list: 'jobs' } } },
    ],
    behavior: { scaleUp: { selectPolicy: 'Max' }, scaleDown: { selectPolicy: 'Max' } },
    pause: { paused: false, pausedScaleIn: false, pausedScaleOut: false },
    forceActivation: false,
    tier: { class: 'medium' },
    keda: {},
  });
});

describe('every field, as a number or a switch and as text', () => {
  const cases: [string, object][] = [
    ['pollingInterval: 15', { pollingIntervalMs: 15_000 }],
    ['pollingInterval: "15"', { pollingIntervalMs: 15_000 }],
    ['cooldownPeriod: 0', { cooldownMs: 0 }],
    ['cooldownPeriod: "300"', { cooldownMs: 300_000 }],
    ['initialCooldownPeriod: 120', { initialCooldownMs: 120_000 }],
    ['{minReplicaCount: 1, idleReplicaCount: 0}', { min: 1, idle: 0 }],
    ['{minReplicaCount: "2", idleReplicaCount: "0"}', { min: 2, idle: 0 }],
    ['{minReplicaCount: 2, maxReplicaCount: "7"}', { min: 2, max: 7 }],
    ['fallback: {failureThreshold: 3, replicas: 2}', { fallback: { failureThreshold: 3, replicas: 2, behavior: 'static' } }],
    [
      'fallback: {failureThreshold: "0", replicas: "2", behavior: currentReplicasIfLower}',
      { fallback: { failureThreshold: 0, replicas: 2, behavior: 'currentReplicasIfLower' } },
    ],
    ['advanced: {restoreToOriginalReplicaCount: true}', { keda: { restoreToOriginalReplicaCount: true } }],
    ['advanced: {restoreToOriginalReplicaCount: "false"}', { keda: { restoreToOriginalReplicaCount: false } }],
    ['advanced: {horizontalPodAutoscalerConfig: {name: h}}', { keda: { hpaName: 'h' } }],
    [
      'advanced: {horizontalPodAutoscalerConfig: {behavior: {scaleUp: {stabilizationWindowSeconds: 0, selectPolicy: Disabled}}}}',
      { behavior: { scaleUp: { stabilizationWindowMs: 0, selectPolicy: 'Disabled' }, scaleDown: { selectPolicy: 'Max' } } },
    ],
    [
      'advanced: {horizontalPodAutoscalerConfig: {behavior: {scaleDown: {stabilizationWindowSeconds: "90", selectPolicy: Min, tolerance: 50m, policies: [{type: Percent, value: "50", periodSeconds: 60}, {type: Pods, value: 2, periodSeconds: "15"}]}}}}',
      {
        behavior: {
          scaleUp: { selectPolicy: 'Max' },
          scaleDown: {
            stabilizationWindowMs: 90_000,
            selectPolicy: 'Min',
            tolerance: 0.05,
            policies: [
              { type: 'Percent', value: 50, periodMs: 60_000 },
              { type: 'Pods', value: 2, periodMs: 15_000 },
            ],
          },
        },
      },
    ],
    [
      '{advanced: {scalingModifiers: {formula: jobs * 2, target: "10"}}, triggers: [{type: queue, name: jobs, metadata: {list: a}}]}',
      { scalingModifiers: { formula: 'jobs * 2', target: 10, activationTarget: 0, metricType: 'AverageValue' } },
    ],
    [
      '{advanced: {scalingModifiers: {formula: "max(jobs, 1)", target: 2.5, activationTarget: "3", metricType: Value}}, triggers: [{type: queue, name: jobs, metadata: {list: a}}]}',
      { scalingModifiers: { formula: 'max(jobs, 1)', target: 2.5, activationTarget: 3, metricType: 'Value' } },
    ],
    [
      '{triggers: [{type: queue, name: jobs, metricType: Value, useCachedMetrics: "true", metadata: {list: 5, length: 3}}]}',
      {
        triggers: [
          {
            name: 'jobs',
            type: 'queue',
            metricType: 'Value',
            metadata: { list: '5', length: 3 },
            written: { name: 'jobs', metricType: 'Value', useCachedMetrics: true, metadata: { list: '5', length: '3' } },
          },
        ],
      },
    ],
    ['paused: true', { pause: { paused: true, pausedScaleIn: false, pausedScaleOut: false } }],
    ['pausedReplicas: "0"', { pause: { paused: false, pausedReplicas: 0, pausedScaleIn: false, pausedScaleOut: false } }],
    ['{pausedScaleIn: "true", pausedScaleOut: true}', { pause: { paused: false, pausedScaleIn: true, pausedScaleOut: true } }],
    ['forceActivation: "true"', { forceActivation: true }],
    ['tier: {class: heavy, drainTarget: 10s, concurrency: "4"}', { tier: { class: 'heavy', drainTargetMs: 10_000, concurrency: 4 } }],
    ['tier: {framework: celery}', { tier: { class: 'medium', framework: 'celery' } }],
    ['tier: {warm: frozen}', { tier: { class: 'medium', warm: { kind: 'frozen', count: 1 } } }],
    ['tier: {warm: {frozen: 3}}', { tier: { class: 'medium', warm: { kind: 'frozen', count: 3 } } }],
    ['tier: {warm: {stopped: "2"}}', { tier: { class: 'medium', warm: { kind: 'stopped', count: 2 } } }],
    ['tier: {warm: none}', { tier: { class: 'medium', warm: { kind: 'none', count: 0 } } }],
    ['tier: {busy: {exec: [node, idle.js]}}', { tier: { class: 'medium', busy: { kind: 'exec', command: ['node', 'idle.js'] } } }],
    ['tier: {busy: {http: {port: "80", path: /busy}}}', { tier: { class: 'medium', busy: { kind: 'http', port: 80, path: '/busy' } } }],
    ['tier: {busy: {file: /tmp/state}}', { tier: { class: 'medium', busy: { kind: 'file', path: '/tmp/state' } } }],
  ];
  test.each(cases)('%s', (written, expected) => {
    const own = mapping(parse(written));
    const fields = { triggers: [{ type: 'queue', metadata: { list: 'jobs' } }], ...own };
    const lines = Object.entries(fields).map(([key, value]) => `      ${key}: ${JSON.stringify(value)}\n`);
    expect(accepted(lines.join(''))).toMatchObject(expected);
  });
});

describe('what is wrong is named with its place', () => {
  const cases: [string, string][] = [
    ['      null', '5:5: x-autoscale of service w: expected a mapping, found nothing'],
    [`${QUEUE}      polingInterval: 5\n`, '7:7: x-autoscale of service w has no field "polingInterval"; did you mean "pollingInterval"?'],
    ['      triggers: []\n', '6:7: x-autoscale.triggers of service w: expected at least one trigger'],
    [
      '      triggers: [{type: qeue, metadata: {}}]\n',
      '6:19: x-autoscale.triggers[0].type of service w: there is no trigger "qeue"; did you mean "queue"?',
    ],
    [
      '      triggers: [{type: sqs, metadata: {}}]\n',
      '6:19: x-autoscale.triggers[0].type of service w: there is no trigger "sqs"; known types: queue, shy-queue, cpu',
    ],
    ['      triggers: [{metadata: {}}]\n', '6:18: x-autoscale.triggers[0] of service w needs the field "type"'],
    ['      triggers: [{type: queue}]\n', '6:18: x-autoscale.triggers[0].metadata of service w needs the field "list"'],
    [
      '      triggers: [{type: queue, metadata: {list: a, lenght: 5}}]\n',
      '6:52: x-autoscale.triggers[0].metadata of service w has no field "lenght"; did you mean "length"?',
    ],
    [
      '      triggers: [{type: queue, metadata: {list: a, length: x}}]\n',
      '6:52: x-autoscale.triggers[0].metadata.length of service w: expected a whole number, at least 1, found "x"',
    ],
    [
      '      triggers: [{type: queue, metricType: Utilization, metadata: {list: a}}]\n',
      '6:32: x-autoscale.triggers[0].metricType of service w: a queue trigger knows AverageValue and Value, not Utilization',
    ],
    [
      '      triggers: [{type: queue, metricType: Sum, metadata: {list: a}}]\n',
      '6:32: x-autoscale.triggers[0].metricType of service w: expected "AverageValue" or "Value" or "Utilization", found "Sum"',
    ],
    [
      '      triggers: [{type: queue, metadata: {list: a}, authenticationRef: {name: x}}]\n',
      '6:53: x-autoscale.triggers[0].authenticationRef of service w: there is no TriggerAuthentication here; put the secret into the environment of the service and name its variable in metadata, in a key that ends in FromEnv',
    ],
    [
      '      triggers: [{type: queue, name: a, metadata: {list: a}}, {type: queue, name: a, metadata: {list: b}}]\n',
      '6:77: x-autoscale.triggers[1].name of service w: another trigger is called "a" too',
    ],
    [
      `${QUEUE}      pollingInterval: 0\n`,
      '7:7: x-autoscale.pollingInterval of service w: expected a whole number from 1 to 86400, found "0"',
    ],
    [
      `${QUEUE}      pollingInterval: 30s\n`,
      '7:7: x-autoscale.pollingInterval of service w: expected a whole number from 1 to 86400, found "30s"',
    ],
    [
      `${QUEUE}      cooldownPeriod: -1\n`,
      '7:7: x-autoscale.cooldownPeriod of service w: expected a whole number from 0 to 604800, found "-1"',
    ],
    [
      `${QUEUE}      initialCooldownPeriod: soon\n`,
      '7:7: x-autoscale.initialCooldownPeriod of service w: expected a whole number from 0 to 604800, found "soon"',
    ],
    [
      `${QUEUE}      minReplicaCount: 5\n      maxReplicaCount: 2\n`,
      '7:7: x-autoscale.minReplicaCount of service w: 5 is more than maxReplicaCount, 2',
    ],
    [
      `${QUEUE}      maxReplicaCount: 0\n`,
      '7:7: x-autoscale.maxReplicaCount of service w: expected a whole number from 1 to 1000, found "0"',
    ],
    [
      `${QUEUE}      minReplicaCount: 1.5\n`,
      '7:7: x-autoscale.minReplicaCount of service w: expected a whole number from 0 to 1000, found "1.5"',
    ],
    [
      `${QUEUE}      idleReplicaCount: 0\n`,
      '7:7: x-autoscale.idleReplicaCount of service w: it has to be less than minReplicaCount; with a minReplicaCount of 0 the service goes to zero without it',
    ],
    [
      `${QUEUE}      minReplicaCount: 3\n      idleReplicaCount: 1\n`,
      '8:7: x-autoscale.idleReplicaCount of service w: expected 0, the only count that KEDA supports here, found "1"',
    ],
    [
      '      minReplicaCount: 0\n      triggers: [{type: cpu, metadata: {value: 50}}]\n',
      '6:7: x-autoscale.minReplicaCount of service w: a service without a container uses nothing, so cpu could never lift it from zero; keep at least 1, or add a trigger that can',
    ],
    [`${QUEUE}      fallback: {replicas: 1}\n`, '7:7: x-autoscale.fallback of service w needs the field "failureThreshold"'],
    [
      `${QUEUE}      fallback: {failureThreshold: 3, replicas: 0}\n`,
      '7:39: x-autoscale.fallback.replicas of service w: expected a whole number from 1 to 1000, found "0"',
    ],
    [
      `${QUEUE}      fallback: {failureThreshold: 3, replicas: 1, behavior: scalingModifiers}\n`,
      '7:52: x-autoscale.fallback.behavior of service w: expected "static" or "currentReplicas" or "currentReplicasIfHigher" or "currentReplicasIfLower", found "scalingModifiers"',
    ],
    [
      '      fallback: {failureThreshold: 3, replicas: 1}\n      triggers: [{type: cpu, metricType: AverageValue, metadata: {value: 50}}]\n',
      '6:7: x-autoscale.fallback of service w: it needs a metric of type AverageValue, from another trigger than cpu and memory, as in KEDA',
    ],
    [
      `${QUEUE}      advanced: {horizontalPodAutoscalerConfig: {behaviour: {}}}\n`,
      '7:50: x-autoscale.advanced.horizontalPodAutoscalerConfig of service w has no field "behaviour"; did you mean "behavior"?',
    ],
    [
      `${QUEUE}      advanced: {horizontalPodAutoscalerConfig: {behavior: {scaleDown: {policies: []}}}}\n`,
      '7:73: x-autoscale.advanced.horizontalPodAutoscalerConfig.behavior.scaleDown.policies of service w: expected at least one policy; leave the list out for no limit',
    ],
    [
      `${QUEUE}      advanced: {horizontalPodAutoscalerConfig: {behavior: {scaleUp: {tolerance: 2}}}}\n`,
      '7:71: x-autoscale.advanced.horizontalPodAutoscalerConfig.behavior.scaleUp.tolerance of service w: expected a share of the target from 0 to 1, such as 0.1 or 100m, found "2"',
    ],
    [
      `${QUEUE}      advanced: {scalingModifiers: {formula: jobs, target: 5}}\n`,
      '7:37: x-autoscale.advanced.scalingModifiers.formula of service w: a formula reads triggers by name; give them names',
    ],
    [
      '      triggers: [{type: queue, name: jobs, metadata: {list: a}}]\n      advanced: {scalingModifiers: {formula: jobs2 + 1, target: 5}}\n',
      '7:37: x-autoscale.advanced.scalingModifiers.formula of service w: it is not understood at "jobs2", character 1: there is no trigger "jobs2" (jobs)',
    ],
    [
      '      triggers: [{type: queue, name: jobs, metadata: {list: a}}]\n      advanced: {scalingModifiers: {formula: 2 + 3, target: 5}}\n',
      '7:37: x-autoscale.advanced.scalingModifiers.formula of service w: it reads none of the triggers jobs',
    ],
    [
      '      triggers: [{type: queue, name: jobs, metadata: {list: a}}]\n      advanced: {scalingModifiers: {formula: "(jobs + 1", target: 5}}\n',
      '7:37: x-autoscale.advanced.scalingModifiers.formula of service w: it is not understood at its end, character 10: expected ")"',
    ],
    [
      '      triggers: [{type: queue, name: a-b, metadata: {list: a}}]\n      advanced: {scalingModifiers: {formula: a-b * 2, target: 5}}\n',
      '7:37: x-autoscale.advanced.scalingModifiers.formula of service w: it is not understood at "a", character 1: there is no trigger "a" (a-b)',
    ],
    [`${QUEUE}      paused: yes please\n`, '7:7: x-autoscale.paused of service w: expected true or false, found "yes please"'],
    [
      `${QUEUE}      tier: {class: huge}\n`,
      '7:14: x-autoscale.tier.class of service w: expected "light" or "medium" or "heavy", found "huge"',
    ],
    [
      `${QUEUE}      tier: {drainTarget: 10}\n`,
      '7:14: x-autoscale.tier.drainTarget of service w: expected a duration with its unit, such as 15s or 1m30s, found "10"',
    ],
    [
      `${QUEUE}      tier: {warm: cold}\n`,
      '7:14: x-autoscale.tier.warm of service w: expected "frozen" or "stopped" or "none", found "cold"',
    ],
    [
      `${QUEUE}      tier: {warm: {frozen: 1, stopped: 1}}\n`,
      '7:14: x-autoscale.tier.warm of service w: expected exactly one of "frozen" and "stopped"',
    ],
    [
      '      triggers: [{type: shy-queue, metadata: {list: a}}]\n      tier: {warm: frozen}\n',
      '7:14: x-autoscale.tier.warm of service w: a worker that a shy-queue trigger scales cannot be frozen, because what it is connected to may drop a client that stays silent; choose stopped or none',
    ],
    [
      `${QUEUE}      minReplicaCount: 2\n      tier: {warm: frozen}\n`,
      '8:14: x-autoscale.tier.warm of service w: beside 2 running workers a frozen one would be handed jobs that it cannot run; choose stopped or none, set minReplicaCount: 0, or add idleReplicaCount: 0',
    ],
    [
      `${QUEUE}      tier: {busy: {exec: [x], file: /a}}\n`,
      '7:14: x-autoscale.tier.busy of service w: expected exactly one of "exec", "http" and "file"',
    ],
    [
      `${QUEUE}      jobTargetRef: {}\n`,
      '7:7: x-autoscale.jobTargetRef of service w: a ScaledJob starts a container for each job, which is not done here; scale a service of workers',
    ],
  ];
  test.each(cases)('%s', (lines, message) => {
    expect(read(lines).problems.map((one) => one.replace('compose.yaml:', ''))).toEqual([message]);
  });

  test('all at once: in the fields, in the triggers and in the service', () => {
    const { spec, problems } = read(
      '      pollingInterval: 0\n      triggers:\n        - {type: nothing}\n        - {type: queue, metadata: {}}\n',
      '',
    );
    expect(spec).toBeUndefined();
    expect(problems).toMatchInlineSnapshot(`
      [
        "compose.yaml:4:5: service w: x-autoscale needs deploy.resources.limits.memory: without a limit nobody can say how many containers the host has room for",
        "compose.yaml:5:7: x-autoscale.pollingInterval of service w: expected a whole number from 1 to 86400, found "0"",
        "compose.yaml:7:12: x-autoscale.triggers[0].type of service w: there is no trigger "nothing"; known types: queue, shy-queue, cpu",
        "compose.yaml:8:25: x-autoscale.triggers[1].metadata of service w needs the field "list"",
      ]
    `);
  });
});

describe('a service that cannot run twice', () => {
  const limit = '    deploy: {resources: {limits: {memory: 64M}}}\n';
  const once = (lines: string, beside: string) => read(lines, beside).problems;

  test('has no memory limit', () => {
    expect(once(QUEUE, '')).toEqual([
      'compose.yaml:4:5: service w: x-autoscale needs deploy.resources.limits.memory: without a limit nobody can say how many containers the host has room for',
    ]);
  });

  test('has a name of its own, or a fixed host port', () => {
    expect(once(QUEUE, `${limit}    container_name: only\n`)).toEqual([
      'compose.yaml:5:5: service w: with container_name "only" it cannot run twice; set maxReplicaCount: 1, or remove it',
    ]);
    expect(
      once(QUEUE, `${limit}    ports: [{target: 80, published: "9000-9010"}, {target: 80}, {target: 80, published: "8080"}]\n`),
    ).toEqual([
      'compose.yaml:5:65: service w: host port 8080 can be taken once, so it cannot run twice; set maxReplicaCount: 1, or remove it',
    ]);
  });

  test('may have both where it never runs twice', () => {
    expect(
      once(`${QUEUE}      maxReplicaCount: 1\n`, `${limit}    container_name: only\n    ports: [{target: 80, published: "8080"}]\n`),
    ).toEqual([]);
  });
});

describe('a whole ScaledObject', () => {
  const object = (spec: string, more = '') =>
    `      apiVersion: keda.sh/v1alpha1\n      kind: ScaledObject\n      metadata: {name: w, namespace: default, labels: {a: b}}\n      spec: {${spec}, triggers: [{type: queue, metadata: {list: jobs}}]}\n${more}`;

  test('means what its spec says, with our additions beside it', () => {
    const { spec, problems, warnings } = read(
      object('scaleTargetRef: {name: w}, minReplicaCount: 1', '      tier: {class: light}\n      status: {hpaName: x}\n'),
    );
    expect({ problems, warnings }).toEqual({ problems: [], warnings: [] });
    expect(spec).toMatchObject({ min: 1, tier: { class: 'light' } });
  });

  test('of another target scales this service, and says so', () => {
    expect(read(object('scaleTargetRef: {name: consumer, kind: StatefulSet}')).warnings).toEqual([
      'compose.yaml:9:14: x-autoscale.spec.scaleTargetRef of service w has no effect: what is scaled is the service that holds the key, not "consumer"',
    ]);
  });

  test('keeps its annotations', () => {
    const lines = object('minReplicaCount: 0').replace(
      'labels: {a: b}',
      'annotations: {autoscaling.keda.sh/paused: "true", autoscaling.keda.sh/paused-replicas: "2", autoscaling.keda.sh/paused-scale-in: "true", autoscaling.keda.sh/paused-scale-out: "true", autoscaling.keda.sh/force-activation: "true", meta.helm.sh/release-name: x}',
    );
    expect(accepted(lines)).toMatchObject({
      pause: { paused: true, pausedReplicas: 2, pausedScaleIn: true, pausedScaleOut: true },
      forceActivation: true,
    });
  });

  test('is refused for what is not done here, with the place inside it', () => {
    const lines = object('scaleTargetRef: {name: w}, cooldwnPeriod: 5').replace(
      'labels: {a: b}',
      'annotations: {autoscaling.keda.sh/paused-scale-down: "true"}',
    );
    expect(read(lines).problems).toEqual([
      'compose.yaml:9:41: x-autoscale.spec of service w has no field "cooldwnPeriod"; did you mean "cooldownPeriod"?',
    ]);
    expect(read(lines.replace('cooldwnPeriod', 'cooldownPeriod')).problems).toMatchInlineSnapshot(`
      [
        "compose.yaml:8:61: service w: the annotation autoscaling.keda.sh/paused-scale-down is not known here; known: autoscaling.keda.sh/paused, autoscaling.keda.sh/paused-replicas, autoscaling.keda.sh/paused-scale-in, autoscaling.keda.sh/paused-scale-out, autoscaling.keda.sh/force-activation",
      ]
    `);
    expect(read(object('minReplicaCount: 1').replace('ScaledObject', 'ScaledJob')).problems).toEqual([
      'compose.yaml:7:7: x-autoscale.kind of service w: expected "ScaledObject", found "ScaledJob"',
    ]);
    expect(read(object('minReplicaCount: 1').replace('v1alpha1', 'v2')).problems).toEqual([
      'compose.yaml:6:7: x-autoscale.apiVersion of service w: expected "keda.sh/v1alpha1", found "keda.sh/v2"',
    ]);
  });
});
