import type { ContainerSummary, Docker } from '../docker/api.ts';
import { COMPOSE } from '../docker/labels.ts';
import { Failure } from '../kit/errors.ts';
import type { NamedService } from './projects.ts';

/** What is needed to find containers as a scaled service finds them. */
export interface Neighbourhood {
  project: string;
  /** All services of the project, by name. */
  services: Record<string, NamedService>;
  /** The scaled one. */
  own: NamedService;
}

export interface Found {
  host: string;
  port: number;
  /** The network that the address is on; undefined: none of the service's own. */
  network?: string;
}

/**
 * Where this process, on the host, reaches what containers of the scaled service call `host`: the address of a running container that has the
 * name on one of their networks, asked from the engine at this moment. Networks that the two share come first. Any other name stays as it is.
 */
export async function resolveHost(docker: Docker, place: Neighbourhood, host: string, port: number): Promise<Found> {
  const asIs = { host, port };
  if (host === 'host.docker.internal') return { host: (await hostGateway(docker)) ?? '127.0.0.1', port };
  if (/^[\d.]+$|:|^localhost$/.test(host)) return asIs;
  const named = Object.values(place.services).filter((service) => isCalled(service, host, place.own));
  for (const service of named) {
    const found = await addressOfService(docker, place, service, port);
    if (found) return found;
  }
  const byContainer = await containerCalled(docker, place, host);
  if (byContainer) return { ...byContainer, port };
  if (named.length === 0) return asIs;
  throw new Failure('TRIGGER_FAILED', `no container of ${named.map(({ name }) => name).join(', ')} runs`, {
    where: `${place.project}: ${host}`,
    next: `docker compose ps ${named[0]?.name} shows what became of it`,
  });
}

const isCalled = (service: NamedService, host: string, own: NamedService): boolean =>
  service.name === host ||
  service.containerName === host ||
  Object.entries(service.networks).some(([network, aliases]) => aliases.includes(host) && network in own.networks);

async function addressOfService(docker: Docker, place: Neighbourhood, service: NamedService, port: number): Promise<Found | undefined> {
  const joined = /^service:(.+)$/.exec(service.networkMode ?? '')?.[1];
  const target = joined === undefined ? service : place.services[joined];
  if (!target) return undefined;
  const listed = await docker.listContainers([`${COMPOSE.project}=${place.project}`, `${COMPOSE.service}=${target.name}`]);
  const running = listed.filter(({ State, Labels }) => State === 'running' && Labels[COMPOSE.oneoff] !== 'True');
  if (target.networkMode === 'host') return running.length > 0 ? { host: '127.0.0.1', port } : undefined;
  return nearest(running, Object.keys(place.own.networks), port);
}

/** An address on a shared network, else on any. */
function nearest(containers: ContainerSummary[], shared: string[], port: number): Found | undefined {
  for (const network of shared) {
    for (const { NetworkSettings } of containers) {
      const address = NetworkSettings?.Networks[network]?.IPAddress;
      if (address) return { host: address, port, network };
    }
  }
  const any = containers
    .flatMap(({ NetworkSettings }) => Object.values(NetworkSettings?.Networks ?? {}))
    .find(({ IPAddress }) => IPAddress);
  return any && { host: any.IPAddress, port };
}

/** By the names that the engine's own DNS knows on the service's networks: containers of other projects, and container names. */
async function containerCalled(docker: Docker, place: Neighbourhood, host: string): Promise<{ host: string; network: string } | undefined> {
  if (host.includes('.')) return undefined;
  for (const network of Object.keys(place.own.networks)) {
    const ids = Object.keys((await docker.findNetwork(network))?.Containers ?? {});
    for (const id of ids) {
      const info = await docker.findContainer(id);
      const endpoint = info?.NetworkSettings.Networks[network];
      if (!endpoint?.IPAddress) continue;
      if (info?.Name === `/${host}` || endpoint.Aliases?.includes(host)) return { host: endpoint.IPAddress, network };
    }
  }
  return undefined;
}

async function hostGateway(docker: Docker): Promise<string | undefined> {
  return (await docker.findNetwork('bridge'))?.IPAM.Config?.[0]?.Gateway;
}
