import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { readKey } from '../../test/support/autoscale.ts';
import { keyJsonSchema } from '../project/schema.ts';
import { TRIGGERS } from '../triggers/list.ts';
import { FRAMEWORKS } from '../triggers/model.ts';
import { printScaledObjects, scaledObject } from './export.ts';
import type { Tier } from './model.ts';
import { tierOf } from './tiers.ts';

const fixtures = join(import.meta.dirname, '../../test/fixtures/scaledobjects');
const pasted = readdirSync(fixtures).map((name) => [name, parse(readFileSync(join(fixtures, name), 'utf8')) as Pasted] as const);

interface Pasted {
  kind: string;
  metadata: { name: string; annotations?: Record<string, string> };
  spec: { triggers: { type: string; metadata: Record<string, string> }[] };
}

const budget = { cores: 8, cpus: 7, memoryBytes: 16 * 1024 ** 3 };

function tierFrom(value: unknown): { tier: Tier; printed: string } {
  const { service, problems } = readKey(value);
  expect(problems).toEqual([]);
  if (!service) throw new Error('nothing was read');
  const { tier } = tierOf('shop', service, { budget });
  return { tier, printed: printScaledObjects([{ tier, object: scaledObject(service, tier) }]) };
}

/** The printed object, with the additions that its comment tells back beside its spec. */
function pasteBack(printed: string): { object: Pasted; value: unknown } {
  const object = parse(printed) as Pasted;
  const lines = printed.split('\n').filter((line) => line.startsWith('#   '));
  return { object, value: { ...object, ...(parse(lines.map((line) => line.slice(4)).join('\n')) as object) } };
}

/** A target that is not written has to be a number in KEDA; everything else is the same. */
const withTargets = (tier: Tier): Tier => ({
  ...tier,
  triggers: tier.triggers.map((trigger) => ({ ...trigger, target: trigger.target ?? tier.concurrency })),
});

describe('ScaledObjects as people have them', () => {
  test('there is one for each trigger that KEDA has', () => {
    const there = new Set(pasted.flatMap(([, { spec }]) => spec.triggers.map(({ type }) => type)));
    expect([...there].sort()).toEqual(
      TRIGGERS.map(({ type }) => type)
        .filter((type) => type !== 'exec')
        .sort(),
    );
  });

  test.each(pasted)('%s is taken as it is', (_name, object) => {
    const { service, problems, warnings } = readKey(object);
    expect({ problems, warnings }).toEqual({ problems: [], warnings: [] });
    expect(service?.autoscale.triggers.map(({ type }) => type)).toEqual(object.spec.triggers.map(({ type }) => type));
  });

  test.each(pasted)('%s is exported with everything it said, and read again as the same tier', (_name, object) => {
    const { tier, printed } = tierFrom(object);
    const back = pasteBack(printed);
    expect(back.object).toMatchObject({ kind: 'ScaledObject', metadata: { name: 'worker' } });
    const { scaleTargetRef: _, triggers, ...spec } = object.spec as Pasted['spec'] & { scaleTargetRef?: unknown };
    expect(back.object.spec).toMatchObject(spec);
    for (const [index, trigger] of triggers.entries()) expect(back.object.spec.triggers[index]).toMatchObject(trigger);
    expect(tierFrom(back.value).tier).toEqual(tier);
  });
});

describe('a target that is not written', () => {
  const without = pasted.flatMap(([name, object]) =>
    object.spec.triggers.flatMap((trigger, index) =>
      Object.keys(trigger.metadata).flatMap((key) => {
        const { [key]: _, ...metadata } = trigger.metadata;
        const triggers = object.spec.triggers.with(index, { ...trigger, metadata });
        const value = { ...object, spec: { ...object.spec, triggers }, tier: { concurrency: 3 } };
        const { service } = readKey(value);
        if (!service) return [];
        const { tier } = tierOf('shop', service, { budget });
        return tier.triggers[index]?.target === undefined ? [[`${name}: ${key}`, value, index] as const] : [];
      }),
    ),
  );

  test('is possible for every trigger that counts jobs', () => {
    const types = new Set(without.map(([, { spec }, index]) => spec.triggers[index]?.type));
    expect([...types].sort()).toMatchInlineSnapshot(`
      [
        "nats-jetstream",
        "rabbitmq",
        "redis",
        "redis-streams",
      ]
    `);
  });

  test.each(without)('%s is one job for each that a worker runs', (_name, value, index) => {
    const { printed } = tierFrom(value);
    expect(printed).toContain('is not written in the compose file');
    expect(tierFrom(pasteBack(printed).value).tier.triggers[index]?.target).toBe(3);
  });

  test('of a stream is counted as KEDA counts the stream', () => {
    const metadata = { address: 'redis:6379', stream: 'clicks' };
    const grouped = { ...metadata, consumerGroup: 'counters' };
    const written = (value: object) =>
      pasteBack(tierFrom({ triggers: [{ type: 'redis-streams', metadata: value }] }).printed).object.spec.triggers[0]?.metadata;
    expect(written(metadata)).toMatchObject({ streamLength: '1' });
    expect(written(grouped)).toMatchObject({ pendingEntriesCount: '1' });
  });
});

