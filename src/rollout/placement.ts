import type { ContainerInfo } from '../docker/api.ts';
import type { Edge, EdgeProject } from '../edge/model.ts';
import { joinProjectNetwork } from '../edge/network.ts';
import { withProject } from '../edge/state.ts';
import { Failure } from '../kit/errors.ts';
import { type Placed, withServers } from './routes.ts';
import type { World } from './world.ts';

/** The fixed address of a container on its project's edge network, stopped containers included. */
const fixedAddress = (info: ContainerInfo, network: string): string | undefined =>
  info.NetworkSettings.Networks[network]?.IPAMConfig?.IPv4Address || undefined;

const usesHostNetwork = (info: ContainerInfo): boolean => info.HostConfig.NetworkMode === 'host';

export async function edgeProject(world: World): Promise<EdgeProject> {
  const project = (await world.edge.read()).projects[world.project.name];
  if (!project) throw new Failure('EDGE_FAILED', `the edge does not know the project ${world.project.name}`, { next: 'composure recover' });
  return project;
}

/** Where the edge reaches a container that is on the edge network already; undefined when it is gone or was never joined. */
export async function findPlace(world: World, network: string, id: string): Promise<Placed | undefined> {
  const info = await world.docker.findContainer(id);
  if (!info) return undefined;
  if (usesHostNetwork(info)) return { container: info.Id, address: '127.0.0.1' };
  const address = fixedAddress(info, network);
  return address ? { container: info.Id, address } : undefined;
}

/** Joins containers, running or not, to the project's edge network, each under an address of its own that it keeps for life. */
export async function joinEdge(world: World, ids: string[]): Promise<void> {
  const project = await edgeProject(world);
  let { nextAddress } = project;
  for (const id of ids) {
    if (usesHostNetwork(await world.docker.inspectContainer(id))) continue;
    ({ nextAddress } = await joinProjectNetwork(world.docker, { network: project.network, nextAddress }, id));
  }
  if (nextAddress !== project.nextAddress) {
    await world.edge.change((state) => withProject(state, world.project.name, (present) => ({ ...present, nextAddress })));
  }
}

export interface ServerLists {
  ready: string[];
  drain: string[];
  hold: boolean;
}

/** Points the routes of several services at the given containers, in one change of the edge. Containers that are gone are left out. */
export async function routeTo(world: World, services: Record<string, ServerLists>): Promise<void> {
  const { network } = await edgeProject(world);
  const places = new Map<string, Placed>();
  for (const id of new Set(Object.values(services).flatMap(({ ready, drain }) => [...ready, ...drain]))) {
    const place = await findPlace(world, network.name, id);
    if (place) places.set(id, place);
  }
  const found = (ids: string[]): Placed[] => ids.flatMap((id) => places.get(id) ?? []);
  await world.edge.change((state) =>
    withProject(state, world.project.name, (project) =>
      Object.entries(services).reduce(
        (result, [service, lists]) =>
          withServers(result, service, { ready: found(lists.ready), drain: found(lists.drain), hold: lists.hold }),
        project,
      ),
    ),
  );
}

/** The containers that the edge sends requests of a service to now, by state. */
export async function currentServers(world: World, service: string): Promise<ServerLists> {
  const project = (await world.edge.read()).projects[world.project.name];
  const backends = Object.values(project?.backends ?? {}).filter((backend) => backend.service === service);
  const ids = (state: 'ready' | 'drain'): string[] => [
    ...new Set(backends.flatMap(({ servers }) => servers.filter((server) => server.state === state).map(({ container }) => container))),
  ];
  return { ready: ids('ready'), drain: ids('drain'), hold: backends.some(({ hold }) => hold) };
}

/** Sessions that the edge still has open on the given containers, streams included. */
export async function sessionsOn(world: { edge: Edge }, containers: string[]): Promise<number> {
  const servers = new Set(containers.map((id) => id.slice(0, 12)));
  const stats = await world.edge.stats();
  return stats.filter(({ server }) => servers.has(server)).reduce((sum, { sessions }) => sum + sessions, 0);
}
