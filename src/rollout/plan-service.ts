import type { Project, Service, UpdateConfig } from '../project/model.ts';
import { type Change, compareService } from './changes.ts';
import { newRef, type Observed, type Ref, type ServicePlan } from './model.ts';
import { callersOf, decideOrder } from './order.ts';
import { scaledCount, whyRecord } from './scaled.ts';

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
export interface Moving {
  plan: ServicePlan;
  service: Service;
  update: UpdateConfig;
  /** Old containers, in the order in which they go. */
  old: Ref[];
  fresh: Ref[];
  kept: Ref[];
}

export const replacedServices = (moving: Map<string, Moving>): Set<string> =>
  new Set([...moving].filter(([, { plan }]) => plan.action === 'replace').map(([name]) => name));

/** Replaced although nothing of its own changed: asked for, or something that it depends on with `restart: true` is replaced. */
function whyForced(service: Service, options: PlanOptions, replaced: Set<string>): string | undefined {
  if (options.force) return 'asked for (--force-recreate)';
  const dependency = Object.entries(service.dependsOn).find(([name, { restart }]) => restart && replaced.has(name));
  return dependency && `depends_on ${dependency[0]} with restart: true`;
}

/** What moves a service, and of a scaled one whose count it gets. */
function whyOf(service: Service, change: Change, recorded: string | undefined, observed: Observed): string {
  const scaled = scaledCount(service, observed);
  if (!scaled) return recorded ?? change.why;
  const moves = recorded ?? (change.outdated.length > 0 ? change.why : undefined);
  return moves ? `${moves}; ${scaled.why}` : scaled.why;
}

export function planService(
  service: Service,
  project: Project,
  observed: Observed,
  { options, warnings, replaced }: { options: PlanOptions; warnings: string[]; replaced: Set<string> },
): Moving {
  const change = compareService(service, observed, whyForced(service, options, replaced));
  // An order that rollback_config leaves open is that of update_config.
  const update =
    options.kind === 'rollback'
      ? { ...(service.update.order ? { order: service.update.order } : {}), ...service.rollback }
      : service.update;
  // What may run beside what is a question of how many there can be, not of how many there are just now.
  const most = { ...service, replicas: service.autoscale ? (service.autoscale.max ?? Number.POSITIVE_INFINITY) : service.replicas };
  const decision = decideOrder(most, project, observed.images[service.name]?.exposesPorts ?? false, update);
  const isFirst = change.upToDate.length + change.outdated.length === 0;
  const kept = [...change.upToDate].sort((a, b) => a.number - b.number);
  // Too many of what is wanted: the newest go, as Compose would choose. An agent does better: it ends those that have nothing to do.
  const surplus = service.autoscale && observed.agent ? [] : kept.splice(service.replicas);
  const count = Math.max(0, service.replicas - kept.length);
  const old = [...change.outdated, ...surplus].sort((a, b) => a.number - b.number).map(({ id }) => id);
  const stays = count === 0 && old.length === 0;
  const recorded = stays ? whyRecord(service, observed, kept) : undefined;
  const moves = isFirst ? 'first start' : change.outdated.length > 0 ? 'replace' : 'scale';
  const action = recorded ? 'record' : stays ? 'keep' : moves;
  const reuse = (options.reusable[service.name] ?? []).slice(0, count);
  if (decision.warning && action !== 'keep') warnings.push(decision.warning);
  const routed = service.edge.length > 0;
  const plan: ServicePlan = {
    service: service.name,
    action,
    why: whyOf(service, change, recorded, observed),
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
  return { plan, service, update, old, fresh, kept: plan.kept };
}
