import { Failure } from '../kit/errors.ts';
import type { EdgeBackend, EdgeState } from './model.ts';
import { allBackends, httpRoutes, isTcp, type PlacedBackend, tcpRoutes, wantedPorts } from './state.ts';

export interface RouteProblem {
  code: 'HOST_CLAIMED' | 'PORT_IN_USE' | 'EDGE_FAILED';
  /** Projects whose routes are part of it. */
  projects: string[];
  backend: string;
  message: string;
}

// What these hold ends up in HAProxy's file and map files, where blanks and quotes have a meaning.
const NAME = /^[A-Za-z0-9._-]+$/;
const HOST = /^(\*\.)?[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?$|^[0-9a-f:.]+$|^localhost$/;
const PATH = /^\/[^\s"'\\#]*$/;
const STATUS = /^[0-9,-]+$/;
const ADDRESS = /^[0-9a-fA-F.:]+$/;

/** What is wrong with the routes of a state: claims by two projects, and texts that HAProxy's file cannot carry. Empty when all is well. */
export function routeProblems(state: EdgeState): RouteProblem[] {
  const problems: RouteProblem[] = [];
  const claims = new Map<string, PlacedBackend>();
  const ports = wantedPorts(state);
  const taken = new Set([ports.http, ...(ports.https === undefined ? [] : [ports.https])]);

  for (const placed of allBackends(state)) {
    const { project, backend } = placed;
    const bad = (message: string): void => void problems.push({ code: 'EDGE_FAILED', projects: [project], backend: backend.name, message });
    for (const message of textProblems(backend)) bad(message);
    if (isTcp(backend) && httpRoutes(backend).length > 0) bad(`port ${backend.port} of ${backend.service} has both http and tcp routes`);
    for (const { listen } of tcpRoutes(backend)) {
      if (taken.has(listen)) bad(`port ${listen} is the edge's own port for ${listen === ports.http ? 'HTTP' : 'HTTPS'}`);
    }
    for (const { key, text, code } of claimsOf(backend)) {
      const other = claims.get(key);
      if (!other) claims.set(key, placed);
      else if (other.backend.name !== backend.name || code === 'PORT_IN_USE') {
        const projects = [...new Set([other.project, project])];
        const message = `${text} is claimed by ${other.project}/${other.backend.service} and ${project}/${backend.service}`;
        problems.push({ code, projects, backend: backend.name, message });
      }
    }
  }
  return problems;
}

/** Throws the first problem that a project to be changed is part of. Problems of other projects are not its fault. */
export function assertRoutes(state: EdgeState, changed: (project: string) => boolean): void {
  const problem = routeProblems(state).find(({ projects }) => projects.some(changed));
  if (!problem) return;
  throw new Failure(problem.code, problem.message, {
    where: problem.backend,
    next:
      problem.code === 'HOST_CLAIMED'
        ? 'give one of them another host or path, or take its route away'
        : 'change x-edge of that service; the running edge was not touched',
  });
}

interface Claim {
  key: string;
  text: string;
  code: 'HOST_CLAIMED' | 'PORT_IN_USE';
}

function claimsOf(backend: EdgeBackend): Claim[] {
  return backend.routes.flatMap((route): Claim[] => {
    if (route.kind === 'tcp') return [{ key: `port ${route.listen}`, text: `port ${route.listen}`, code: 'PORT_IN_USE' }];
    const path = trimPath(route.path);
    const host: Claim = {
      key: `route ${route.host ?? '*'}${path}`,
      text: `${route.host ?? 'every host'}${path || '/'}`,
      code: 'HOST_CLAIMED',
    };
    const from = route.redirectFrom.map(
      (name): Claim => ({ key: `from ${name}`, text: `the redirect from ${name}`, code: 'HOST_CLAIMED' }),
    );
    return [host, ...from];
  });
}

/** A path prefix without its closing slashes: "/" is "", "/api/" is "/api". */
export const trimPath = (path: string): string => path.replace(/\/+$/, '');

function textProblems(backend: EdgeBackend): string[] {
  const checks: [boolean, string][] = [
    [NAME.test(backend.name), `backend name ${JSON.stringify(backend.name)}`],
    ...(backend.health
      ? ([
          [PATH.test(backend.health.path), `health path ${JSON.stringify(backend.health.path)}`],
          [STATUS.test(backend.health.status), `health status ${JSON.stringify(backend.health.status)}`],
        ] as [boolean, string][])
      : []),
    ...backend.servers.flatMap((server): [boolean, string][] => [
      [NAME.test(server.name) && server.name !== 'hold', `server name ${JSON.stringify(server.name)}`],
      [ADDRESS.test(server.address), `server address ${JSON.stringify(server.address)}`],
    ]),
    ...httpRoutes(backend).flatMap((route): [boolean, string][] => [
      [route.host === undefined || HOST.test(route.host), `host ${JSON.stringify(route.host)}`],
      [PATH.test(route.path), `path ${JSON.stringify(route.path)}`],
      [
        route.redirectFrom.length === 0 || (route.host !== undefined && !route.host.startsWith('*')),
        'redirectFrom without a host to lead to',
      ],
      ...route.redirectFrom.map((host): [boolean, string] => [
        HOST.test(host) && !host.startsWith('*'),
        `redirectFrom ${JSON.stringify(host)}`,
      ]),
    ]),
  ];
  return checks.flatMap(([good, text]) => (good ? [] : [`${text} of ${backend.service} cannot be used`]));
}
