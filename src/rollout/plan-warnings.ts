import type { Project } from '../project/model.ts';
import { isUp } from './changes.ts';
import type { Observed, ObservedContainer } from './model.ts';
import type { Moving } from './plan-service.ts';
import { isReverseProxy } from './proxies.ts';

/** What the plan makes of a proxy of the user's own. */
export function proxyWarnings(project: Project, observed: Observed, moving: Map<string, Moving>): string[] {
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

export function capacityWarnings(project: Project, observed: Observed, moving: Map<string, Moving>): string[] {
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

/** Scaled services that nobody scales. */
export function agentWarnings(project: Project, observed: Observed, moving: Map<string, Moving>): string[] {
  const scaled = Object.values(project.services).filter(({ autoscale }) => autoscale);
  if (observed.agent || moving.size === 0 || scaled.length === 0) return [];
  return [`no agent runs on this host, so nobody scales ${scaled.map(({ name }) => name).join(', ')}: composure agent install brings one`];
}
