import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Project, Service } from '../project/model.ts';
import { resolveRefs } from './apply.ts';
import { isUp } from './changes.ts';
import { autoscaleSpec, container, edgeSpec, observed, project, service, updateConfig } from './fixtures.ts';
import { type Entry, unfinishedOf } from './journal.ts';
import type { Observed, ObservedContainer, Plan, Ref, Step } from './model.ts';
import { planRelease } from './plan.ts';
import { withServers, withWantedBackends } from './routes.ts';
import { scaledRecord } from './scaled.ts';
import { planUndo } from './undo.ts';

/** The containers and routes that steps act on, without an engine. */
interface Simulation {
  containers: Map<string, ObservedContainer>;
  routes: Map<string, { ready: string[]; drain: string[]; hold: boolean }>;
  created: Record<string, string[]>;
  snapshots: Map<string, ObservedContainer>;
}

const serving = (world: Simulation): Map<string, string[]> =>
  new Map([...world.routes].map(([name, { ready }]) => [name, ready.filter((id) => world.containers.get(id)?.state === 'running').sort()]));

function simulate(world: Simulation, plan: Plan, step: Step, stack: Project): void {
  const ids = (refs: Ref[]): string[] => resolveRefs(refs, world.created);
  switch (step.kind) {
    case 'create':
      for (const { service: name, add } of step.totals) {
        for (let count = 0; count < add; count += 1) {
          const number = world.containers.size + 1;
          const id = `made-${name}-${number}`;
          world.containers.set(id, container(name, number, { id, state: 'created', configHash: stack.services[name]?.configHash ?? '' }));
          world.created[name] = [...(world.created[name] ?? []), id];
        }
      }
      return;
    case 'thaw':
      for (const id of step.containers.flatMap((entry) => entry.ids)) set(world, id, 'running');
      return;
    case 'start':
      for (const id of ids(step.containers)) set(world, id, 'running');
      if (plan.services.find((entry) => entry.service === step.service)?.routed) {
        const route = world.routes.get(step.service) ?? { ready: [], drain: [], hold: false };
        world.routes.set(step.service, {
          ...route,
          drain: [...new Set([...route.drain, ...ids(step.containers)])].filter((id) => !route.ready.includes(id)),
        });
      }
      return;
    case 'run-job':
      for (const id of ids([step.container])) set(world, id, 'exited');
      return;
    case 'route':
      for (const { service: name, ready, drain, hold } of step.routings)
        world.routes.set(name, { ready: ids(ready), drain: ids(drain), hold });
      return;
    case 'stop':
      for (const id of ids(step.containers)) set(world, id, 'exited');
      return;
    case 'remove':
      for (const id of ids(step.containers)) {
        const gone = world.containers.get(id);
        if (gone && step.snapshot) world.snapshots.set(id, gone);
        world.containers.delete(id);
      }
      return;
    case 'restore':
      for (const id of step.containers) {
        const again = world.snapshots.get(id);
        if (again) world.containers.set(id, { ...again, state: 'exited' });
      }
      return;
    case 'restore-edge':
      world.routes = routesOf(plan.edgeBefore);
      return;
    case 'prepare-edge':
      for (const [name, running] of Object.entries(plan.before)) {
        if (plan.services.find((entry) => entry.service === name)?.routed && !world.routes.has(name))
          world.routes.set(name, { ready: running, drain: [], hold: false });
      }
      return;
    default:
  }
}

function set(world: Simulation, id: string, state: ObservedContainer['state']): void {
  const present = world.containers.get(id);
  if (present) world.containers.set(id, { ...present, state });
}

function routesOf(edge: Plan['edgeBefore']): Simulation['routes'] {
  const routes: Simulation['routes'] = new Map();
  for (const backend of Object.values(edge?.backends ?? {})) {
    const of = (state: string): string[] => backend.servers.filter((server) => server.state === state).map((server) => server.container);
    routes.set(backend.service, { ready: of('ready'), drain: of('drain'), hold: backend.hold });
  }
  return routes;
}

