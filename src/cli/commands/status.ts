import { type ContainerSummary, engineSocket, openDocker } from '../../docker/api.ts';
import { COMPOSE } from '../../docker/labels.ts';
import type { EdgeBackend, ServerStats } from '../../edge/model.ts';
import { readStats } from '../../edge/observe.ts';
import { readEdgeState } from '../../edge/state.ts';
import { lockPath, readUnfinished } from '../../rollout/journal.ts';
import { stateFolder } from '../../state/folder.ts';
import { describeHolder, readLock } from '../../state/lock.ts';
import { describeLimits, type ReleasedService, readCurrentRelease } from '../../state/releases.ts';
import type { ProjectFlags } from '../flags.ts';
import type { Io } from '../io.ts';
import { projectName } from '../project-name.ts';
import { table } from '../render/table.ts';

export interface ServiceStatus {
  service: string;
  running: number;
  /** What the autoscaler has frozen: ready within milliseconds, and idle. */
  frozen: number;
  wanted: number;
  /** Of a scaled service: within what the autoscaler counts it. Without `max` it is what fits the host. */
  scaled?: { min: number; max?: number };
  health: string;
  image: string;
  routes: string[];
  containers: { name: string; state: string; status: string; edge?: string }[];
}

export async function statusCommand(io: Io, flags: ProjectFlags): Promise<void> {
  const state = stateFolder(io.env);
  const project = await projectName(io, flags);
  const docker = openDocker(engineSocket(io.env));
  const [containers, release, edge, stats, unfinished, holder] = await Promise.all([
    docker.listContainers([`${COMPOSE.project}=${project}`]),
    readCurrentRelease(state, project),
    readEdgeState(state),
    readStats(state).then(
      (rows) => (rows.length > 0 ? rows : undefined),
      () => undefined,
    ),
    readUnfinished(state, project),
    readLock(lockPath(state, project)),
  ]);
  const backends = Object.values(edge.projects[project]?.backends ?? {});
  const services = describeServices(containers, release?.services ?? {}, backends, stats ?? []);
  const edgeText =
    backends.length === 0
      ? 'no routes'
      : stats
        ? `serves ${backends.length} routed ${backends.length === 1 ? 'service' : 'services'}`
        : 'does not answer';
  if (flags.json) {
    io.stdout(
      `${JSON.stringify({ project, release: release && { number: release.number, at: release.at, kind: release.kind }, unfinished: unfinished?.plan.release, busy: holder && describeHolder(holder), edge: edgeText, services })}\n`,
    );
    return;
  }
  io.stdout(
    `${project}: ${release ? `release ${release.number} (${release.kind} at ${release.at.slice(0, 19).replace('T', ' ')} UTC)` : 'not released by composure yet'}; edge ${edgeText}\n`,
  );
  if (holder) io.stdout(`at work: ${describeHolder(holder)}\n`);
  else if (unfinished) io.stdout(`release ${unfinished.plan.release} was left unfinished: composure recover ends it\n`);
  if (services.length === 0) {
    io.stdout('nothing runs\n');
    return;
  }
  const rows = services.map((service) => [
    service.service,
    service.scaled ? `${service.running + service.frozen} (${describeLimits(service.scaled)})` : `${service.running}/${service.wanted}`,
    service.health,
    service.image,
    service.routes.join(', '),
  ]);
  io.stdout(table(['SERVICE', 'RUNNING', 'HEALTH', 'IMAGE', 'ROUTES'], rows));
}

/** One line per service, from what runs and what the current release wanted. */
export function describeServices(
  containers: ContainerSummary[],
  released: Record<string, Pick<ReleasedService, 'replicas' | 'image' | 'autoscale'>>,
  backends: EdgeBackend[],
  stats: ServerStats[],
): ServiceStatus[] {
  const own = containers.filter(({ Labels }) => Labels[COMPOSE.oneoff] !== 'True' && Labels[COMPOSE.service]);
  const names = new Set([
    ...Object.keys(released),
    ...own.filter(({ State }) => State === 'running' || State === 'restarting').map(({ Labels }) => Labels[COMPOSE.service] ?? ''),
  ]);
  return [...names].sort().map((service) => {
    const present = own.filter(
      ({ Labels, State }) => Labels[COMPOSE.service] === service && (State === 'running' || State === 'restarting' || State === 'paused'),
    );
    const limits = released[service]?.autoscale;
    const routed = backends.filter((backend) => backend.service === service);
    return {
      service,
      running: present.filter(({ State }) => State === 'running').length,
      frozen: limits ? present.filter(({ State }) => State === 'paused').length : 0,
      wanted: limits ? present.length : (released[service]?.replicas ?? present.length),
      ...(limits ? { scaled: { min: limits.min, ...(limits.max === undefined ? {} : { max: limits.max }) } } : {}),
      health: healthOf(present, limits),
      image: present[0]?.Image ?? released[service]?.image ?? '',
      routes: routed.flatMap(({ routes }) =>
        routes.map((route) => (route.kind === 'tcp' ? `tcp:${route.listen}` : `${route.host ?? '*'}${route.path}`)),
      ),
      containers: present.map((container) => {
        const row = stats.find(({ server }) => server === container.Id.slice(0, 12));
        return {
          name: container.Names[0]?.slice(1) ?? container.Id.slice(0, 12),
          state: container.State,
          status: container.Status,
          ...(row ? { edge: `${row.status}, ${row.sessions} open` } : {}),
        };
      }),
    };
  });
}

/** A scaled service may be at 0, and frozen, because there is nothing to do. */
function healthOf(containers: ContainerSummary[], scaled: ReleasedService['autoscale']): string {
  if (containers.length === 0) return scaled?.min === 0 ? 'idle' : 'down';
  const counts = new Map<string, number>();
  for (const { State, Status } of containers) {
    const health =
      State === 'running'
        ? (/\((health: starting|healthy|unhealthy)\)/.exec(Status)?.[1]?.replace('health: ', '') ?? 'running')
        : State === 'paused' && scaled
          ? 'frozen'
          : State;
    counts.set(health, (counts.get(health) ?? 0) + 1);
  }
  return [...counts]
    .sort()
    .map(([health, count]) => (counts.size > 1 ? `${count} ${health}` : health))
    .join(', ');
}
