import { isDeepStrictEqual } from 'node:util';
import type { EdgeBackend, EdgeProject, EdgeRoute, EdgeServer, EdgeSettings } from '../edge/model.ts';
import type { EdgeSpec, Project } from '../project/model.ts';

/** "<project>.<service>.<port>": dots cannot appear in a Compose project name, so no two backends share a name. */
export const backendName = (project: string, service: string, port: number): string => `${project}.${service}.${port}`;

/** What the edge should know of a project's routes: one backend per routed port of a service, without servers. */
export function wantedBackends(project: Project): Record<string, EdgeBackend> {
  const backends: Record<string, EdgeBackend> = {};
  for (const service of Object.values(project.services)) {
    for (const spec of service.edge) {
      const name = backendName(project.name, service.name, spec.port);
      const backend = backends[name];
      if (backend) backend.routes.push(...routesOf(spec));
      else backends[name] = newBackend(name, service.name, spec);
    }
  }
  return backends;
}

function newBackend(name: string, service: string, spec: EdgeSpec): EdgeBackend {
  return {
    name,
    service,
    port: spec.port,
    routes: routesOf(spec),
    ...(spec.health ? { health: spec.health } : {}),
    healthIntervalMs: spec.healthIntervalMs,
    timeouts: spec.timeouts,
    compress: spec.compress,
    maxBodyBytes: spec.maxBodyBytes,
    ...(spec.rateLimit ? { rateLimit: spec.rateLimit } : {}),
    securityHeaders: spec.securityHeaders,
    servers: [],
    hold: false,
    holdMs: spec.holdMs,
  };
}

function routesOf(spec: EdgeSpec): EdgeRoute[] {
  if (spec.kind === 'tcp') return [{ kind: 'tcp', listen: spec.listen ?? spec.port }];
  const hosts: (string | undefined)[] = spec.hosts.length > 0 ? spec.hosts : [undefined];
  return hosts.map((host) => ({
    kind: 'http',
    ...(host === undefined ? {} : { host }),
    path: spec.path,
    redirectFrom: host === hosts[0] ? spec.redirectFrom : [],
    tls: spec.tls,
    redirectToHttps: spec.redirectToHttps,
  }));
}

/** Why the edge has to be brought to the project's routes before anything else, or undefined when it has them already. */
export function routingChanges(project: Project, edge: EdgeProject | undefined): string | undefined {
  const wanted = wantedBackends(project);
  const present = edge?.backends ?? {};
  const added = Object.keys(wanted).filter((name) => !present[name]);
  const removed = Object.keys(present).filter((name) => !wanted[name]);
  const changed = Object.keys(wanted).filter((name) => present[name] && !sameDefinition(wanted[name] as EdgeBackend, present[name]));
  const list = (names: string[], from: Record<string, EdgeBackend>): string =>
    names.map((name) => describeBackend(from[name] as EdgeBackend)).join(', ');
  const parts = [
    ...(added.length > 0 ? [`new route: ${list(added, wanted)}`] : []),
    ...(changed.length > 0 ? [`changed route: ${list(changed, wanted)}`] : []),
    ...(removed.length > 0 ? [`route no longer wanted: ${list(removed, present)}`] : []),
  ];
  if (parts.length === 0 && Object.keys(wanted).length > 0 && !isDeepStrictEqual(project.settings.edge.acme, edge?.acme))
    parts.push('certificate settings changed');
  return parts.length > 0 ? parts.join('; ') : undefined;
}

/** Whether two backends differ in nothing but what a release moves: their servers and whether requests are held. */
function sameDefinition(a: EdgeBackend, b: EdgeBackend): boolean {
  return isDeepStrictEqual({ ...a, servers: [], hold: false }, { ...b, servers: [], hold: false });
}

export function describeBackend(backend: EdgeBackend): string {
  const routes = backend.routes.map((route) =>
    route.kind === 'tcp' ? `tcp port ${route.listen}` : `${route.host ?? '(any host)'}${route.path}`,
  );
  return `${routes.join(', ')} → ${backend.service}:${backend.port}`;
}

/** The project's entry with the wanted backends; servers and holds of those that stay are kept, backends of gone routes leave. */
export function withWantedBackends(edge: EdgeProject, project: Project): EdgeProject {
  const backends: Record<string, EdgeBackend> = {};
  for (const [name, backend] of Object.entries(wantedBackends(project))) {
    const present = edge.backends[name];
    backends[name] = present ? { ...backend, servers: present.servers, hold: present.hold } : backend;
  }
  const { acme: _acme, ...rest } = edge;
  return { ...rest, ...(project.settings.edge.acme ? { acme: project.settings.edge.acme } : {}), backends };
}

/** A container that serves a service, with the address that the edge reaches it under. */
export interface Placed {
  container: string;
  address: string;
}

/** The project's entry with exactly these servers behind every backend of one service. */
export function withServers(edge: EdgeProject, service: string, servers: { ready: Placed[]; drain: Placed[]; hold: boolean }): EdgeProject {
  const backends = Object.fromEntries(
    Object.entries(edge.backends).map(([name, backend]) => {
      if (backend.service !== service) return [name, backend];
      const make =
        (state: EdgeServer['state']) =>
        ({ container, address }: Placed): EdgeServer => ({ name: container.slice(0, 12), container, address, port: backend.port, state });
      return [
        name,
        { ...backend, servers: [...servers.ready.map(make('ready')), ...servers.drain.map(make('drain'))], hold: servers.hold },
      ];
    }),
  );
  return { ...edge, backends };
}

/** Another project's route that answers for the same requests: the host and path, and whose it is. */
export function findClaim(
  project: Project,
  others: Record<string, EdgeProject>,
): { route: string; project: string; service: string } | undefined {
  const keys = (backend: EdgeBackend): string[] =>
    backend.routes.flatMap((route) =>
      route.kind === 'tcp'
        ? [`port ${route.listen}`]
        : [`${route.host ?? '(any host)'}${route.path}`, ...route.redirectFrom.map((host) => `${host}/`)],
    );
  const taken = new Map<string, string>();
  for (const [name, other] of Object.entries(others)) {
    if (name === project.name) continue;
    for (const backend of Object.values(other.backends)) for (const key of keys(backend)) taken.set(key, name);
  }
  for (const backend of Object.values(wantedBackends(project))) {
    for (const route of keys(backend)) {
      const owner = taken.get(route);
      if (owner) return { route, project: owner, service: backend.service };
    }
  }
  return undefined;
}

/** The edge's settings as the project asks for them; what it does not say stays as it is. */
export function wantedSettings(settings: EdgeSettings, project: Project): EdgeSettings {
  const { httpPort, httpsPort } = project.settings.edge;
  return {
    ...settings,
    ...(httpPort === undefined ? {} : { httpPort }),
    ...(httpsPort === undefined ? {} : { httpsPort }),
    ...(project.settings.images.haproxy === undefined ? {} : { image: project.settings.images.haproxy }),
  };
}
