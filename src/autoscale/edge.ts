import type { Edge, EdgeServer, ServerStats } from '../edge/model.ts';
import { withProject } from '../edge/state.ts';
import { type Drained, drainContainers } from '../rollout/drain.ts';
import { drainBudget } from '../rollout/plan-stop-first.ts';
import type { ScaledService } from './tiers.ts';

/** A container of a scaled service that has a route: it leaves the edge before it is asked to end, or requests would find it ending. */
export interface Routed {
  edge: Edge;
  project: string;
  service: ScaledService;
  container: string;
}

/**
 * Whether a container may leave the edge: on each of its routes one of those that stay answers. Where none stays, the service goes to zero, and
 * that is meant. Pure.
 */
export function mayLeave(
  stats: readonly Pick<ServerStats, 'backend' | 'server' | 'status'>[],
  container: string,
  staying: readonly string[],
): boolean {
  const nameOf = (id: string): string => id.slice(0, 12);
  const names = staying.map(nameOf);
  const answers = (backend: string): boolean =>
    stats.some((row) => row.backend === backend && names.includes(row.server) && /^(UP|no check)/.test(row.status));
  return names.length === 0 || stats.filter(({ server }) => server === nameOf(container)).every(({ backend }) => answers(backend));
}

/** The edge sends it nothing more; waits until nothing is in flight on it or the route's drain time is over. Undefined: it has no place there. */
export async function leaveEdge(routed: Routed, signal: AbortSignal): Promise<Drained | undefined> {
  if (!(await changeServer(routed, (server) => [{ ...server, state: 'drain' }]))) return undefined;
  return drainContainers({ edge: routed.edge, signal }, { containers: [routed.container], ...drainBudget(routed.service) });
}

/** It goes on serving after all. */
export const returnToEdge = (routed: Routed): Promise<boolean> => changeServer(routed, (server) => [{ ...server, state: 'ready' }]);

/** It has ended. If it is started again it is given a place like a new one. */
export const forgetAtEdge = (routed: Routed): Promise<boolean> => changeServer(routed, () => []);

/** False: there was nothing to change. */
async function changeServer({ edge, project, container }: Routed, change: (server: EdgeServer) => EdgeServer[]): Promise<boolean> {
  const backends = Object.values((await edge.read()).projects[project]?.backends ?? {});
  const mine = backends.flatMap(({ servers }) => servers.filter((server) => server.container === container));
  if (mine.every((server) => change(server)[0]?.state === server.state)) return false;
  await edge.change((state) =>
    withProject(state, project, (present) => ({
      ...present,
      backends: Object.fromEntries(
        Object.entries(present.backends).map(([name, backend]) => [
          name,
          { ...backend, servers: backend.servers.flatMap((server) => (server.container === container ? change(server) : [server])) },
        ]),
      ),
    })),
  );
  return true;
}
