import type { EdgeBackend, EdgeSettings } from '../edge/model.ts';
import { planTakeovers, type TakeoverStep } from '../edge/takeover.ts';
import type { Project } from '../project/model.ts';
import { countedContainers, isUp } from './changes.ts';
import type { Observed, Step } from './model.ts';
import type { Moving } from './plan-service.ts';
import { isReverseProxy, reloadCommand } from './proxies.ts';
import { routingChanges, wantedSettings } from './routes.ts';

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
export function takeovers(project: Project, observed: Observed, moving: Map<string, Moving>): TakeoverStep[] {
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

/** Why the edge has work to do before anything new exists, or undefined when it runs and knows what runs. */
export function whyPrepareEdge(project: Project, observed: Observed): string | undefined {
  const changes = routingChanges(project, observed.edge.project);
  if (changes !== undefined) return changes;
  const routed = Object.values(project.services).filter((service) => service.edge.length > 0);
  if (routed.length === 0) return undefined;
  if (!observed.edge.running) return 'it does not run';
  const backends = Object.values(observed.edge.project?.backends ?? {});
  const unknown = routed.find(({ name }) => {
    const up = new Set(countedContainers(name, observed).map(({ id }) => id));
    const serving = ({ servers }: EdgeBackend): Set<string> =>
      new Set(servers.map(({ container }) => container).filter((id) => !observed.draining.includes(id)));
    return backends.some((backend) => backend.service === name && !sameMembers(up, serving(backend)));
  });
  return unknown && `${unknown.name} runs in other containers than the edge sends requests to`;
}

const sameMembers = (a: Set<string>, b: Set<string>): boolean => a.size === b.size && [...a].every((member) => b.has(member));

/** A reverse proxy in the stack resolved its upstreams when it started: it must look again once they have changed. */
export function proxyReloads(project: Project, observed: Observed, order: Moving[]): (Step & { kind: 'reload-proxy' })[] {
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