const anyService = (name: string): fc.Arbitrary<Service> =>
  fc
    .record({
      replicas: fc.integer({ min: 1, max: 4 }),
      routed: fc.boolean(),
      changed: fc.boolean(),
      storage: fc.boolean(),
      named: fc.boolean(),
      order: fc.constantFrom(undefined, 'start-first' as const, 'stop-first' as const),
      parallelism: fc.integer({ min: 0, max: 3 }),
      monitorMs: fc.constantFrom(0, 5000),
      needsJob: fc.boolean(),
      scaled: fc.option(fc.record({ min: fc.integer({ min: 0, max: 2 }), more: fc.integer({ min: 1, max: 3 }), idle: fc.boolean() })),
    })
    .map((kind) =>
      service(name, {
        replicas: kind.named ? 1 : kind.replicas,
        edge: kind.routed ? [edgeSpec({ hosts: [`${name}.example.com`] })] : [],
        configHash: kind.changed ? `${name}-new` : `${name}-old`,
        mounts: kind.storage ? [{ type: 'volume', source: name, target: '/data', readOnly: false }] : [],
        update: updateConfig({ parallelism: kind.parallelism, monitorMs: kind.monitorMs, ...(kind.order ? { order: kind.order } : {}) }),
        dependsOn: kind.needsJob ? { job: { condition: 'service_completed_successfully', required: true, restart: false } } : {},
        ...(kind.named ? { containerName: `the-${name}` } : {}),
        ...(kind.scaled && !kind.named
          ? {
              autoscale: autoscaleSpec({
                min: kind.scaled.min,
                max: kind.scaled.min + kind.scaled.more,
                ...(kind.scaled.idle ? { idle: 0 as const } : {}),
              }),
            }
          : {}),
      }),
    );

const anyCase = fc
  .tuple(
    anyService('a'),
    anyService('b'),
    anyService('c'),
    fc.boolean(),
    fc.record({ a: fc.integer({ min: 0, max: 4 }), b: fc.integer({ min: 0, max: 4 }), c: fc.integer({ min: 0, max: 4 }) }),
    fc.boolean(),
    fc.record({ agent: fc.boolean(), frozen: fc.infiniteStream(fc.boolean()), draining: fc.infiniteStream(fc.nat(4)) }),
  )
  .map(([a, b, c, withJob, running, behindEdge, scaler]) => {
    const stack = project(a, b, c, ...(withJob ? [service('job', { release: { timeoutMs: 1000 } })] : []));
    const containers = Object.entries(running).flatMap(([name, count]) => {
      const most = stack.services[name]?.containerName ? Math.min(count, 1) : count;
      // What is behind the edge is never frozen, and leaves the edge before it is asked to end.
      const scaled = stack.services[name]?.autoscale !== undefined && stack.services[name]?.edge.length === 0;
      return Array.from({ length: most }, (_, index) =>
        container(name, index + 1, scaled && scaler.frozen.next().value ? { state: 'paused' } : {}),
      );
    });
    const draining = containers
      .filter(({ service: of, state }) => stack.services[of]?.autoscale && state === 'running' && scaler.draining.next().value === 0)
      .map(({ id }) => id);
    const world = observed(containers, { agent: scaler.agent, draining });
    return {
      stack,
      world: behindEdge
        ? {
            ...world,
            edge: {
              ...world.edge,
              project: edgeBefore(
                stack,
                containers.filter(({ id }) => !draining.includes(id)),
              ),
            },
          }
        : world,
    };
  });

function edgeBefore(stack: Project, containers: ObservedContainer[]) {
  const empty = withWantedBackends({ network: { name: 'edge_shop', subnet: '10.214.0.0/24' }, nextAddress: 5, backends: {} }, stack);
  return Object.keys(stack.services).reduce(
    (edge, name) =>
      withServers(edge, name, {
        ready: containers
          .filter((entry) => entry.service === name)
          .map(({ id }, index) => ({ container: id, address: `10.214.0.${index + 2}` })),
        drain: [],
        hold: false,
      }),
    empty,
  );
}

/** How many containers of a service a release has to leave running, those aside that are ending anyway. */
function wantedCount(of: Service, { containers, draining, agent }: Observed): number {
  const present = containers.filter(({ id, service: name }) => name === of.name && !draining.includes(id));
  if (!of.autoscale) return of.replicas;
  const { min = 0, max = 0, idle } = of.autoscale;
  const within = (count: number): number => Math.min(max, Math.max(min, count));
  if (present.length === 0) return agent ? (idle ?? min) : within(of.replicas);
  const upToDate = present.filter(({ configHash }) => configHash === of.configHash).length;
  return Math.max(within(present.length), agent ? upToDate : 0);
}

