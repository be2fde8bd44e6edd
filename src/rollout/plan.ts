import type { Project, Service } from '../project/model.ts';
import { isUp } from './changes.ts';
import { inDependencyOrder, withDependencies } from './dependencies.ts';
import type { Observed, Plan, ServicePlan, Step } from './model.ts';
import { whyPrepareEdge } from './plan-edge.ts';
import { type Moving, type PlanOptions, planService, replacedServices } from './plan-service.ts';
import { addJobs } from './plan-start.ts';
import { addRelease } from './plan-switch.ts';
import { agentWarnings, capacityWarnings, proxyWarnings } from './plan-warnings.ts';
import { withScaledCounts } from './scaled.ts';

/**
 * The release as a list of steps, each with its reason. Pure: the same project and observation give the same plan.
 * Everything that can fail without being noticed comes first; nothing running is touched before the release jobs have succeeded;
 * all services of the release take traffic in one step; after `commit` there is no way back but another release.
 */
export function planRelease(wanted: Project, observed: Observed, options: PlanOptions): Plan {
  const project = withScaledCounts(wanted, observed);
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
  if (changed || routing !== undefined) addThaw(steps, observed);
  if (changed) {
    const jobsToRun = jobs.filter((name) => isJobNeeded(name, project, moving, observed, options));
    addJobs(steps, plans, jobsToRun, project, moving);
  }
  if (changed || routing !== undefined) addRelease(steps, plans, project, observed, moving, routing, { warnings, losses });
  warnings.push(
    ...capacityWarnings(project, observed, moving),
    ...proxyWarnings(project, observed, moving),
    ...agentWarnings(project, observed, moving),
  );

  const before: Record<string, string[]> = {};
  for (const container of observed.containers)
    if (isUp(container) && !observed.draining.includes(container.id))
      before[container.service] = [...(before[container.service] ?? []), container.id];
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

/** Before anything else: every call of Compose would meet them. */
function addThaw(steps: Step[], { containers }: Observed): void {
  const frozen = new Map<string, string[]>();
  for (const { state, service, id } of containers) if (state === 'paused') frozen.set(service, [...(frozen.get(service) ?? []), id]);
  if (frozen.size === 0) return;
  steps.push({
    id: 'thaw',
    kind: 'thaw',
    containers: [...frozen].sort().map(([service, ids]) => ({ service, ids })),
    why: 'Compose refuses to work beside a frozen container',
  });
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
    return action === 'replace' || ((action === 'first start' || action === 'record') && !ran);
  });
}
