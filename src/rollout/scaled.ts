import { createHash } from 'node:crypto';
import type { Project, Service } from '../project/model.ts';
import { describeLimits, type ReleasedService } from '../state/releases.ts';
import { triggerType } from '../triggers/list.ts';
import { countedContainers } from './changes.ts';
import type { Observed, ObservedContainer } from './model.ts';

/** How many containers of a scaled service a release wants, and whose number that is. */
export interface ScaledCount {
  count: number;
  why: string;
}

/**
 * The count of a service with x-autoscale: what runs now, within its limits. Where nothing runs, an agent starts what is needed; without one
 * nobody would, so deploy.replicas stand. What runs beyond the maximum is replaced no more, but ending it is left to the agent.
 */
export function scaledCount(service: Service, observed: Pick<Observed, 'containers' | 'draining' | 'agent'>): ScaledCount | undefined {
  const limits = autoscaleLimits(service);
  if (!limits) return undefined;
  const { least, min, max = Number.POSITIVE_INFINITY } = limits;
  const range = describeLimits({ ...limits, min: least });
  const within = (count: number): number => Math.min(max, Math.max(min, count));
  const present = countedContainers(service.name, observed).length;
  if (present === 0) {
    if (!observed.agent) return { count: within(service.replicas), why: `${within(service.replicas)} until an agent scales it (${range})` };
    return { count: least, why: least === 0 ? `at 0: the autoscaler starts it (${range})` : `begins with ${least} (${range})` };
  }
  const count = within(present);
  if (count === present) return { count, why: `keeps ${count}: the autoscaler's count (${range})` };
  return { count, why: `${present} run, the ${count > present ? 'least' : 'most'} is ${count} (${range})` };
}

interface Limits {
  /** minReplicaCount; where it is not written 0, or 1 when no trigger of the service can lift it from 0. */
  min: number;
  /** maxReplicaCount; where it is not written what fits the host decides. */
  max?: number;
  /** Where the count rests while nothing is to do: idleReplicaCount, else the minimum. */
  least: number;
}

export function autoscaleLimits({ autoscale }: Service): Limits | undefined {
  if (!autoscale) return undefined;
  const min = autoscale.min ?? (autoscale.triggers.some(({ type }) => triggerType(type)?.activates) ? 0 : 1);
  return { min, least: autoscale.idle ?? min, ...(autoscale.max === undefined ? {} : { max: autoscale.max }) };
}

/** The project with the autoscaler's counts in place of the files' own. */
export function withScaledCounts(project: Project, observed: Observed): Project {
  const services = Object.values(project.services).map((service): [string, Service] => {
    const scaled = scaledCount(service, observed);
    return [service.name, scaled ? { ...service, replicas: scaled.count } : service];
  });
  return { ...project, services: Object.fromEntries(services) };
}

/** What a release's record says of a scaled service beside what it says of all. */
export function scaledRecord(service: Service): Pick<ReleasedService, 'autoscale'> {
  const limits = autoscaleLimits(service);
  if (!limits) return {};
  const settings = createHash('sha256').update(JSON.stringify(service.autoscale)).digest('hex').slice(0, 16);
  return { autoscale: { min: limits.least, ...(limits.max === undefined ? {} : { max: limits.max }), settings } };
}

/**
 * Why a service whose containers all stay is recorded anew: the autoscaler makes its next containers from the record. Undefined when the
 * record says what the project says.
 */
export function whyRecord(service: Service, observed: Observed, present: ObservedContainer[]): string | undefined {
  const recorded = observed.releases.at(-1)?.services[service.name];
  const wanted = scaledRecord(service).autoscale;
  if (!recorded) return wanted && present.length === 0 ? 'new' : wanted && 'scaled from now on';
  if (recorded.autoscale?.settings !== wanted?.settings)
    return wanted && recorded.autoscale ? 'x-autoscale changed' : wanted ? 'scaled from now on' : 'no longer scaled';
  if (!wanted || present.length > 0) return undefined;
  if (recorded.configHash !== service.configHash) return 'configuration changed';
  const image = observed.images[service.name];
  if (image && image.id !== recorded.imageId) return 'image changed';
  if (recorded.contentHash !== service.contentHash) return `content changed of ${service.contentFiles.join(', ') || 'a mounted file'}`;
  return undefined;
}
