import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { createServer, request } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openDocker } from '../../src/docker/api.ts';
import { type EdgeKeeper, openEdge } from '../../src/edge/edge.ts';
import type { EdgeBackend, EdgeServer, EdgeState } from '../../src/edge/model.ts';
import type { ProgressEvent } from '../../src/kit/events.ts';
import { freePort, releasePort } from './ports.ts';
import { PREFIX, register, removeScenario } from './registry.ts';

const APP = fileURLToPath(new URL('../fixtures/app/app.js', import.meta.url));

/** A backend of project "shop" with a route for shop.test and no servers. */
export function backend(change: Partial<EdgeBackend> = {}): EdgeBackend {
  return {
    name: 'shop.api.8000',
    service: 'api',
    port: 8000,
    routes: [{ kind: 'http', host: 'shop.test', path: '/', redirectFrom: [], tls: 'none', redirectToHttps: false }],
    healthIntervalMs: 200,
    timeouts: { responseMs: 60_000, tunnelMs: 3_600_000 },
    compress: false,
    maxBodyBytes: 0,
    securityHeaders: false,
    servers: [],
    hold: false,
    holdMs: 15_000,
    ...change,
  };
}

export const server = (name: string, port: number, state: EdgeServer['state'] = 'ready', address = '127.0.0.1'): EdgeServer => ({
  name,
  container: name.padEnd(64, '0'),
  address,
  port,
  state,
});

/** The state with one project's backends put in place of what it had. */
export function withBackends(state: EdgeState, backends: EdgeBackend[], project = 'shop'): EdgeState {
  const present = state.projects[project] ?? {
    network: { name: `edge_${project}`, subnet: '10.214.0.0/24' },
    nextAddress: 2,
    backends: {},
  };
  return {
    ...state,
    projects: { ...state.projects, [project]: { ...present, backends: Object.fromEntries(backends.map((entry) => [entry.name, entry])) } },
  };
}

export interface TestEdge {
  edge: EdgeKeeper;
  folder: string;
  httpPort: number;
  httpsPort: number;
  events: ProgressEvent[];
  docker: ReturnType<typeof openDocker>;
  /** Puts these backends in place of all that project "shop" had. */
  set(...backends: EdgeBackend[]): Promise<void>;
  /** A backend process of the test app; its port. */
  app(version: string, env?: Record<string, string>): Promise<App>;
  /** The id of the container that serves now. */
  container(): Promise<string>;
}

export interface App {
  port: number;
  process: ChildProcess;
}

/** An edge of its own on free ports, removed afterwards with everything that belongs to it. */
export async function withEdge(body: (test: TestEdge) => Promise<void>): Promise<void> {
  const name = `${PREFIX}edge-${randomBytes(3).toString('hex')}`;
  const folder = join(tmpdir(), `${name}.state`);
  const entry = { name, folder: join(tmpdir(), name), state: folder, pid: process.pid, run: process.env.COMPOSURE_TEST_RUN ?? '' };
  const [httpPort, httpsPort] = [await freePort(), await freePort()];
  const ports = [httpPort, httpsPort];
  const apps: ChildProcess[] = [];
  const events: ProgressEvent[] = [];
  await register(entry);
  await mkdir(folder, { recursive: true });
  const docker = openDocker();
  const edge = openEdge({ stateFolder: folder, docker, report: (event) => events.push(event) });
  try {
    await edge.change((state) => ({ ...state, settings: { ...state.settings, httpPort, httpsPort } }));
    await body({
      edge,
      folder,
      httpPort,
      httpsPort,
      events,
      docker,
      set: (...backends) => edge.change((state) => withBackends(state, backends)),
      app: async (version, env = {}) => {
        const port = await freePort();
        ports.push(port);
        const child = spawn(process.execPath, [APP], {
          env: { PATH: process.env.PATH ?? '', VERSION: version, PORT: String(port), ...env },
          stdio: ['ignore', 'pipe', 'inherit'],
        });
        apps.push(child);
        if (child.stdout) await once(child.stdout, 'data');
        return { port, process: child };
      },
      container: async () => {
        const containers = await docker.listContainers([`composure.edge=${edge.name}`, 'composure.edge.generation']);
        const running = containers.filter(({ State }) => State === 'running').sort((a, b) => b.Created - a.Created)[0];
        if (!running) throw new Error('the edge has no running container');
        return running.Id;
      },
    });
  } finally {
    for (const child of apps) child.kill('SIGKILL');
    await removeScenario(entry);
    for (const port of ports) releasePort(port);
  }
}

export interface Answer {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  body: string;
}

/** One request on a connection of its own. */
export function get(
  port: number,
  path = '/',
  {
    host = 'shop.test',
    method = 'GET',
    headers = {},
    body,
    socketPath,
  }: { host?: string; method?: string; headers?: Record<string, string>; body?: string; socketPath?: string } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const call = request(
      {
        ...(socketPath ? { socketPath } : { host: '127.0.0.1', port }),
        path,
        method,
        headers: { host, ...headers },
        agent: false,
        timeout: 30_000,
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks).toString('latin1') }),
        );
      },
    );
    call.on('timeout', () => call.destroy(new Error('no answer within 30 s')));
    call.on('error', reject);
    call.end(body);
  });
}

/** A small HTTP server within the test's own process. */
export async function serve(handler: Parameters<typeof createServer>[1]): Promise<{ port: number; close(): void }> {
  const http = handler ? createServer({}, handler) : createServer();
  const sockets = new Set<Socket>();
  http.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  return {
    port: (http.address() as AddressInfo).port,
    close: () => {
      http.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
