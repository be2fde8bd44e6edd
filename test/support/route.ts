import { openDocker } from '../../src/docker/api.ts';
import { type EdgeKeeper, openEdge } from '../../src/edge/edge.ts';
import type { EdgeProject, EdgeRoute, EdgeSettings } from '../../src/edge/model.ts';
import { ensureProjectNetwork, joinProjectNetwork } from '../../src/edge/network.ts';
import type { ScenarioProject } from './scenario.ts';

export interface RouteWish {
  service: string;
  route?: Partial<Extract<EdgeRoute, { kind: 'http' }>>;
  settings?: Partial<EdgeSettings>;
  acme?: EdgeProject['acme'];
}

/** Puts a running service of the test app behind the scenario's edge, as a release would, and starts the edge. Call it once for each project. */
export async function routeThroughEdge(project: ScenarioProject, { service, route, settings, acme }: RouteWish): Promise<EdgeKeeper> {
  const docker = openDocker();
  const edge = openEdge({ stateFolder: project.state, docker, report: () => {} });
  const pool = '10.214.0.0/16';
  const network = await ensureProjectNetwork(docker, edge.name, project.name, pool);
  const containers = await project.containers(service);
  const name = `${project.name}.${service}.3000`;
  const servers: EdgeProject['backends'][string]['servers'] = [];
  let nextAddress = 2;
  for (const { Id } of containers) {
    const joined = await joinProjectNetwork(docker, { network, nextAddress }, Id);
    nextAddress = joined.nextAddress;
    servers.push({ name: Id.slice(0, 12), container: Id, address: joined.address, port: 3000, state: 'ready' });
  }
  const backends: EdgeProject['backends'] = {
    [name]: {
      ...{ name, service, port: 3000, health: { path: '/health', status: '200' }, healthIntervalMs: 500 },
      routes: [{ kind: 'http', path: '/', redirectFrom: [], tls: 'none', redirectToHttps: false, ...route }],
      ...{ timeouts: { responseMs: 30_000, tunnelMs: 60_000 }, compress: false, maxBodyBytes: 0, securityHeaders: false },
      ...{ servers, hold: false, holdMs: 5000 },
    },
  };
  await edge.change((state) => ({
    ...state,
    settings: { ...state.settings, httpPort: project.httpPort, httpsPort: project.httpsPort, ...settings },
    projects: { ...state.projects, [project.name]: { network, nextAddress, backends, ...(acme ? { acme } : {}) } },
  }));
  await edge.ensureRunning();
  return edge;
}
