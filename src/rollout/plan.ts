import type { EdgeSettings } from '../edge/model.ts';
import { planTakeovers, type TakeoverStep } from '../edge/takeover.ts';
import { formatMs } from '../kit/duration.ts';
import type { EdgeSpec, Project, Service, UpdateConfig } from '../project/model.ts';
import { compareService, isUp } from './changes.ts';
import { inDependencyOrder, withDependencies } from './dependencies.ts';
import { newRef, type Observed, type ObservedContainer, type Plan, type Ref, type Routing, type ServicePlan, type Step } from './model.ts';
import { callersOf, decideOrder } from './order.ts';
import { isReverseProxy, reloadCommand } from './proxies.ts';
import { routingChanges, wantedSettings } from './routes.ts';

export interface PlanOptions {
  kind: 'deploy' | 'rollback';
  of?: number;
  /** Only these services; empty means all. */
  only: string[];
  force: boolean;
  /** For a rollback: stopped containers of the wanted release, by service. */
  reusable: Record<string, string[]>;
}

/** One service on its way through the release, while the plan is being made. */
interface Moving {
  plan: ServicePlan;
  service: Service;
  update: UpdateConfig;
  /** Old containers, in the order in which they go. */
  old: Ref[];
  fresh: Ref[];
  kept: Ref[];
}

/**
 * The release as a list of steps, each with its reason. Pure: the same project and observation give the same plan.
 * Everything that can fail without being noticed comes first; nothing running is touched before the release jobs have succeeded;
 * all services of the release take traffic in one step; after `commit` there is no way back but another release.
 */
export function planRelease(project: Project, observed: Observed, options: PlanOptions): Plan {
  const warnings: string[] = [];
  const losses: string[] = [];
  const moving = new Map<string, Moving>();
  const plans: ServicePlan[] = [];
  const named = options.only.length === 0 ? new Set(Object.keys(project.services)) : new Set(options.only);
  const absent = (name: string): boolean => !observed.containers.some((container) => container.service === name && isUp(container));
  // A service that is asked for brings along what it depends on and is missing, never what already runs.
  const inRelease = new Set([...withDependencies(project, [...named])].filter((name) => named.has(name) || absent(name)));

  for (const name of inDependencyOrder(project, [...inRelease])) {
    const service = project.services[name] as Service;
    if (service.release && !service.release.command) continue;
    const entry = planService(service, project, observed, { options, warnings, replaced: replacedServices(moving) });
    plans.push(entry.plan);
    if (entry.plan.action !== 'keep') moving.set(name, entry);
  }
  for (const gone of servicesGone(project, observed)) if (options.only.length === 0) plans.push(gone);

  const jobs = inDependencyOrder(
    project,
    [...inRelease].filter((name) => project.services[name]?.release),
  );
  const changed = moving.size > 0 || plans.some((plan) => plan.action === 'remove');
  const routing = whyPrepareEdge(project, observed);
  const steps: Step[] = [];
  if (changed) {
    const jobsToRun = jobs.filter((name) => isJobNeeded(name, project, moving, observed, options));
    addJobs(steps, plans, jobsToRun, project, moving);
  }
  if (changed || routing !== undefined) addRelease(steps, plans, project, observed, moving, routing, { warnings, losses });
  warnings.push(...capacityWarnings(project, observed, moving), ...proxyWarnings(project, observed, moving));

  const before: Record<string, string[]> = {};
  for (const container of observed.containers)
    if (isUp(container)) before[container.service] = [...(before[container.service] ?? []), container.id];
  return {
    project: project.name,
    release: (observed.releases.at(-1)?.number ?? 0) + (needsFoundRecord(observed) ? 2 : 1),
    kind: options.kind,
    ...(options.of === undefined ? {} : { of: options.of }),
    services: plans,
    steps,
    warnings,
    losses,
    before,
    ...(observed.edge.project ? { edgeBefore: observed.edge.project } : {}),
    known: observed.containers.map(({ id }) => id).sort(),
  };
}

/** A project that ran before Composure came: what is found running is recorded as its first release, so that it can be rolled back to. */
export const needsFoundRecord = (observed: Observed): boolean => observed.releases.length === 0 && observed.containers.some(isUp);

const replacedServices = (moving: Map<string, Moving>): Set<string> =>
  new Set([...moving].filter(([, { plan }]) => plan.action === 'replace').map(([name]) => name));

