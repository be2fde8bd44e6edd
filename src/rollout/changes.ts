import type { Service } from '../project/model.ts';
import type { Observed, ObservedContainer } from './model.ts';

export interface Change {
  /** Containers that already are what is wanted. */
  upToDate: ObservedContainer[];
  /** Running containers that are not. */
  outdated: ObservedContainer[];
  why: string;
}

/** Compares the containers of one service with what the project wants. Stopped ones count as absent; `force` is a reason to replace them all. */
export function compareService(service: Service, observed: Observed, force: string | undefined): Change {
  const present = countedContainers(service.name, observed);
  const reasons = new Set<string>();
  const upToDate: ObservedContainer[] = [];
  const outdated: ObservedContainer[] = [];
  for (const container of present) {
    const reason = force ?? whyOutdated(service, container, observed);
    if (reason) {
      reasons.add(reason);
      outdated.push(container);
    } else {
      upToDate.push(container);
    }
  }
  if (present.length === 0) reasons.add('not running yet');
  else if (outdated.length === 0 && upToDate.length < service.replicas)
    reasons.add(`${upToDate.length} of ${service.replicas} replicas run`);
  else if (outdated.length === 0 && upToDate.length > service.replicas)
    reasons.add(`${upToDate.length} replicas run, ${service.replicas} are wanted`);
  return { upToDate, outdated, why: [...reasons].join(', ') || 'unchanged' };
}

/** Containers of a service that a release has to do with: up, frozen ones included, and not asked to end by the autoscaler. */
export const countedContainers = (
  service: string,
  { containers, draining }: Pick<Observed, 'containers' | 'draining'>,
): ObservedContainer[] =>
  containers.filter((container) => container.service === service && isUp(container) && !draining.includes(container.id));

export const isUp = (container: ObservedContainer): boolean =>
  container.state === 'running' || container.state === 'restarting' || container.state === 'paused';

function whyOutdated(service: Service, container: ObservedContainer, observed: Observed): string | undefined {
  if (container.configHash !== service.configHash) return 'configuration changed';
  const image = observed.images[service.name];
  if (image && image.id !== container.imageId) return `image changed: ${shortId(container.imageId)} → ${shortId(image.id)}`;
  const recorded = observed.releases.at(-1)?.services[service.name];
  if (recorded?.containers.includes(container.id)) {
    if (recorded.contentHash !== service.contentHash) return `content changed of ${contents(service) || 'a mounted file'}`;
  } else if ((observed.contentChangedMs[service.name] ?? 0) > container.createdMs) {
    return `content changed of ${service.contentFiles.join(', ')}`;
  }
  if (container.state === 'restarting') return 'it keeps restarting';
  return undefined;
}

const contents = ({ contentFiles, files }: Service): string => [...contentFiles, ...(files ?? []).map(({ path }) => path)].join(', ');

export const shortId = (imageId: string): string => imageId.replace(/^sha256:/, '').slice(0, 12);