test('what only we have is left out of a trigger', () => {
  const ours = TRIGGERS.flatMap(({ type, metadata }) =>
    Object.entries(keyJsonSchema(metadata).properties ?? {}).flatMap(([key, field]) =>
      typeof field === 'object' && /Not KEDA’s/.test(field.description ?? '') ? [`${type}: ${key}`] : [],
    ),
  );
  expect(ours).toEqual(['redis: keyPrefix', 'redis: acksLate']);
  const { printed } = tierFrom({
    triggers: [{ type: 'redis', metadata: { address: 'redis:6379', listName: 'mail', keyPrefix: 'shop', acksLate: true } }],
    tier: { framework: 'celery', concurrency: 1 },
  });
  const { metadata } = pasteBack(printed).object.spec.triggers[0] ?? {};
  expect(metadata).toEqual({
    address: 'redis:6379',
    listName: 'shopmail',
    listLength: '1',
    activationListLength: '0',
    enableTLS: 'false',
    unsafeSsl: 'false',
  });
});

test.each([
  ['celery', 'mail'],
  ['bullmq', 'bull:mail:wait'],
  ['rq', 'rq:queue:mail'],
  ['sidekiq', 'queue:mail'],
])('of %s KEDA is given the list of what waits: %s', (framework, list) => {
  const { printed } = tierFrom({
    triggers: [{ type: 'redis', metadata: { address: 'redis:6379', listName: 'mail' } }],
    tier: { framework },
  });
  expect(pasteBack(printed).object.spec.triggers[0]?.metadata.listName).toBe(list);
});

test('a password in an address is never written', () => {
  const { printed } = tierFrom({
    triggers: [{ type: 'redis', metadata: { address: 'redis://me:not-to-be-seen@redis/0', listName: 'mail' } }],
  });
  expect(printed).not.toContain('not-to-be-seen');
  expect(printed).toContain('# the password in the address is left out: name a variable that holds it in passwordFromEnv.');
});

test('a whole export reads as its owner would want to read it', () => {
  const { printed } = tierFrom({
    minReplicaCount: 1,
    pausedScaleIn: true,
    triggers: [
      { type: 'redis', metadata: { address: 'rediss://scaler@redis:7000/2', listName: 'mail' } },
      { type: 'exec', name: 'disk', metadata: execMetadata() },
    ],
    tier: { class: 'light', framework: 'celery', concurrency: 2, busy: { exec: ['idle'] } },
  });
  expect(printed).toMatchInlineSnapshot(`
    "# The service worker of the project shop, with every default written: ours differ from KEDA’s.
    # The trigger disk is left out: KEDA has no trigger "exec". Offer the number over HTTP and use metrics-api.
    # maxReplicaCount is what this host has room for; a cluster may have more.
    # KEDA ends busy workers too: give the Deployment a terminationGracePeriodSeconds above its longest job (stop_grace_period here: 10 s).
    # tolerance needs Kubernetes 1.33 or newer; remove the lines for an older one.
    # KEDA has no word for this, so it is left out; back in a compose file it goes beside spec:
    #   tier:
    #     class: light
    #     drainTarget: 5s
    #     concurrency: 2
    #     framework: celery
    #     warm:
    #       stopped: 1
    #     busy:
    #       exec:
    #         - idle

    apiVersion: keda.sh/v1alpha1
    kind: ScaledObject
    metadata:
      name: worker
      annotations:
        autoscaling.keda.sh/paused-scale-in: "true"
    spec:
      scaleTargetRef:
        name: worker
      pollingInterval: 5
      cooldownPeriod: 60
      initialCooldownPeriod: 0
      minReplicaCount: 1
      maxReplicaCount: 14
      fallback:
        failureThreshold: 3
        replicas: 1
        behavior: currentReplicasIfHigher
      advanced:
        restoreToOriginalReplicaCount: true
        horizontalPodAutoscalerConfig:
          behavior:
            scaleUp:
              stabilizationWindowSeconds: 0
              selectPolicy: Max
              policies:
                - type: Pods
                  value: 14
                  periodSeconds: 15
              tolerance: "0"
            scaleDown:
              stabilizationWindowSeconds: 60
              selectPolicy: Max
              policies:
                - type: Percent
                  value: 100
                  periodSeconds: 15
              tolerance: "0"
      triggers:
        # KEDA counts the list mail alone: jobs that run, that are delayed, or that wait in another priority are not seen there. In a compose file, beside tier.framework, listName is mail.
        # listLength is not written in the compose file: there the drain target (5 s) decides. listLength 2 is one job for each that a worker runs at a time; KEDA’s own default is 5.
        - type: redis
          name: redis-0
          metricType: AverageValue
          metadata:
            address: redis:7000
            enableTLS: "true"
            unsafeSsl: "false"
            activationListLength: "0"
            listName: mail
            databaseIndex: "2"
            username: scaler
            listLength: "2"
    "
  `);
});

