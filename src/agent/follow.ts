import type { ContainerSummary } from '../docker/api.ts';
import { COMPOSE } from '../docker/labels.ts';
import type { EdgeBackend, EdgeProject, EdgeServer, EdgeState } from '../edge/model.ts';
import { withProject } from '../edge/state.ts';

/** A container of a project, as far as the edge's servers depend on it. */
export interface FollowedContainer {
  id: string;
  project: string;
  service: string;
  running: boolean;
  /** `none`: it has no health check. */
  health: 'none' | 'starting' | 'healthy' | 'unhealthy';
  /** Its addresses by network name; `fixed` is one that it keeps over its restarts. */
  networks: Record<string, { fixed?: string; current?: string }>;
  hostNetwork: boolean;
}

export type FollowChange =
  /** The container is to be joined to the project's edge network under an address of its own. */
  | { kind: 'join'; project: string; container: string; why: string }
  | { kind: 'add'; project: string; backend: string; server: EdgeServer; why: string }
  | { kind: 'move'; project: string; backend: string; server: EdgeServer; why: string }
  | { kind: 'remove'; project: string; backend: string; server: string; why: string };

/**
 * What has to change at the edge because containers changed without Composure's doing: recreated, scaled or removed by hand. Each change
 * says why. `busy` projects are left alone: a release is moving their containers. `retired` containers belong to a release that was
 * replaced; they are kept for a rollback and never serve because somebody started them.
 */
export function planFollow(input: {
  state: EdgeState;
  containers: FollowedContainer[];
  busy: ReadonlySet<string>;
  retired: ReadonlySet<string>;
}): FollowChange[] {
  return Object.entries(input.state.projects).flatMap(([name, project]) => {
    if (input.busy.has(name)) return [];
    const containers = input.containers.filter((container) => container.project === name);
    const backends = Object.values(project.backends);
    const changes = backends.flatMap((backend) => followBackend(name, project, backend, containers, input.retired));
    // A service with two routed ports has two backends, and is joined once.
    return changes.filter(
      (change, index) =>
        change.kind !== 'join' || changes.findIndex((other) => other.kind === 'join' && other.container === change.container) === index,
    );
  });
}

function followBackend(
  project: string,
  { network }: EdgeProject,
  backend: EdgeBackend,
  all: FollowedContainer[],
  retired: ReadonlySet<string>,
): FollowChange[] {
  const containers = all.filter((container) => container.service === backend.service);
  const where = { project, backend: backend.name };
  const present = backend.servers.flatMap((server): FollowChange[] => {
    const container = containers.find(({ id }) => id === server.container);
    if (!container) return [{ kind: 'remove', ...where, server: server.name, why: `container ${server.name} is gone` }];
    if (!container.running) return [];
    const address = addressOf(container, network.name);
    if (address === undefined)
      return [{ kind: 'join', project, container: container.id, why: `container ${server.name} is no longer on the edge's network` }];
    if (address === server.address) return [];
    return [
      {
        kind: 'move',
        ...where,
        server: { ...server, address },
        why: `container ${server.name} has the address ${address} now, not ${server.address}`,
      },
    ];
  });
  const fresh = containers
    .filter(
      ({ id, running, health }) =>
        running && health !== 'unhealthy' && !retired.has(id) && !backend.servers.some((server) => server.container === id),
    )
    .flatMap((container): FollowChange[] => {
      const name = container.id.slice(0, 12);
      const address = addressOf(container, network.name);
      if (address === undefined)
        return [
          { kind: 'join', project, container: container.id, why: `container ${name} of ${backend.service} was made without Composure` },
        ];
      // The edge's own HTTP check keeps a server without traffic until it passes; a mere connect proves less than the container's health check.
      if (!backend.health && container.health === 'starting') return [];
      const server: EdgeServer = { name, container: container.id, address, port: backend.port, state: 'ready' };
      return [{ kind: 'add', ...where, server, why: `container ${name} of ${backend.service} runs and has no place at the edge` }];
    });
  return [...present, ...fresh];
}

/** Only a fixed address counts on a network: one that Docker chose may be another container's after a restart. */
function addressOf(container: FollowedContainer, network: string): string | undefined {
  return container.hostNetwork ? '127.0.0.1' : container.networks[network]?.fixed;
}

/** The state after the changes; joins change nothing in it. Repeating it changes nothing, and what is no longer there is passed over. */
export function applyFollow(state: EdgeState, changes: FollowChange[]): EdgeState {
  let after = state;
  for (const change of changes) {
    if (change.kind === 'join') continue;
    after = withProject(after, change.project, (project) => {
      const backend = project.backends[change.backend];
      if (!backend) return project;
      return {
        ...project,
        backends: { ...project.backends, [backend.name]: { ...backend, servers: serversAfter(backend.servers, change) } },
      };
    });
  }
  return after;
}

function serversAfter(servers: EdgeServer[], change: Exclude<FollowChange, { kind: 'join' }>): EdgeServer[] {
  switch (change.kind) {
    case 'add':
      return [...servers.filter(({ name }) => name !== change.server.name), change.server];
    case 'move':
      return servers.map((server) => (server.name === change.server.name ? { ...server, address: change.server.address } : server));
    case 'remove':
      return servers.filter(({ name }) => name !== change.server);
  }
}

export function formatFollow(changes: FollowChange[]): string {
  return changes.map((change) => `${change.project}: ${change.kind} ${subject(change)}: ${change.why}\n`).join('');
}

function subject(change: FollowChange): string {
  if (change.kind === 'join') return change.container.slice(0, 12);
  return `${change.backend}/${change.kind === 'remove' ? change.server : change.server.name}`;
}

/** Containers of Compose services, one-off runs left out. */
export function followed(containers: ContainerSummary[]): FollowedContainer[] {
  return containers.flatMap((container) => {
    const project = container.Labels[COMPOSE.project];
    const service = container.Labels[COMPOSE.service];
    if (project === undefined || service === undefined || container.Labels[COMPOSE.oneoff]?.toLowerCase() === 'true') return [];
    const networks = Object.entries(container.NetworkSettings?.Networks ?? {});
    return [
      {
        id: container.Id,
        project,
        service,
        running: container.State === 'running',
        health: healthOf(container.Status),
        networks: Object.fromEntries(
          networks.map(([name, { IPAMConfig, IPAddress }]) => [
            name,
            { ...(IPAMConfig?.IPv4Address ? { fixed: IPAMConfig.IPv4Address } : {}), ...(IPAddress ? { current: IPAddress } : {}) },
          ]),
        ),
        hostNetwork: networks.some(([name]) => name === 'host'),
      },
    ];
  });
}

/** The list of containers gives health only inside its status text: "Up 3 seconds (health: starting)". */
function healthOf(status: string): FollowedContainer['health'] {
  const text = /\((?:health: )?(starting|healthy|unhealthy)\)/.exec(status)?.[1];
  return (text as FollowedContainer['health'] | undefined) ?? 'none';
}
