import { isUp } from './changes.ts';
import type { Unfinished } from './journal.ts';
import type { ObservedContainer, Routing, ServicePlan, Step } from './model.ts';

export interface UndoSituation {
  containers: ObservedContainer[];
  /** Ids of removed containers that can be made again. */
  snapshots: ReadonlySet<string>;
  /** How long a container of each service may take to be ready again. */
  gateTimeoutMs: Record<string, number>;
  /** Services whose new containers run on without requests, to be looked at. */
  inspect?: ReadonlySet<string>;
}

/**
 * The steps back to exactly what ran before an uncommitted release, or undefined when that is gone and what runs now has to stay.
 * Pure. Requests go back first, all at once; then what was stopped is started; then what the release made is removed.
 */
export function planUndo(release: Unfinished, { containers, snapshots, gateTimeoutMs, inspect }: UndoSituation): Step[] | undefined {
  const { plan } = release;
  const byId = new Map(containers.map((container) => [container.id, container]));
  const known = new Set(plan.known);
  const up = (id: string): boolean => {
    const container = byId.get(id);
    return container !== undefined && isUp(container);
  };
  const before = (entry: ServicePlan): string[] => plan.before[entry.service] ?? [];
  const affected = plan.services.filter(({ action }) => action !== 'keep' && action !== 'remove');
  const made = (service: string): string[] =>
    containers.filter((container) => container.service === service && !known.has(container.id)).map(({ id }) => id);
  const fresh = (entry: ServicePlan): string[] => [...made(entry.service), ...entry.reuse.filter((id) => byId.has(id))];

  for (const entry of affected) {
    if (before(entry).some((id) => !byId.has(id) && !snapshots.has(id))) return undefined;
  }

  const steps: Step[] = [];
  const routed = affected.filter(({ routed }) => routed);
  const isRouted = (service: string): boolean => routed.some((entry) => entry.service === service);
  const edgeTouched = plan.steps.some(
    (step) =>
      release.begun.has(step.id) &&
      (step.kind === 'prepare-edge' || step.kind === 'route' || (step.kind === 'start' && isRouted(step.service))),
  );
  if (edgeTouched) {
    const back = routed.map((entry): Routing => {
      const ready = before(entry).filter(up);
      return { service: entry.service, ready, drain: fresh(entry).filter(up), hold: ready.length === 0 && before(entry).length > 0 };
    });
    if (back.length > 0) steps.push({ id: 'undo:switch', kind: 'route', routings: back, why: 'requests go back to the release before' });
    for (const { service, drain } of back) {
      if (drain.length > 0)
        steps.push({
          id: `undo:drain:${service}`,
          kind: 'drain',
          service,
          containers: drain,
          requestsMs: UNDO_DRAIN_MS,
          streamsMs: UNDO_DRAIN_MS,
          why: 'what the new ones serve ends first',
        });
    }
  }
  for (const step of plan.steps) {
    if (step.kind === 'take-over-port' && release.begun.has(step.id))
      steps.push({ id: `undo:port:${step.port}`, kind: 'leave-port', port: step.port, why: 'its container serves it again' });
  }
  for (const entry of [...affected].reverse()) {
    if (inspect?.has(entry.service)) continue;
    const removable = made(entry.service);
    const stopping = fresh(entry).filter(up);
    if (stopping.length > 0)
      steps.push({ id: `undo:stop:${entry.service}`, kind: 'stop', service: entry.service, containers: stopping, why: 'the new ones' });
    if (removable.length > 0)
      steps.push({
        id: `undo:remove:${entry.service}`,
        kind: 'remove',
        service: entry.service,
        containers: removable,
        snapshot: false,
        why: 'made by this release',
      });
  }
  for (const step of plan.steps) {
    if (step.kind === 'reload-proxy' && release.begun.has(step.id))
      steps.push({ ...step, id: `undo:${step.id}`, why: 'it knew the new ones already' });
  }
  for (const entry of affected) {
    const gone = before(entry).filter((id) => !byId.has(id));
    if (gone.length > 0)
      steps.push({
        id: `undo:restore:${entry.service}`,
        kind: 'restore',
        service: entry.service,
        containers: gone,
        why: 'removed for its name',
      });
    const down = before(entry).filter((id) => !up(id));
    if (down.length === 0) continue;
    steps.push({ id: `undo:start:${entry.service}`, kind: 'start', service: entry.service, containers: down, why: 'it ran before' });
    steps.push({
      id: `undo:gate:${entry.service}`,
      kind: 'gate',
      service: entry.service,
      containers: down,
      timeoutMs: gateTimeoutMs[entry.service] ?? 60_000,
      maxFailureRatio: 0,
      of: down.length,
      why: 'before requests go there',
    });
    if (entry.routed)
      steps.push({
        id: `undo:resume:${entry.service}`,
        kind: 'route',
        routings: [{ service: entry.service, ready: before(entry), drain: [], hold: false }],
        why: 'waiting requests go on',
      });
  }
  if (edgeTouched) steps.push({ id: 'undo:edge', kind: 'restore-edge', why: 'as before the release' });
  return steps;
}

/** The new containers failed, so what they still serve is not waited for longer than this. */
const UNDO_DRAIN_MS = 10_000;

/** The steps that bring one service alone back to what it was while the release goes on; undefined when that is gone. Pure. */
export function planLeave(release: Unfinished, service: string, situation: UndoSituation): Step[] | undefined {
  const plan = {
    ...release.plan,
    services: release.plan.services.filter((entry) => entry.service === service),
    steps: release.plan.steps.filter(({ kind }) => kind !== 'take-over-port' && kind !== 'reload-proxy'),
  };
  const steps = planUndo({ ...release, plan }, situation);
  if (!steps) return undefined;
  const back = steps.filter(({ kind }) => kind !== 'restore-edge').map((step) => ({ ...step, id: `left:${service}:${step.id}` }));
  // The edge forgets the new ones; what else it knows of the project belongs to the release that goes on.
  if (steps.some(({ kind }) => kind === 'restore-edge') && plan.services[0]?.routed)
    back.push({
      id: `left:${service}:forget`,
      kind: 'route',
      routings: [{ service, ready: plan.before[service] ?? [], drain: [], hold: false }],
      why: 'as before the release',
    });
  return back;
}