/** Replaced although nothing of its own changed: asked for, or something that it depends on with `restart: true` is replaced. */
function whyForced(service: Service, options: PlanOptions, replaced: Set<string>): string | undefined {
  if (options.force) return 'asked for (--force-recreate)';
  const dependency = Object.entries(service.dependsOn).find(([name, { restart }]) => restart && replaced.has(name));
  return dependency && `depends_on ${dependency[0]} with restart: true`;
}

function planService(
  service: Service,
  project: Project,
  observed: Observed,
  { options, warnings, replaced }: { options: PlanOptions; warnings: string[]; replaced: Set<string> },
): Moving {
  const change = compareService(service, observed, whyForced(service, options, replaced));
  const decision = decideOrder(service, project, observed.images[service.name]?.exposesPorts ?? false);
  const isFirst = change.upToDate.length + change.outdated.length === 0;
  const kept = [...change.upToDate].sort((a, b) => a.number - b.number);
  // Too many of what is wanted: the newest go, as Compose would choose.
  const surplus = kept.splice(service.replicas);
  const count = service.replicas - kept.length;
  const old = [...change.outdated, ...surplus].sort((a, b) => a.number - b.number).map(({ id }) => id);
  const action = count === 0 && old.length === 0 ? 'keep' : isFirst ? 'first start' : change.outdated.length > 0 ? 'replace' : 'scale';
  const reuse = (options.reusable[service.name] ?? []).slice(0, count);
  if (decision.warning && action !== 'keep') warnings.push(decision.warning);
  const routed = service.edge.length > 0;
  const plan: ServicePlan = {
    service: service.name,
    action,
    why: change.why,
    ...(action === 'replace' ? { order: decision.order, orderWhy: decision.why } : {}),
    routed,
    old,
    kept: kept.map(({ id }) => id),
    count,
    reuse,
  };
  if (action === 'replace' && decision.order === 'start-first') {
    const callers = callersOf(service, project);
    if (callers.length > 0) {
      warnings.push(
        `${service.name}: ${callers.join(', ')} call it by its name inside the project; those requests do not pass the edge, so they are gated by nothing but Docker's DNS and the application's own shutdown`,
      );
    }
  }
  const fresh = Array.from({ length: count }, (_, slot) => reuse[slot] ?? newRef(service.name, slot));
  return { plan, service, update: options.kind === 'rollback' ? service.rollback : service.update, old, fresh, kept: plan.kept };
}

/** Services that run but are in the project's files no longer. Compose calls them orphans. */
function servicesGone(project: Project, observed: Observed): ServicePlan[] {
  const recorded = observed.releases.at(-1)?.services ?? {};
  const gone = new Set(
    observed.containers
      .filter((container) => isUp(container) && !project.services[container.service] && recorded[container.service])
      .map(({ service }) => service),
  );
  return [...gone].sort().map((service) => ({
    service,
    action: 'remove',
    why: 'no longer in the project',
    routed: false,
    old: observed.containers.filter((container) => container.service === service && isUp(container)).map(({ id }) => id),
    kept: [],
    count: 0,
    reuse: [],
  }));
}

/** A release job runs when something that waits for it starts anew, or when it belongs to a service that does. */
function isJobNeeded(name: string, project: Project, moving: Map<string, Moving>, observed: Observed, options: PlanOptions): boolean {
  // Going back runs no job: a migration that went forward is not undone by the old release's migration.
  if (options.kind === 'rollback') return false;
  const service = project.services[name] as Service;
  if (service.release?.command) return moving.has(name) && moving.get(name)?.plan.action !== 'scale';
  const awaiting = Object.values(project.services).filter((other) => other.dependsOn[name]?.condition === 'service_completed_successfully');
  if (awaiting.length === 0) return true;
  const ran = observed.containers.some(
    (container) =>
      container.service === name &&
      container.configHash === service.configHash &&
      container.imageId === observed.images[name]?.id &&
      container.exitCode === 0 &&
      container.state === 'exited',
  );
  return awaiting.some((other) => {
    const action = moving.get(other.name)?.plan.action;
    return action === 'replace' || (action === 'first start' && !ran);
  });
}

