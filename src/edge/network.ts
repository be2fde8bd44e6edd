import { readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { type Docker, EngineError, type NetworkInfo } from '../docker/api.ts';
import { OURS } from '../docker/labels.ts';
import { Failure } from '../kit/errors.ts';
import { allocateAddress, freeSubnets } from './addresses.ts';
import type { EdgeProject } from './model.ts';

export const projectNetworkName = (edge: string, project: string): string => `${edge}_${project}`;

/**
 * The network between the edge and one project's routed containers: internal, closed between its containers, a /24 of the pool
 * that meets no other network and no route of this host. Created when it is not there.
 */
export async function ensureProjectNetwork(docker: Docker, edge: string, project: string, pool: string): Promise<EdgeProject['network']> {
  const name = projectNetworkName(edge, project);
  const found = await docker.findNetwork(name);
  if (found) return { name, subnet: subnetOf(found, edge) };
  const networks = await docker.listNetworks();
  const taken = [...networks.flatMap((network) => network.IPAM.Config?.flatMap(({ Subnet }) => Subnet ?? []) ?? []), ...hostRanges()];
  for (const subnet of freeSubnets(pool, taken)) {
    try {
      await docker.createNetwork({
        Name: name,
        Driver: 'bridge',
        Internal: true,
        Labels: { [OURS.edge]: edge, [OURS.project]: project },
        Options: { 'com.docker.network.bridge.enable_icc': 'false' },
        IPAM: { Config: [{ Subnet: subnet }] },
      });
      return { name, subnet };
    } catch (error) {
      if (!(error instanceof EngineError)) throw error;
      if (error.status === 409) {
        const other = await docker.findNetwork(name);
        if (other) return { name, subnet: subnetOf(other, edge) };
      }
      if (!/overlap/i.test(error.message)) throw error;
    }
  }
  throw new Failure('EDGE_FAILED', `no free /24 network is left in ${pool} for project ${project}`, {
    where: name,
    next: 'name another pool of private addresses: x-composure: edge: addressPool',
  });
}

/** Removes a project's edge network, only when it is the edge's own and nothing is left on it. */
export async function removeProjectNetwork(docker: Docker, edge: string, project: string): Promise<void> {
  const found = await docker.findNetwork(projectNetworkName(edge, project));
  if (found?.Labels?.[OURS.edge] === edge && Object.keys(found.Containers ?? {}).length === 0) await docker.removeNetwork(found.Id);
}

function subnetOf(network: NetworkInfo, edge: string): string {
  const subnet = network.IPAM.Config?.[0]?.Subnet;
  if (subnet && network.Labels?.[OURS.edge] === edge) return subnet;
  throw new Failure('EDGE_FAILED', `there is a network ${network.Name} that is not the edge's own`, {
    where: network.Name,
    next: `remove or rename it: docker network rm ${network.Name}`,
  });
}

/** Networks that this host itself is part of or has a route to. */
function hostRanges(): string[] {
  const own = Object.values(networkInterfaces()).flatMap(
    (addresses) => addresses?.flatMap(({ cidr, family }) => (cidr && family === 'IPv4' ? [cidr] : [])) ?? [],
  );
  try {
    return [...own, ...parseRoutes(readFileSync('/proc/net/route', 'utf8'))];
  } catch {
    return own;
  }
}

/** Reads /proc/net/route, which has addresses as little-endian hex; the default route is left out. */
export function parseRoutes(text: string): string[] {
  const dotted = (hex: string): string => [6, 4, 2, 0].map((at) => Number.parseInt(hex.slice(at, at + 2), 16)).join('.');
  return text
    .split('\n')
    .slice(1)
    .flatMap((line) => {
      const [, destination, , , , , , mask] = line.trim().split(/\s+/);
      if (!destination || !mask || mask === '00000000') return [];
      const bits = [...Number.parseInt(mask, 16).toString(2)].filter((bit) => bit === '1').length;
      return [`${dotted(destination)}/${bits}`];
    });
}

/**
 * Joins a container to its project's edge network under an address of its own, which it keeps over its restarts. One that is there already
 * keeps what it has. Returns the address and the `nextAddress` to store.
 */
export async function joinProjectNetwork(
  docker: Docker,
  project: Pick<EdgeProject, 'network' | 'nextAddress'>,
  container: string,
  reserved: string[] = [],
): Promise<{ address: string; nextAddress: number }> {
  const info = await docker.inspectContainer(container);
  const present = info.NetworkSettings.Networks[project.network.name];
  const fixed = present?.IPAMConfig?.IPv4Address;
  if (fixed) return { address: fixed, nextAddress: project.nextAddress };
  if (present) await docker.disconnectNetwork(project.network.name, container);
  const taken = new Set([...reserved, ...(await usedAddresses(docker, project.network.name))]);
  for (let { nextAddress } = project; ; ) {
    const next = allocateAddress({ network: project.network, nextAddress }, taken);
    if (!next) throw new Failure('EDGE_FAILED', `every address of ${project.network.name} is taken`, { where: project.network.name });
    try {
      await docker.connectNetwork(project.network.name, container, next.address);
      return next;
    } catch (error) {
      if (!(error instanceof EngineError && /address already in use|already in use|already allocated/i.test(error.message))) throw error;
      taken.add(next.address);
      nextAddress = next.nextAddress;
    }
  }
}

/** Addresses of all containers on a network, also of stopped ones, for which the engine keeps none. */
async function usedAddresses(docker: Docker, network: string): Promise<string[]> {
  const containers = await docker.listContainers();
  return containers.flatMap((container) => {
    const endpoint = container.NetworkSettings?.Networks[network];
    return endpoint ? [endpoint.IPAMConfig?.IPv4Address, endpoint.IPAddress].flatMap((address) => address || []) : [];
  });
}
