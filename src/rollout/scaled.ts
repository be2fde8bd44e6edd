import { createHash } from 'node:crypto';
import type { Project, Service } from '../project/model.ts';
import type { ReleasedService } from '../state/releases.ts';
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
  const { autoscale } = service;
  if (!autoscale) return undefined;
  const { min, max, idle } = autoscale;
  const range = `${idle ?? min}-${max}`;
  const within = (count: number): number => Math.min(max, Math.max(min, count));
  const present = countedContainers(service.name, observed).length;
  if (present === 0) {
    if (!observed.agent) return { count: within(service.replicas), why: `${within(service.replicas)} until an agent scales it (${range})` };
    const count = idle ?? min;
    return { count, why: count === 0 ? `at 0: the autoscaler starts it (${range})` : `begins with ${count} (${range})` };
  }
  const count = within(present);
  if (count === present) return { count, why: `keeps ${count}: the autoscaler's count (${range})` };
  return { count, why: `${present} run, the ${count > present ? 'least' : 'most'} is ${count} (${range})` };
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
export const scaledRecord = ({ autoscale }: Service): Pick<ReleasedService, 'autoscale'> =>
  autoscale
    ? {
        autoscale: {
          min: autoscale.idle ?? autoscale.min,
          max: autoscale.max,
          settings: createHash('sha256').update(JSON.stringify(autoscale)).digest('hex').slice(0, 16),
        },
      }
    : {};

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