/** What the jobs need and is missing starts first; then the jobs, one after the other. Nothing that runs is touched. */
function addJobs(steps: Step[], plans: ServicePlan[], jobs: string[], project: Project, moving: Map<string, Moving>): void {
  if (jobs.length === 0) return;
  const missing = inDependencyOrder(
    project,
    [...withDependencies(project, jobs)].filter((name) => moving.get(name)?.plan.action === 'first start' && !jobs.includes(name)),
  );
  const early = missing.map((name) => moving.get(name) as Moving);
  if (early.length > 0) {
    steps.push(createStep('create-before-jobs', early, 'the release job needs them'));
    for (const entry of early) addStarts(steps, entry);
  }
  for (const name of jobs) {
    const service = project.services[name] as Service;
    const release = service.release;
    if (!release) continue;
    const ref = newRef(name, 0);
    if (!release.command)
      steps.push({
        id: `create:${name}`,
        kind: 'create',
        totals: [{ service: name, add: 1 }],
        why: 'a fresh container of the job, in the new image',
      });
    steps.push({
      id: `run-job:${name}`,
      kind: 'run-job',
      service: name,
      container: ref,
      timeoutMs: release.timeoutMs,
      oneOff: release.command !== undefined,
      why: `once, in the new image, at most ${formatMs(release.timeoutMs)}; if it fails nothing is touched`,
    });
    if (!release.command) {
      plans.push({
        service: name,
        action: 'job',
        why: 'runs once before the release',
        routed: false,
        old: [],
        kept: [],
        count: 1,
        reuse: [],
      });
    }
  }
}

function createStep(id: string, entries: Moving[], why: string): Step {
  return {
    id,
    kind: 'create',
    totals: entries.map(({ plan }) => ({ service: plan.service, add: plan.count - plan.reuse.length })).filter(({ add }) => add > 0),
    why,
  };
}

function batches<T>(all: T[], parallelism: number): T[][] {
  if (parallelism <= 0 || all.length === 0) return all.length > 0 ? [all] : [];
  return Array.from({ length: Math.ceil(all.length / parallelism) }, (_, index) =>
    all.slice(index * parallelism, (index + 1) * parallelism),
  );
}

/** Starts and gates the new containers of a service, `parallelism` at a time with `delay` between. */
function addStarts(steps: Step[], { service, fresh, update }: Moving): void {
  const groups = batches(fresh, update.parallelism);
  for (const [index, group] of groups.entries()) {
    const suffix = groups.length > 1 ? `:${index + 1}` : '';
    if (index > 0 && update.delayMs > 0)
      steps.push({ id: `wait:${service.name}${suffix}`, kind: 'wait', ms: update.delayMs, why: `update_config.delay of ${service.name}` });
    steps.push({
      id: `start:${service.name}${suffix}`,
      kind: 'start',
      service: service.name,
      containers: group,
      why: service.edge.length > 0 ? 'without traffic yet' : 'in the new release',
    });
    steps.push(gateStep(service, group, fresh.length, suffix, update));
  }
}

function gateStep(service: Service, containers: Ref[], of: number, suffix: string, update: UpdateConfig): Step {
  const checks = [
    service.healthcheck && !service.healthcheck.disabled ? 'Docker health' : 'stays up',
    ...(service.edge.length > 0 ? ['the edge’s own check'] : []),
  ];
  return {
    id: `gate:${service.name}${suffix}`,
    kind: 'gate',
    service: service.name,
    containers,
    timeoutMs: gateTimeoutMs(service),
    maxFailureRatio: update.maxFailureRatio,
    of,
    why: checks.join(' and '),
  };
}

/** How long a container may take to become healthy: its own start period and retries, with room for a slow machine. */
export function gateTimeoutMs(service: Service): number {
  const check = service.healthcheck;
  if (!check || check.disabled) return 60_000;
  return check.startPeriodMs + (check.retries + 1) * (check.intervalMs + check.timeoutMs) + 30_000;
}

