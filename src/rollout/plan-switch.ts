import { formatMs } from '../kit/duration.ts';
import type { Project, Service } from '../project/model.ts';
import { inDependencyOrder } from './dependencies.ts';
import type { Observed, Ref, Routing, ServicePlan, Step } from './model.ts';
import { proxyReloads, takeovers } from './plan-edge.ts';
import type { Moving } from './plan-service.ts';
import { addStarts, createStep } from './plan-start.ts';
import { addStopFirst, drainBudget, holdBudgetMs } from './plan-stop-first.ts';

export function addRelease(
  steps: Step[],
  plans: ServicePlan[],
  project: Project,
  observed: Observed,
  moving: Map<string, Moving>,
  routing: string | undefined,
  notes: { warnings: string[]; losses: string[] },
): void {
  const started = new Set(steps.flatMap((step) => (step.kind === 'start' ? [step.service] : [])));
  const order = inDependencyOrder(project, [...moving.keys()])
    .map((name) => moving.get(name) as Moving)
    .filter(({ plan }) => plan.action !== 'record');
  const stopFirst = order.filter(({ plan }) => plan.action === 'replace' && plan.order === 'stop-first');
  const startFirst = order.filter((entry) => !stopFirst.includes(entry));
  const fixedName = (entry: Moving): boolean => entry.service.containerName !== undefined;
  const taken = takeovers(project, observed, moving);

  const preparation = routing ?? (taken.length > 0 ? 'a port changes hands' : undefined);
  if (preparation !== undefined) {
    const prepare: Step[] = [
      { id: 'prepare-edge', kind: 'prepare-edge', why: preparation },
      ...taken.map(
        (take): Step => ({
          id: `take-over-port:${take.port}`,
          kind: 'take-over-port',
          port: take.port,
          temporary:
            observed.edge.settings.takeovers.find(({ port }) => port === take.port)?.temporary ?? observed.temporaryPorts[take.port] ?? 0,
          redirect: take.kind === 'redirect',
          why: take.why,
        }),
      ),
    ];
    const firstRouted = steps.findIndex((step) => step.kind === 'start' && moving.get(step.service)?.plan.routed);
    steps.splice(firstRouted < 0 ? steps.length : firstRouted, 0, ...prepare);
  }
  notes.losses.push(...taken.filter(({ kind }) => kind !== 'redirect').map(({ why }) => why));

  const created = [...startFirst.filter(({ plan }) => !started.has(plan.service)), ...stopFirst.filter((entry) => !fixedName(entry))];
  const create = createStep('create', created, 'by Compose itself, beside what runs; not started yet');
  if (create.kind === 'create' && create.totals.length > 0) steps.push(create);
  for (const entry of startFirst) if (!started.has(entry.plan.service) && entry.fresh.length > 0) addStarts(steps, entry);
  for (const entry of stopFirst) addStopFirst(steps, entry, fixedName(entry), notes.losses);

  const routings = startFirst
    .filter(({ plan }) => plan.routed)
    .map(({ plan, fresh, kept, old }): Routing => ({ service: plan.service, ready: [...kept, ...fresh], drain: old, hold: false }));
  const gone = plans.filter(({ action }) => action === 'remove');
  if (routings.length > 0)
    steps.push({
      id: 'switch',
      kind: 'route',
      routings,
      why: `all at once: requests go to ${routings.map(({ service }) => service).join(', ')} of this release`,
    });

  const drains = startFirst
    .filter(({ plan, old }) => plan.routed && old.length > 0)
    .map(({ plan, old, service }) => ({ service: plan.service, containers: old, ...drainBudget(service) }));
  const monitorMs = Math.max(0, ...order.filter(({ plan }) => plan.action === 'replace').map(({ update }) => update.monitorMs));
  if (monitorMs > 0 || drains.length > 0) {
    steps.push({
      id: 'watch',
      kind: 'watch',
      ms: monitorMs,
      drains,
      why:
        monitorMs > 0
          ? `errors, latency and restarts of new against old for ${formatMs(monitorMs)}; a breach switches back`
          : 'the old ones finish what they serve',
    });
  }
  steps.push({ id: 'commit', kind: 'commit', why: 'from here on there is no way back but a rollback' });
  const retiring = [
    ...startFirst.filter(({ old }) => old.length > 0).map(({ plan, old }) => ({ service: plan.service, old })),
    ...gone.map(({ service, old }) => ({ service, old })),
  ];
  const reloads = proxyReloads(project, observed, order);
  for (const reload of reloads)
    steps.splice(
      steps.findIndex(({ id }) => id === 'commit'),
      0,
      { ...reload, id: `${reload.id}:new` },
    );
  const held = retiring.length > 0 ? reloads.filter(({ service }) => (project.services[service]?.edge.length ?? 0) > 0) : [];
  for (const { service, containers } of held) addHold(steps, project.services[service] as Service, containers);
  for (const { service, old } of retiring) {
    steps.push({
      id: `stop:${service}`,
      kind: 'stop',
      service,
      containers: old,
      why: gone.some((plan) => plan.service === service)
        ? 'no longer in the project'
        : 'nothing is in flight there; kept stopped for an instant rollback',
    });
  }
  if (routings.some(({ drain }) => drain.length > 0)) {
    steps.push({
      id: 'forget',
      kind: 'route',
      routings: routings.map((entry) => ({ ...entry, drain: [] })),
      why: 'the edge forgets the old containers',
    });
  }
  for (const reload of reloads) steps.push({ ...reload, id: `${reload.id}:old` });
  for (const { service, containers } of held)
    steps.push({
      id: `resume:${service}`,
      kind: 'route',
      routings: [{ service, ready: containers, drain: [], hold: false }],
      why: 'waiting requests go on',
    });
  for (const { port } of taken)
    steps.push({ id: `give-port:${port}`, kind: 'give-port', port, why: `the edge listens on port ${port} itself` });
  steps.push({ id: 'record', kind: 'record', why: 'the release, its images by digest, and what may be cleaned up' });
}

/**
 * Requests wait at the edge while the upstreams of a proxy behind it stop: the proxy would go on sending some of them to addresses
 * that nobody answers under any more, and notice only after its own connect timeout.
 */
function addHold(steps: Step[], proxy: Service, containers: Ref[]): void {
  const half = Math.max(1000, holdBudgetMs(proxy.edge) / 2);
  const budget = drainBudget(proxy);
  steps.push(
    {
      id: `hold:${proxy.name}`,
      kind: 'route',
      routings: [{ service: proxy.name, ready: [], drain: containers, hold: true }],
      why: `requests wait at the edge while the containers behind ${proxy.name} stop, at most ${formatMs(holdBudgetMs(proxy.edge))}`,
    },
    {
      id: `drain:${proxy.name}`,
      kind: 'drain',
      service: proxy.name,
      containers,
      requestsMs: Math.min(budget.requestsMs, half),
      streamsMs: Math.min(budget.streamsMs, half),
      why: 'what it passes on ends first',
    },
  );
}