function execMetadata(): Record<string, unknown> {
  const type = TRIGGERS.find((one) => one.type === 'exec');
  const metadata = { command: ['count-jobs'], targetValue: '3' };
  expect(type?.metadata.safeParse(metadata).error?.issues).toBeUndefined();
  return metadata;
}

describe('any x-autoscale', () => {
  const whole = (min: number, max: number) => fc.integer({ min, max });
  const maybe = <T>(values: fc.Arbitrary<T>) => fc.option(values, { nil: undefined });
  const rules = fc.record(
    {
      stabilizationWindowSeconds: whole(0, 3600),
      selectPolicy: fc.constantFrom('Max', 'Min', 'Disabled'),
      policies: fc.array(fc.record({ type: fc.constantFrom('Pods', 'Percent'), value: whole(1, 150), periodSeconds: whole(1, 1800) }), {
        minLength: 1,
        maxLength: 3,
      }),
      tolerance: fc.constantFrom('0', '0.05', '250m', 1),
    },
    { requiredKeys: [] },
  );
  const triggers = fc.array(
    fc.oneof(
      fc.record({
        type: fc.constant('redis'),
        metadata: fc.record(
          { address: fc.constant('redis:6379'), listName: fc.constantFrom('a', 'b'), listLength: whole(1, 50) },
          { requiredKeys: ['address', 'listName'] },
        ),
      }),
      fc.constant({ type: 'cpu', metricType: 'Utilization', metadata: { value: '50' } }),
      fc.constant({ type: 'cron', metadata: { timezone: 'UTC', start: '0 8 * * *', end: '0 9 * * *', desiredReplicas: '2' } }),
    ),
    { minLength: 1, maxLength: 3 },
  );
  const tiers = fc.record(
    {
      class: fc.constantFrom('light', 'medium', 'heavy'),
      drainTarget: fc.constantFrom('500ms', '7s', '1h'),
      concurrency: whole(1, 20),
      framework: fc.constantFrom(...FRAMEWORKS),
      busy: fc.constantFrom({ exec: ['a', 'b c'] }, { http: { port: 80, path: '/x' } }, { file: '/tmp/x' }),
    },
    { requiredKeys: [] },
  );
  const key = fc
    .record({
      pollingInterval: maybe(whole(1, 600)),
      cooldownPeriod: maybe(whole(0, 600)),
      initialCooldownPeriod: maybe(whole(0, 600)),
      minReplicaCount: maybe(whole(1, 5)),
      maxReplicaCount: maybe(whole(5, 40)),
      idleReplicaCount: maybe(fc.constant(0)),
      fallback: maybe(
        fc.record({
          failureThreshold: whole(0, 9),
          replicas: whole(1, 9),
          behavior: fc.constantFrom('static', 'currentReplicas', 'currentReplicasIfHigher', 'currentReplicasIfLower'),
        }),
      ),
      scaleUp: maybe(rules),
      scaleDown: maybe(rules),
      triggers,
      paused: maybe(fc.boolean()),
      pausedReplicas: maybe(whole(0, 9)),
      pausedScaleIn: maybe(fc.boolean()),
      pausedScaleOut: maybe(fc.boolean()),
      forceActivation: maybe(fc.boolean()),
      tier: maybe(tiers),
    })
    .map(({ scaleUp, scaleDown, ...fields }) => ({
      ...fields,
      advanced: { horizontalPodAutoscalerConfig: { behavior: { scaleUp, scaleDown } } },
    }))
    // JSON drops what is undefined, as a file does that does not say it.
    .map((value) => JSON.parse(JSON.stringify(value)) as unknown)
    .filter((value) => readKey(value).problems.length === 0);

  test('comes back from KEDA’s form as the same tier, and from there without any change', { timeout: 60_000 }, () => {
    fc.assert(
      fc.property(key, (value) => {
        const first = tierFrom(value);
        const second = tierFrom(pasteBack(first.printed).value);
        expect(second.tier).toEqual(withTargets(first.tier));
        const third = tierFrom(pasteBack(second.printed).value);
        expect(third.tier).toEqual(second.tier);
      }),
      { numRuns: 50 },
    );
  });
});

test('several services are several documents', () => {
  const { service } = readKey({ triggers: [{ type: 'redis', metadata: { address: 'redis:6379', listName: 'a' } }] });
  if (!service) throw new Error('nothing was read');
  const { tier } = tierOf('shop', service, { budget });
  const text = printScaledObjects([1, 2].map(() => ({ tier, object: scaledObject({ ...service, name: 'My_Worker' }, tier) })));
  const documents = parseAllDocuments(text).map((document) => document.toJS() as Pasted);
  expect(documents.map(({ metadata }) => metadata.name)).toEqual(['my-worker', 'my-worker']);
  expect(text).toContain('# Kubernetes takes no name like My_Worker: the Deployment has to be called my-worker.');
});
