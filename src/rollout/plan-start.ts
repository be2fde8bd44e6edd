import { formatMs } from '../kit/duration.ts';
import type { Project, Service, UpdateConfig } from '../project/model.ts';
import { inDependencyOrder, withDependencies } from './dependencies.ts';
import { newRef, type Ref, type ServicePlan, type Step } from './model.ts';
import type { Moving } from './plan-service.ts';

export function createStep(id: string, entries: Moving[], why: string): Step {
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
export function addStarts(steps: Step[], { service, fresh, update }: Moving): void {
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

export function gateStep(service: Service, containers: Ref[], of: number, suffix: string, update: UpdateConfig): Step {
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

/** What the jobs need and is missing starts first; then the jobs, one after the other. Nothing that runs is touched. */
export function addJobs(steps: Step[], plans: ServicePlan[], jobs: string[], project: Project, moving: Map<string, Moving>): void {
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
