import type { EdgeServer } from '../edge/model.ts';
import { ensureProjectNetwork } from '../edge/network.ts';
import type { Plan } from './model.ts';
import { currentServers, joinEdge, routeTo } from './placement.ts';
import { wantedSettings, withWantedBackends } from './routes.ts';
import type { World } from './world.ts';

/**
 * The edge knows the project, its routes, and as ready servers the containers that serve now, before anything new exists.
 * A port that one of these containers still publishes is listened for under another number until it is free.
 */
export async function prepareEdge(world: World, plan: Plan): Promise<string> {
  const { project, edge, docker } = world;
  const state = await edge.read();
  const network = await ensureProjectNetwork(docker, edge.name, project.name, state.settings.addressPool);
  const takeovers = [...state.settings.takeovers];
  for (const step of plan.steps) {
    if (step.kind === 'take-over-port' && !takeovers.some(({ port }) => port === step.port))
      takeovers.push({ port: step.port, temporary: step.temporary });
  }
  await edge.change((present) => ({
    ...present,
    settings: { ...wantedSettings(present.settings, project), takeovers },
    projects: {
      ...present.projects,
      [project.name]: withWantedBackends(present.projects[project.name] ?? { network, nextAddress: 2, backends: {} }, project),
    },
  }));
  const routed = Object.values(project.services)
    .filter((service) => service.edge.length > 0)
    .map(({ name }) => name);
  const adopted: string[] = [];
  for (const service of routed) {
    const running = plan.before[service] ?? [];
    const present = await currentServers(world, service);
    const isSame =
      present.drain.length === 0 && present.ready.length === running.length && running.every((id) => present.ready.includes(id));
    if (isSame) continue;
    await joinEdge(world, running);
    await routeTo(world, { [service]: { ready: running, drain: [], hold: false } });
    if (running.length > 0) adopted.push(service);
  }
  await edge.ensureRunning();
  return adopted.length > 0 ? `${adopted.join(', ')} taken behind the edge as they run` : '';
}

/** The project's entry as it was before the release; a project that the edge did not know before leaves it again. */
export async function restoreEdge(world: World, plan: Plan, replaced: Record<string, string>): Promise<void> {
  const name = world.project.name;
  await world.edge.change((state) => {
    const present = state.projects[name];
    const { [name]: _gone, ...others } = state.projects;
    if (!plan.edgeBefore) return { ...state, projects: others };
    const backends = Object.fromEntries(
      Object.entries(plan.edgeBefore.backends).map(([key, backend]) => [
        key,
        { ...backend, servers: backend.servers.map((server) => renamed(server, replaced[server.container])) },
      ]),
    );
    return {
      ...state,
      projects: { ...others, [name]: { ...plan.edgeBefore, backends, nextAddress: present?.nextAddress ?? plan.edgeBefore.nextAddress } },
    };
  });
}

const renamed = (server: EdgeServer, container: string | undefined): EdgeServer =>
  container ? { ...server, container, name: container.slice(0, 12) } : server;
