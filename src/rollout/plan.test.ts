import { describe, expect, test } from 'vitest';
import type { Project } from '../project/model.ts';
import { autoscaleSpec, container, edgeSpec, observed, project, service, updateConfig } from './fixtures.ts';
import type { ObservedContainer } from './model.ts';
import { planRelease } from './plan.ts';
import { printPlan } from './print.ts';
import { withServers, withWantedBackends } from './routes.ts';
import { scaledRecord } from './scaled.ts';

const defaults = { kind: 'deploy' as const, only: [], force: false, reusable: {} };
const edgeOf = (of: Project) =>
  withWantedBackends({ network: { name: 'edge_shop', subnet: '10.214.0.0/24' }, nextAddress: 5, backends: {} }, of);
const withEdge = (of: Project, containers: ObservedContainer[]) => {
  const world = observed(containers);
  const project = Object.keys(of.services).reduce(
    (edge, name) =>
      withServers(edge, name, {
        ready: containers.filter((entry) => entry.service === name).map(({ id }) => ({ container: id, address: '10.214.0.9' })),
        drain: [],
        hold: false,
      }),
    edgeOf(of),
  );
  return { ...world, edge: { ...world.edge, project } };
};
const steps = (text: string): string[] =>
  text
    .split('\n')
    .filter((line) => /^ +\d+ {2}/.test(line))
    .map((line) => line.replace(/^ +\d+ {2}/, '').replace(/ {2}\(.*\)$/, ''));