/** The world as it is once the release is on record. */
const recorded = (world: Observed, plan: Plan, stack: Project): Observed => ({
  ...world,
  releases: [
    {
      number: plan.release,
      at: '',
      by: 'ann',
      kind: 'deploy',
      services: Object.fromEntries(
        Object.values(stack.services)
          .filter(({ autoscale }) => autoscale)
          .map((of) => [
            of.name,
            {
              image: of.image,
              imageId: world.images[of.name]?.id ?? '',
              configHash: of.configHash,
              contentHash: of.contentHash,
              replicas: 0,
              ...scaledRecord(of),
              containers: [],
            },
          ]),
      ),
    },
  ],
});

const begin = (world: Observed, plan: Plan): Simulation => ({
  containers: new Map(world.containers.map((entry) => [entry.id, entry])),
  routes: routesOf(plan.edgeBefore),
  created: {},
  snapshots: new Map(),
});

const defaults = { kind: 'deploy' as const, only: [], force: false, reusable: {} };
const runs = { numRuns: 400 };

describe('every plan', () => {
  test('thaws what is frozen before it makes a container, and neither stops, starts nor drops what is ending', () => {
    fc.assert(
      fc.property(anyCase, ({ stack, world }) => {
        const plan = planRelease(stack, world, defaults);
        const state = begin(world, plan);
        for (const step of plan.steps) {
          if (step.kind === 'create') expect([...state.containers.values()].filter(({ state: is }) => is === 'paused')).toEqual([]);
          if (step.kind === 'start' || step.kind === 'stop' || step.kind === 'remove')
            for (const id of step.containers) expect(world.draining).not.toContain(id);
          simulate(state, plan, step, stack);
        }
        for (const id of world.draining) expect(state.containers.get(id)?.state).toBe('running');
        expect(Object.values(plan.before).flat()).not.toEqual(
          expect.arrayContaining(world.draining.length > 0 ? world.draining : ['none']),
        );
      }),
      runs,
    );
  });

  test('never makes more of a scaled service than it had, but for its least or where no agent runs', () => {
    fc.assert(
      fc.property(anyCase, ({ stack, world }) => {
        for (const entry of planRelease(stack, world, defaults).services) {
          const of = stack.services[entry.service];
          if (!of?.autoscale) continue;
          const present = world.containers.filter(({ id, service: name }) => name === of.name && !world.draining.includes(id)).length;
          const { min = 0, idle } = of.autoscale;
          const least = world.agent ? (idle ?? min) : Math.max(min, of.replicas);
          expect(entry.kept.length + entry.count).toBeLessThanOrEqual(Math.max(present, present === 0 ? least : min));
        }
      }),
      runs,
    );
  });

  test('touches nothing that runs before the release jobs have succeeded', () => {
    fc.assert(
      fc.property(anyCase, ({ stack, world }) => {
        const plan = planRelease(stack, world, defaults);
        const lastJob = plan.steps.map(({ kind }) => kind).lastIndexOf('run-job');
        const touching = plan.steps.findIndex((step) => step.kind === 'stop' || step.kind === 'remove' || step.kind === 'route');
        expect(touching === -1 || touching > lastJob).toBe(true);
      }),
      runs,
    );
  });

  test('keeps a ready container or a hold on every route that had one, at every step', () => {
    fc.assert(
      fc.property(anyCase, ({ stack, world }) => {
        const plan = planRelease(stack, world, defaults);
        const state = begin(world, plan);
        const had = [...serving(state)].filter(([, ready]) => ready.length > 0).map(([name]) => name);
        for (const step of plan.steps) {
          simulate(state, plan, step, stack);
          for (const name of had) {
            const route = state.routes.get(name);
            expect(route?.hold || (serving(state).get(name)?.length ?? 0) > 0, `${name} after ${step.id}`).toBe(true);
          }
        }
      }),
      runs,
    );
  });

  test('stops a routed container only after its requests went elsewhere and were waited for', () => {
    fc.assert(
      fc.property(anyCase, ({ stack, world }) => {
        const plan = planRelease(stack, world, defaults);
        const state = begin(world, plan);
        const waited = new Set<string>();
        for (const step of plan.steps) {
          if (step.kind === 'drain') for (const id of step.containers) waited.add(id);
          if (step.kind === 'watch') for (const drain of step.drains) for (const id of drain.containers) waited.add(id);
          if (step.kind === 'stop' && plan.services.find((entry) => entry.service === step.service)?.routed) {
            for (const id of step.containers) {
              expect(state.routes.get(step.service)?.ready ?? []).not.toContain(id);
              expect(waited.has(id), `${id} was waited for`).toBe(true);
            }
          }
          simulate(state, plan, step, stack);
        }
      }),
      runs,
    );
  });

  test('ends with exactly the wanted replicas, all routed, and a second plan has nothing to do', () => {
    fc.assert(
      fc.property(anyCase, ({ stack, world }) => {
        const plan = planRelease(stack, world, defaults);
        const state = begin(world, plan);
        for (const step of plan.steps) simulate(state, plan, step, stack);
        for (const entry of Object.values(stack.services)) {
          if (entry.release) continue;
          const up = [...state.containers.values()].filter(
            (present) => present.service === entry.name && isUp(present) && !world.draining.includes(present.id),
          );
          expect(up.map(({ configHash }) => configHash)).toEqual(up.map(() => entry.configHash));
          expect(up.length).toBe(wantedCount(entry, world));
          if (entry.edge.length > 0 && plan.steps.length > 0)
            expect(serving(state).get(entry.name) ?? []).toEqual(up.map(({ id }) => id).sort());
        }
        const again = planRelease(
          stack,
          {
            ...recorded(world, plan, stack),
            containers: [...state.containers.values()],
            edge: {
              ...world.edge,
              project: edgeBefore(
                stack,
                [...state.containers.values()].filter(
                  ({ id, state: is }) => (is === 'running' || is === 'paused') && !world.draining.includes(id),
                ),
              ),
            },
          },
          defaults,
        );
        expect(again.steps).toEqual([]);
      }),
      runs,
    );
  });

  test('taken back at any point before commit, leaves exactly what ran before, routed as before', () => {
    fc.assert(
      fc.property(anyCase, fc.nat(), fc.boolean(), ({ stack, world }, cut, midStep) => {
        const plan = planRelease(stack, world, defaults);
        const commit = plan.steps.findIndex(({ kind }) => kind === 'commit');
        if (commit <= 0) return;
        const done = cut % commit;
        const state = begin(world, plan);
        const entries: Entry[] = [{ at: '', kind: 'plan', plan }];
        for (const [index, step] of plan.steps.entries()) {
          if (index > done) break;
          entries.push({ at: '', kind: 'begin', step: step.id });
          const before = structuredClone(state.created);
          // A step that was begun may have had its effect or not.
          if (index < done || midStep) simulate(state, plan, step, stack);
          if (index < done) {
            const created = Object.fromEntries(
              Object.entries(state.created).map(([name, ids]) => [name, ids.slice(before[name]?.length ?? 0)]),
            );
            entries.push({ at: '', kind: 'end', step: step.id, created });
          }
        }
        const unfinished = unfinishedOf(entries);
        if (!unfinished) throw new Error('the journal tells of no release');
        const steps = planUndo(unfinished, {
          containers: [...state.containers.values()],
          snapshots: new Set(state.snapshots.keys()),
          gateTimeoutMs: {},
        });
        if (!steps) throw new Error('the release cannot be taken back');
        const had = [...serving(begin(world, plan))].filter(([, ready]) => ready.length > 0).map(([name]) => name);
        for (const step of steps) {
          simulate(state, plan, step, stack);
          for (const name of had)
            expect(state.routes.get(name)?.hold || (serving(state).get(name)?.length ?? 0) > 0, `${name} after ${step.id}`).toBe(true);
        }
        // Frozen or thawed: the autoscaler's to say, once the release is out of the way.
        const up = (containers: Iterable<ObservedContainer>): string[] =>
          [...containers]
            .filter(isUp)
            .map(({ id }) => id)
            .sort();
        expect(up(state.containers.values())).toEqual(up(world.containers));
        if (plan.edgeBefore) expect([...serving(state)]).toEqual([...serving(begin(world, plan))]);
        const made = [...state.containers.keys()].filter((id) => id.startsWith('made-') && !id.startsWith('made-job'));
        expect(made).toEqual([]);
      }),
      { numRuns: 800 },
    );
  });
});
