import { join } from 'node:path';
import { Failure } from '../kit/errors.ts';
import { readFileIfThere, writeFileIfChanged } from '../kit/files.ts';
import { edgeFolder } from '../state/folder.ts';
import type { EdgeBackend, EdgeProject, EdgeRoute, EdgeSettings, EdgeState } from './model.ts';

export const DEFAULT_SETTINGS: EdgeSettings = {
  httpPort: 80,
  httpsPort: 443,
  image: 'haproxy:3.2-alpine',
  addressPool: '10.214.0.0/16',
  takeovers: [],
};

const statePath = (folder: string): string => join(edgeFolder(folder), 'state.json');

/** What is wanted of the edge; without a stored state an edge without projects. */
export async function readEdgeState(folder: string): Promise<EdgeState> {
  const path = statePath(folder);
  const text = await readFileIfThere(path);
  if (text === undefined) return { version: 1, settings: structuredClone(DEFAULT_SETTINGS), projects: {} };
  let state: EdgeState;
  try {
    state = JSON.parse(text) as EdgeState;
  } catch (cause) {
    throw new Failure('EDGE_FAILED', `${path} is not JSON`, { where: path, next: 'put back a copy of the file', cause });
  }
  if (state.version !== 1) {
    throw new Failure('EDGE_FAILED', `${path} has version ${state.version}; this Composure knows version 1`, {
      where: path,
      next: 'use the version of Composure that wrote it, or a newer one',
    });
  }
  return { ...state, settings: { ...DEFAULT_SETTINGS, ...state.settings } };
}

export const writeEdgeState = (folder: string, state: EdgeState): Promise<void> =>
  writeFileIfChanged(statePath(folder), `${JSON.stringify(state, null, 2)}\n`);

export interface PlacedBackend {
  project: string;
  backend: EdgeBackend;
}

/** All backends of all projects, by name. */
export function allBackends(state: EdgeState): PlacedBackend[] {
  return Object.entries(state.projects)
    .flatMap(([project, { backends }]) => Object.values(backends).map((backend) => ({ project, backend })))
    .sort((a, b) => compare(a.backend.name, b.backend.name));
}

export const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

export type HttpRoute = Extract<EdgeRoute, { kind: 'http' }>;
export type TcpRoute = Extract<EdgeRoute, { kind: 'tcp' }>;

export const httpRoutes = (backend: EdgeBackend): HttpRoute[] => backend.routes.filter((route) => route.kind === 'http');
export const tcpRoutes = (backend: EdgeBackend): TcpRoute[] => backend.routes.filter((route) => route.kind === 'tcp');
export const isTcp = (backend: EdgeBackend): boolean => tcpRoutes(backend).length > 0;

/** A project's own entry, with the change applied; the rest of the state as it was. */
export function withProject(state: EdgeState, name: string, change: (project: EdgeProject) => EdgeProject): EdgeState {
  const project = state.projects[name];
  return project ? { ...state, projects: { ...state.projects, [name]: change(project) } } : state;
}

/** The ports that HAProxy listens on for a public one: another one while the public port is being taken over, and both while it changes hands. */
export function listenPorts(settings: EdgeSettings, port: number): number[] {
  const takeover = settings.takeovers.find((entry) => entry.port === port);
  if (!takeover) return [port];
  return takeover.freed ? [port, takeover.temporary] : [takeover.temporary];
}

/** The edge's ports by what they are for, public numbers. TLS is listened for as soon as one route wants it. */
export function wantedPorts(state: EdgeState): { http: number; https: number | undefined; tcp: number[] } {
  const backends = allBackends(state).map(({ backend }) => backend);
  const tls = backends.some((backend) => httpRoutes(backend).some((route) => route.tls !== 'none'));
  return {
    http: state.settings.httpPort,
    https: tls ? state.settings.httpsPort : undefined,
    tcp: backends.flatMap((backend) => tcpRoutes(backend).map((route) => route.listen)),
  };
}