describe('the plan of a release', () => {
  test('a routed service with two replicas, its job and a worker', () => {
    const stack = project(
      service('api', {
        replicas: 2,
        edge: [edgeSpec()],
        dependsOn: { migrate: { condition: 'service_completed_successfully', required: true, restart: false } },
      }),
      service('migrate', { release: { timeoutMs: 300_000 } }),
      service('worker'),
      service('redis', { configHash: 'redis-old', mounts: [{ type: 'volume', source: 'redis', target: '/data', readOnly: false }] }),
    );
    const plan = planRelease(
      stack,
      withEdge(stack, [container('api', 1), container('api', 2), container('worker', 1), container('redis', 1)]),
      defaults,
    );
    expect(printPlan(plan)).toMatchInlineSnapshot(`
      "Release 5 of shop

        api      replace      configuration changed  [start-first: its requests move once the new containers are ready]
        redis    keep         unchanged
        worker   replace      configuration changed  [stop-first: a worker: nothing says that two versions may work side by side (update_config.order: start-first would)]
        migrate  job          runs once before the release

         1  create 1 migrate                  (a fresh container of the job, in the new image)
         2  run migrate to its end            (once, in the new image, at most 5 min 00 s; if it fails nothing is touched)
         3  create 2 api, 1 worker            (by Compose itself, beside what runs; not started yet)
         4  start 1 new api                   (without traffic yet)
         5  wait until 1 new api is ready     (Docker health and the edge’s own check)
         6  start 1 new api                   (without traffic yet)
         7  wait until 1 new api is ready     (Docker health and the edge’s own check)
         8  stop 1 old worker                 (a worker: nothing says that two versions may work side by side (update_config.order: start-first would))
         9  start 1 new worker                (in the new release)
        10  wait until 1 new worker is ready  (Docker health)
        11  route api: to 2 new, drain 2 old  (all at once: requests go to api of this release)
        12  watch for 5.0 s                   (errors, latency and restarts of new against old for 5.0 s; a breach switches back)
        13  commit                            (from here on there is no way back but a rollback)
        14  stop 2 old api                    (nothing is in flight there; kept stopped for an instant rollback)
        15  route api: to 2 new               (the edge forgets the old containers)
        16  record the release                (the release, its images by digest, and what may be cleaned up)
      "
    `);
  });

  test('nothing to do is said', () => {
    const stack = project(service('api', { configHash: 'api-old', edge: [edgeSpec()] }));
    const plan = planRelease(stack, withEdge(stack, [container('api', 1)]), defaults);
    expect(plan.steps).toEqual([]);
    expect(printPlan(plan)).toContain('Nothing to do');
  });

  test('a first start makes what the job needs, runs the job, then the rest', () => {
    const stack = project(
      service('api', {
        edge: [edgeSpec()],
        dependsOn: { migrate: { condition: 'service_completed_successfully', required: true, restart: false } },
      }),
      service('migrate', {
        release: { timeoutMs: 1000 },
        dependsOn: { db: { condition: 'service_healthy', required: true, restart: false } },
      }),
      service('db'),
    );
    const plan = planRelease(stack, observed([], { releases: [] }), defaults);
    expect(steps(printPlan(plan))).toMatchInlineSnapshot(`
      [
        "create 1 db                  ",
        "start 1 new db               ",
        "wait until 1 new db is ready ",
        "create 1 migrate             ",
        "run migrate to its end       ",
        "prepare the edge             ",
        "create 1 api                 ",
        "start 1 new api              ",
        "wait until 1 new api is ready",
        "route api: to 1 new          ",
        "commit                       ",
        "record the release           ",
      ]
    `);
  });

  test('a single writer is stopped first and its requests are held', () => {
    const stack = project(
      service('web', { edge: [edgeSpec()], mounts: [{ type: 'volume', source: 'data', target: '/data', readOnly: false }] }),
    );
    expect(steps(printPlan(planRelease(stack, withEdge(stack, [container('web', 1)]), defaults)))).toMatchInlineSnapshot(`
      [
        "create 1 web                         ",
        "route web: hold requests, drain 1 old",
        "drain 1 old web                      ",
        "stop 1 old web                       ",
        "start 1 new web                      ",
        "wait until 1 new web is ready        ",
        "route web: to 1 new                  ",
        "watch for 5.0 s                      ",
        "commit                               ",
        "record the release                   ",
      ]
    `);
  });

  test('parallelism and delay', () => {
    const stack = project(
      service('api', { replicas: 3, edge: [edgeSpec()], update: updateConfig({ parallelism: 2, delayMs: 3000, monitorMs: 0 }) }),
    );
    expect(
      steps(
        printPlan(
          planRelease(
            stack,
            withEdge(
              stack,
              [1, 2, 3].map((number) => container('api', number)),
            ),
            defaults,
          ),
        ),
      ),
    ).toMatchInlineSnapshot(`
      [
        "create 3 api                    ",
        "start 2 new api                 ",
        "wait until 2 new api are ready  ",
        "wait 3.0 s                      ",
        "start 1 new api                 ",
        "wait until 1 new api is ready   ",
        "route api: to 3 new, drain 3 old",
        "drain the old containers        ",
        "commit                          ",
        "stop 3 old api                  ",
        "route api: to 3 new             ",
        "record the release              ",
      ]
    `);
  });

  test('a container_name is freed before Compose makes its successor', () => {
    const stack = project(service('worker', { containerName: 'the-worker' }));
    expect(steps(printPlan(planRelease(stack, observed([container('worker', 1)]), defaults)))).toMatchInlineSnapshot(`
      [
        "stop 1 old worker               ",
        "remove 1 old worker             ",
        "create 1 worker                 ",
        "start 1 new worker              ",
        "wait until 1 new worker is ready",
        "watch for 5.0 s                 ",
        "commit                          ",
        "record the release              ",
      ]
    `);
  });

  test('more replicas join, fewer leave, nothing else is touched', () => {
    const up = project(service('api', { replicas: 2, configHash: 'api-old', edge: [edgeSpec()] }));
    expect(steps(printPlan(planRelease(up, withEdge(up, [container('api', 1)]), defaults)))).toMatchInlineSnapshot(`
      [
        "create 1 api                 ",
        "start 1 new api              ",
        "wait until 1 new api is ready",
        "route api: to 2 new          ",
        "commit                       ",
        "record the release           ",
      ]
    `);
    const down = project(service('api', { replicas: 1, configHash: 'api-old', edge: [edgeSpec()] }));
    expect(
      steps(printPlan(planRelease(down, withEdge(down, [container('api', 1), container('api', 2)]), defaults))),
    ).toMatchInlineSnapshot(`
      [
        "route api: to 1 new, drain 1 old",
        "drain the old containers        ",
        "commit                          ",
        "stop 1 old api                  ",
        "route api: to 1 new             ",
        "record the release              ",
      ]
    `);
  });

  test('a published port is taken over from the container that is replaced', () => {
    const stack = project(service('api', { edge: [edgeSpec()] }));
    const world = observed([container('api', 1, { hostPorts: [80] })], {
      publishers: [{ port: 80, container: 'api-1', name: 'shop-api-1', project: 'shop', service: 'api' }],
      temporaryPorts: { 80: 17_000 },
    });
    expect(steps(printPlan(planRelease(stack, world, defaults)))).toMatchInlineSnapshot(`
      [
        "prepare the edge                ",
        "take over port 80               ",
        "create 1 api                    ",
        "start 1 new api                 ",
        "wait until 1 new api is ready   ",
        "route api: to 1 new, drain 1 old",
        "watch for 5.0 s                 ",
        "commit                          ",
        "stop 1 old api                  ",
        "route api: to 1 new             ",
        "bind port 80                    ",
        "record the release              ",
      ]
    `);
    const blocked = planRelease(stack, { ...world, redirect: { can: false, why: 'redirects of ports need root' } }, defaults);
    expect(blocked.losses.join()).toContain('redirects of ports need root');
  });

  test('the reasons for a change', () => {
    const stack = project(service('api', { contentHash: 'b', contentFiles: ['/srv/shop/nginx.conf'], configHash: 'api-old' }));
    const release = {
      number: 4,
      at: '',
      by: '',
      kind: 'deploy' as const,
      services: { api: { image: 'api:2', imageId: '', configHash: 'api-old', contentHash: 'a', replicas: 1, containers: ['api-1'] } },
    };
    const why = (world: ReturnType<typeof observed>) => planRelease(stack, world, defaults).services[0]?.why;
    expect(why(observed([container('api', 1)], { releases: [release] }))).toBe('content changed of /srv/shop/nginx.conf');
    expect(why(observed([container('api', 1)], { contentChangedMs: { api: 2000 } }))).toBe('content changed of /srv/shop/nginx.conf');
    expect(why(observed([container('api', 1, { imageId: 'sha256:0123456789abcdef' })]))).toBe('image changed: 0123456789ab → api');
    expect(why(observed([container('api', 1, { configHash: 'other' })]))).toBe('configuration changed');
  });

  test('a rollback follows rollback_config, and update_config where that is silent', () => {
    const order = (update: Parameters<typeof updateConfig>[0], rollback: Parameters<typeof updateConfig>[0]) => {
      const stack = project(service('worker', { update: updateConfig(update), rollback: updateConfig(rollback) }));
      return planRelease(stack, observed([container('worker', 1)]), { ...defaults, kind: 'rollback', of: 3 }).services[0]?.order;
    };
    expect(order({ order: 'start-first' }, { order: 'stop-first' })).toBe('stop-first');
    expect(order({ order: 'stop-first' }, { order: 'start-first' })).toBe('start-first');
    expect(order({ order: 'start-first' }, {})).toBe('start-first');
  });
});