function addRelease(
  steps: Step[],
  plans: ServicePlan[],
  project: Project,
  observed: Observed,
  moving: Map<string, Moving>,
  routing: string | undefined,
  notes: { warnings: string[]; losses: string[] },
): void {
  const started = new Set(steps.flatMap((step) => (step.kind === 'start' ? [step.service] : [])));
  const order = inDependencyOrder(project, [...moving.keys()]).map((name) => moving.get(name) as Moving);
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

/** Why the edge has work to do before anything new exists, or undefined when it runs and knows what runs. */
function whyPrepareEdge(project: Project, observed: Observed): string | undefined {
  const changes = routingChanges(project, observed.edge.project);
  if (changes !== undefined) return changes;
  const routed = Object.values(project.services).filter((service) => service.edge.length > 0);
  if (routed.length === 0) return undefined;
  if (!observed.edge.running) return 'it does not run';
  const backends = Object.values(observed.edge.project?.backends ?? {});
  const unknown = routed.find(({ name }) => {
    const up = new Set(observed.containers.filter((container) => container.service === name && isUp(container)).map(({ id }) => id));
    return backends.some(
      (backend) => backend.service === name && !sameMembers(up, new Set(backend.servers.map(({ container }) => container))),
    );
  });
  return unknown && `${unknown.name} runs in other containers than the edge sends requests to`;
}

const sameMembers = (a: Set<string>, b: Set<string>): boolean => a.size === b.size && [...a].every((member) => b.has(member));

/** One batch after the other: hold requests where nothing else serves, drain, stop, start, gate, let requests go on. */
function addStopFirst(steps: Step[], entry: Moving, fixedName: boolean, losses: string[]): void {
  const { plan, service, update, old, fresh, kept } = entry;
  const size = update.parallelism <= 0 ? Math.max(old.length, fresh.length) : update.parallelism;
  const rounds = Math.ceil(Math.max(old.length, fresh.length) / size);
  // Waiting requests may not run out of time because the old container takes long over its last ones.
  const half = Math.max(1000, holdBudgetMs(service.edge) / 2);
  const budget = { requestsMs: Math.min(drainBudget(service).requestsMs, half), streamsMs: Math.min(drainBudget(service).streamsMs, half) };
  for (let round = 0; round < rounds; round += 1) {
    const suffix = rounds > 1 ? `:${round + 1}` : '';
    const going = old.slice(round * size, (round + 1) * size);
    const coming = fresh.slice(round * size, (round + 1) * size);
    const stay = [...kept, ...fresh.slice(0, round * size), ...old.slice((round + 1) * size)];
    if (round > 0 && update.delayMs > 0)
      steps.push({ id: `wait:${service.name}${suffix}`, kind: 'wait', ms: update.delayMs, why: `update_config.delay of ${service.name}` });
    if (plan.routed && going.length > 0) {
      const hold = stay.length === 0;
      steps.push({
        id: `hold:${service.name}${suffix}`,
        kind: 'route',
        routings: [{ service: service.name, ready: stay, drain: going, hold }],
        why: hold ? `requests wait at the edge, at most ${formatMs(holdBudgetMs(service.edge))}` : 'the other replicas take its requests',
      });
      steps.push({
        id: `drain:${service.name}${suffix}`,
        kind: 'drain',
        service: service.name,
        containers: going,
        ...budget,
        why: 'what is in flight ends first',
      });
    }
    if (going.length > 0)
      steps.push({
        id: `stop:${service.name}${suffix}`,
        kind: 'stop',
        service: service.name,
        containers: going,
        why: entry.plan.orderWhy ?? 'stop-first',
      });
    if (fixedName) {
      steps.push({
        id: `remove:${service.name}${suffix}`,
        kind: 'remove',
        service: service.name,
        containers: going,
        snapshot: true,
        why: 'its name is needed; it can be made again from a snapshot',
      });
      steps.push({
        id: `create:${service.name}${suffix}`,
        kind: 'create',
        totals: [{ service: service.name, add: coming.length }],
        why: 'under the same name',
      });
    }
    if (coming.length > 0) {
      steps.push({
        id: `start:${service.name}${suffix}`,
        kind: 'start',
        service: service.name,
        containers: coming,
        why: 'in the new release',
      });
      steps.push(gateStep(service, coming, fresh.length, suffix, update));
    }
    if (plan.routed) {
      steps.push({
        id: `resume:${service.name}${suffix}`,
        kind: 'route',
        routings: [{ service: service.name, ready: [...stay, ...coming], drain: [], hold: false }],
        why: 'waiting requests go on',
      });
    }
  }
  if (plan.routed) {
    losses.push(
      ...service.publishedPorts.map(
        ({ published }) =>
          `${service.name}: requests that come in on its own port ${published} are cut while it restarts (without \`ports:\`, behind the edge, none would be)`,
      ),
    );
  } else if (service.publishedPorts.length > 0 || service.exposedPorts.length > 0) {
    losses.push(`${service.name} does not answer while it restarts: ${plan.orderWhy}`);
  }
}

export const holdBudgetMs = (specs: EdgeSpec[]): number => Math.max(0, ...specs.map(({ holdMs }) => holdMs));

export function drainBudget(service: Service): { requestsMs: number; streamsMs: number } {
  return {
    requestsMs: Math.max(0, ...service.edge.map(({ drain }) => drain.requestsMs)),
    streamsMs: Math.max(0, ...service.edge.map(({ drain }) => drain.streamsMs)),
  };
}

/** Ports that the edge has to listen on for the project's routes. */
export function edgePorts(project: Project, settings: EdgeSettings): number[] {
  const specs = Object.values(project.services).flatMap(({ edge }) => edge);
  const { httpPort, httpsPort } = wantedSettings(settings, project);
  const ports = new Set<number>();
  if (specs.some(({ kind }) => kind === 'http')) ports.add(httpPort);
  if (specs.some(({ tls }) => tls !== 'none')) ports.add(httpsPort);
  for (const spec of specs) if (spec.listen !== undefined) ports.add(spec.listen);
  return [...ports].sort((a, b) => a - b);
}

/** How the edge comes to the ports that containers of this project still publish. Ports of strangers are refused before a plan is made. */
function takeovers(project: Project, observed: Observed, moving: Map<string, Moving>): TakeoverStep[] {
  return planTakeovers({
    ports: edgePorts(project, observed.edge.settings),
    publishers: observed.publishers,
    project: project.name,
    replaced: [...moving.values()].filter(({ old }) => old.length > 0).map(({ plan }) => plan.service),
    under: observed.edge.settings.takeovers,
    ability: observed.redirect,
    temporary: observed.temporaryPorts,
  });
}

/** A reverse proxy in the stack resolved its upstreams when it started: it must look again once they have changed. */
function proxyReloads(project: Project, observed: Observed, order: Moving[]): (Step & { kind: 'reload-proxy' })[] {
  const changed = new Set(order.filter(({ plan }) => plan.action === 'replace' || plan.action === 'scale').map(({ plan }) => plan.service));
  return Object.values(project.services).flatMap((service) => {
    const command = isReverseProxy(service) ? reloadCommand(service) : undefined;
    const upstreams = [...changed].filter((name) => name !== service.name && (service.dependsOn[name] || project.services[name]));
    const running = observed.containers
      .filter((container) => container.service === service.name && isUp(container) && !changed.has(service.name))
      .map(({ id }) => id);
    if (!command || upstreams.length === 0 || running.length === 0) return [];
    const dependsOn = upstreams.filter((name) => service.dependsOn[name]);
    const names = dependsOn.length > 0 ? dependsOn : upstreams.filter((name) => !project.services[name]?.mounts.length);
    if (names.length === 0) return [];
    return [
      {
        id: `reload-proxy:${service.name}`,
        kind: 'reload-proxy' as const,
        service: service.name,
        containers: running,
        command,
        why: `${service.name} looks up the new addresses of ${names.join(', ')}`,
      },
    ];
  });
}

/** What the plan makes of a proxy of the user's own. */
function proxyWarnings(project: Project, observed: Observed, moving: Map<string, Moving>): string[] {
  if (moving.size === 0) return [];
  return Object.values(project.services).flatMap((service) => {
    if (!isReverseProxy(service)) return [];
    if (service.edge.length > 0)
      return [
        `${service.name} is a reverse proxy of your own: the edge is in front of it; while containers behind it stop, requests wait at the edge for the moment that it needs to look its upstreams up again`,
      ];
    const ports = service.publishedPorts.map(({ published }) => published).join(', ');
    return observed.containers.some((container) => container.service === service.name)
      ? [
          `${service.name} is a reverse proxy of your own and publishes ${ports} itself: the edge sees none of those requests; x-edge on ${service.name} without ports: puts the edge in front of it`,
        ]
      : [];
  });
}

function capacityWarnings(project: Project, observed: Observed, moving: Map<string, Moving>): string[] {
  const running = observed.containers
    .filter(isUp)
    .reduce((sum, container: ObservedContainer) => sum + (project.services[container.service]?.memoryLimitBytes ?? 0), 0);
  const surge = [...moving.values()]
    .filter(({ plan }) => plan.order !== 'stop-first')
    .reduce((sum, { plan, service }) => sum + plan.count * service.memoryLimitBytes, 0);
  if (surge === 0 || observed.hostMemoryBytes === 0 || running + surge <= observed.hostMemoryBytes) return [];
  const gib = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(1)} GiB`;
  return [
    `old and new together may use ${gib(running + surge)} of memory by their limits, the machine has ${gib(observed.hostMemoryBytes)}: fewer replicas or order: stop-first would fit`,
  ];
}
