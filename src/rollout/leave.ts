import { Failure } from '../kit/errors.ts';
import type { Project } from '../project/model.ts';
import type { Plan, ServicePlan, Step } from './model.ts';

const moves = ({ action, left }: ServicePlan): boolean =>
  left === undefined && action !== 'keep' && action !== 'remove' && action !== 'job';

const actionOf = (plan: Plan, project: Project, service: string): string | undefined => {
  const definition = project.services[service];
  return (plan.kind === 'rollback' ? definition?.rollback : definition?.update)?.failureAction;
};

/**
 * The service that a failed step is about, when its file says `failure_action: continue` and the release can go on without it: nothing is
 * committed yet, another service moves too, and no port changes hands. Pure.
 */
export function serviceToLeave(plan: Plan, project: Project, failedStep: string | undefined, error: unknown): string | undefined {
  const index = plan.steps.findIndex(({ id }) => id === failedStep);
  const step = plan.steps[index];
  if (!step || !(error instanceof Failure) || index > plan.steps.findIndex(({ kind }) => kind === 'commit')) return undefined;
  if (step.kind !== 'start' && step.kind !== 'gate' && step.kind !== 'watch') return undefined;
  const service = step.kind === 'watch' ? error.where : step.service;
  if (service === undefined || actionOf(plan, project, service) !== 'continue') return undefined;
  const moving = plan.services.filter(moves).map((entry) => entry.service);
  const portMoves = plan.steps.some(({ kind }) => kind === 'take-over-port');
  return moving.includes(service) && moving.length > 1 && !portMoves ? service : undefined;
}

/** Services whose new containers stay for inspection when the release fails. One that was stopped first needs its place back. */
export function servicesToInspect(plan: Plan, project: Project): Set<string> {
  const paused = plan.services.filter(
    (entry) => moves(entry) && entry.order !== 'stop-first' && actionOf(plan, project, entry.service) === 'pause',
  );
  return new Set(paused.map(({ service }) => service));
}

/** The same release without what it had in mind for one service, which stays at what it is. Pure. */
export function withoutService(plan: Plan, service: string, why: string): Plan {
  return {
    ...plan,
    services: plan.services.map((entry) => (entry.service === service ? { ...entry, left: why } : entry)),
    steps: plan.steps.flatMap((step): Step[] => {
      switch (step.kind) {
        case 'start':
        case 'gate':
        case 'drain':
        case 'stop':
        case 'remove':
          return step.service === service ? [] : [step];
        case 'wait':
          return step.id === `wait:${service}` || step.id.startsWith(`wait:${service}:`) ? [] : [step];
        case 'create': {
          const totals = step.totals.filter((entry) => entry.service !== service);
          return totals.length > 0 ? [{ ...step, totals }] : [];
        }
        case 'route': {
          const routings = step.routings.filter((entry) => entry.service !== service);
          return routings.length > 0 ? [{ ...step, routings }] : [];
        }
        case 'watch':
          return [{ ...step, drains: step.drains.filter((entry) => entry.service !== service) }];
        default:
          return [step];
      }
    }),
  };
}

/** The steps that come after a failed one; a watch that failed for the service that was left is done once more. Pure. */
export function stepsAfter(plan: Plan, failedStep: string, rest: Plan): Step[] {
  const from = plan.steps.findIndex(({ id }) => id === failedStep);
  const later = new Set(plan.steps.slice(from).map(({ id }) => id));
  return rest.steps.filter(({ id }) => later.has(id));
}