describe('a service that the autoscaler counts', () => {
  const autoscale = autoscaleSpec({ max: 8 });
  const light = (changes: Parameters<typeof service>[1] = {}) => service('light', { autoscale, ...changes });
  const unchanged = { configHash: 'light-old' };
  const recorded = (of: ReturnType<typeof service>) => ({
    image: of.image,
    imageId: `sha256:${of.name}`,
    configHash: of.configHash,
    contentHash: of.contentHash,
    replicas: 0,
    ...scaledRecord(of),
    containers: [],
  });
  const recordedBefore = (of: ReturnType<typeof service>) => [
    { number: 4, at: '2026-01-01T00:00:00Z', by: 'ann', kind: 'deploy' as const, services: { [of.name]: recorded(of) } },
  ];
  const frozen = (number: number) => container('light', number, { state: 'paused' });
  const whyOf = (of: ReturnType<typeof service>, world: Parameters<typeof observed>[1], containers: ObservedContainer[] = []) => {
    const [entry] = planRelease(project(of), observed(containers, world), defaults).services;
    return `${entry?.action}: ${entry?.why}`;
  };

  test('a release keeps the count of now, frozen ones included, and thaws them before Compose is called', () => {
    const stack = project(light({ replicas: 1 }), service('api', { configHash: 'api-old' }));
    const world = observed([container('light', 1), frozen(2), frozen(3), container('api', 1)], { agent: true });
    expect(printPlan(planRelease(stack, world, defaults))).toMatchInlineSnapshot(`
      "Release 5 of shop

        api    keep         unchanged
        light  replace      configuration changed; keeps 3: the autoscaler's count (0-8)  [stop-first: a worker: nothing says that two versions may work side by side (update_config.order: start-first would)]

         1  thaw 2 light                     (Compose refuses to work beside a frozen container)
         2  create 3 light                   (by Compose itself, beside what runs; not started yet)
         3  stop 1 old light                 (a worker: nothing says that two versions may work side by side (update_config.order: start-first would))
         4  start 1 new light                (in the new release)
         5  wait until 1 new light is ready  (Docker health)
         6  stop 1 old light                 (a worker: nothing says that two versions may work side by side (update_config.order: start-first would))
         7  start 1 new light                (in the new release)
         8  wait until 1 new light is ready  (Docker health)
         9  stop 1 old light                 (a worker: nothing says that two versions may work side by side (update_config.order: start-first would))
        10  start 1 new light                (in the new release)
        11  wait until 1 new light is ready  (Docker health)
        12  watch for 5.0 s                  (errors, latency and restarts of new against old for 5.0 s; a breach switches back)
        13  commit                           (from here on there is no way back but a rollback)
        14  record the release               (the release, its images by digest, and what may be cleaned up)
      "
    `);
  });

  test('one that is ending is neither counted nor stopped a second time nor brought back by an undo', () => {
    const world = observed([container('light', 1), container('light', 2)], { agent: true, draining: ['light-2'] });
    const plan = planRelease(project(light()), world, defaults);
    expect(plan.services[0]).toMatchObject({
      old: ['light-1'],
      count: 1,
      why: "configuration changed; keeps 1: the autoscaler's count (0-8)",
    });
    expect(plan.before).toEqual({ light: ['light-1'] });
    expect(JSON.stringify(plan.steps)).not.toContain('light-2');
  });

  test('at 0 the release goes through, and nothing is started', () => {
    const plan = planRelease(project(light()), observed([], { agent: true, releases: recordedBefore(light(unchanged)) }), defaults);
    expect(printPlan(plan)).toMatchInlineSnapshot(`
      "Release 5 of shop

        light  record       configuration changed; at 0: the autoscaler starts it (0-8)

         1  commit              (from here on there is no way back but a rollback)
         2  record the release  (the release, its images by digest, and what may be cleaned up)
      "
    `);
  });

  test.each([
    [
      'at 0, as recorded',
      light(unchanged),
      { agent: true, releases: recordedBefore(light(unchanged)) },
      [],
      'keep: at 0: the autoscaler starts it (0-8)',
    ],
    ['never released, an agent runs', light(), { agent: true, releases: [] }, [], 'record: new; at 0: the autoscaler starts it (0-8)'],
    [
      'never released, a least count',
      light({ autoscale: autoscaleSpec({ min: 2, max: 8 }) }),
      { agent: true, releases: [] },
      [],
      'first start: begins with 2 (2-8)',
    ],
    [
      'idle at 0 although the least is 2',
      light({ autoscale: autoscaleSpec({ min: 2, max: 8, idle: 0 }) }),
      { agent: true, releases: [] },
      [],
      'record: new; at 0: the autoscaler starts it (0-8)',
    ],
    [
      'no most written: what fits the host',
      light({ autoscale: autoscaleSpec() }),
      { agent: true, releases: [] },
      [],
      'record: new; at 0: the autoscaler starts it (0+)',
    ],
    ['no agent', light({ replicas: 3 }), { agent: false, releases: [] }, [], 'first start: 3 until an agent scales it (0-8)'],
    [
      'no agent, more than the most',
      light({ replicas: 9 }),
      { agent: false, releases: [] },
      [],
      'first start: 8 until an agent scales it (0-8)',
    ],
    [
      'other settings',
      light({ ...unchanged, autoscale: autoscaleSpec({ min: 0, max: 9 }) }),
      { agent: true, releases: recordedBefore(light(unchanged)) },
      [container('light', 1)],
      "record: x-autoscale changed; keeps 1: the autoscaler's count (0-9)",
    ],
    [
      'scaled for the first time',
      light(unchanged),
      { agent: true, releases: recordedBefore(service('light', unchanged)) },
      [container('light', 1)],
      "record: scaled from now on; keeps 1: the autoscaler's count (0-8)",
    ],
    [
      'scaled no longer',
      service('light', unchanged),
      { agent: true, releases: recordedBefore(light(unchanged)) },
      [container('light', 1)],
      'record: no longer scaled',
    ],
    [
      'fewer than the least',
      light({ ...unchanged, autoscale: autoscaleSpec({ min: 2, max: 8 }) }),
      { agent: true },
      [container('light', 1)],
      'scale: 1 run, the least is 2 (2-8)',
    ],
    [
      'more than the most: ending idle ones is the agent’s',
      light({ ...unchanged, autoscale: autoscaleSpec({ min: 0, max: 1 }) }),
      { agent: true, releases: recordedBefore(light({ ...unchanged, autoscale: autoscaleSpec({ min: 0, max: 1 }) })) },
      [container('light', 1), container('light', 2)],
      'keep: 2 run, the most is 1 (0-1)',
    ],
    [
      'more than the most, without an agent',
      light({ ...unchanged, autoscale: autoscaleSpec({ min: 0, max: 1 }) }),
      { agent: false },
      [container('light', 1), container('light', 2)],
      'scale: 2 run, the most is 1 (0-1)',
    ],
  ])('%s', (_title, of, world, containers, expected) => {
    expect(whyOf(of, world, containers)).toBe(expected);
  });

  test('at 0, a job that it waits for runs in the new image, once', () => {
    const waits = { migrate: { condition: 'service_completed_successfully' as const, required: true, restart: false } };
    const stack = project(light({ dependsOn: waits }), service('migrate', { release: { timeoutMs: 1000 } }));
    const releases = recordedBefore(light(unchanged));
    const plan = planRelease(stack, observed([], { agent: true, releases }), defaults);
    expect(steps(printPlan(plan)).map((text) => text.trim())).toEqual([
      'create 1 migrate',
      'run migrate to its end',
      'commit',
      'record the release',
    ]);
    const ran = container('migrate', 1, { state: 'exited', configHash: 'migrate-new' });
    const again = planRelease(stack, observed([ran], { agent: true, releases }), defaults);
    expect(steps(printPlan(again)).map((text) => text.trim())).toEqual(['commit', 'record the release']);
  });

  test('without an agent the plan says so, and only when it changes something', () => {
    const stack = project(light());
    expect(planRelease(stack, observed([]), defaults).warnings).toEqual([
      'no agent runs on this host, so nobody scales light: composure agent install brings one',
    ]);
    const as = { agent: false, releases: recordedBefore(light(unchanged)) };
    expect(planRelease(project(light(unchanged)), observed([container('light', 1)], as), defaults).warnings).toEqual([]);
  });

  test('a volume that up to eight write to is nobody’s alone', () => {
    const mounts = [{ type: 'volume' as const, source: 'cache', target: '/cache', readOnly: false }];
    const [entry] = planRelease(project(light({ mounts })), observed([container('light', 1)], { agent: true }), defaults).services;
    expect(entry?.orderWhy).toContain('a worker');
  });

  test('going back keeps the count of now: kept containers first, new ones for the rest', () => {
    const stack = project(light());
    const world = observed(
      [1, 2, 3].map((number) => container('light', number)),
      { agent: true },
    );
    const plan = planRelease(stack, world, { ...defaults, kind: 'rollback', of: 2, reusable: { light: ['kept-1'] } });
    expect(plan.services[0]).toMatchObject({ count: 3, reuse: ['kept-1'] });
    // Kept containers are the warm ones of the autoscaler as long as nothing has to be started.
    const stays = planRelease(project(light(unchanged)), world, { ...defaults, kind: 'rollback', of: 2, reusable: { light: ['warm-1'] } });
    expect(stays.services[0]).toMatchObject({ kept: ['light-1', 'light-2', 'light-3'], count: 0, reuse: [] });
  });
});
