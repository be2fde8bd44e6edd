import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { get } from 'node:http';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { removeLeftOvers } from '../../src/backup/stage/scratch.ts';
import { engineSocket, openDocker } from '../../src/docker/api.ts';
import { COMPOSE, OURS } from '../../src/docker/labels.ts';
import type { ProgressEvent } from '../../src/kit/events.ts';
import { run as exec } from '../../src/kit/spawn.ts';
import { edgeName } from '../../src/state/folder.ts';

const EXAMPLE = fileURLToPath(new URL('../../examples/causal-analytics', import.meta.url));
export const COMPOSURE = fileURLToPath(new URL('../../bin/composure.js', import.meta.url));
export const HOST = 'api.localhost';

export interface Ran {
  /** null when a signal ended it. */
  code: number | null;
  signal: NodeJS.Signals | null;
  out: string;
  err: string;
}

export interface RunOptions {
  env?: Record<string, string>;
  /** Called for each progress event of `composure … --json`. `kill` ends the command as kill -9 does. */
  onEvent?: (event: ProgressEvent, kill: () => void) => void;
}

/** A copy of the example stack with a project name, a state folder, an edge and ports of its own: nothing else on the host is touched. */
export interface Stage {
  name: string;
  /** Holds the project's folder and the state folder. */
  root: string;
  folder: string;
  state: string;
  port: number;
  /** Runs the command line of this checkout in the copy. */
  composure(args: string[], options?: RunOptions): Promise<Ran>;
  docker(args: string[], env?: Record<string, string>): Promise<Ran>;
  /** Version that GET / is answered with, through the edge. */
  servedVersion(): Promise<string>;
  /** Ends running commands at once. */
  interrupt(): void;
  /** Removes all of it; may be called at any time. */
  strike(): Promise<void>;
}

export async function setStage(): Promise<Stage> {
  const name = `composure-demo-${randomBytes(3).toString('hex')}`;
  const root = await mkdtemp(join(tmpdir(), `${name}-`));
  const folder = join(root, 'project');
  const state = join(root, 'state');
  const [port, tlsPort] = [await freePort(), await freePort()];
  await mkdir(state, { mode: 0o700 });
  await cp(EXAMPLE, folder, { recursive: true, filter: (path) => !path.endsWith('/node_modules') });
  await writeFile(join(folder, 'compose.demo.yaml'), demoFile(name, port, tlsPort, join(root, 'repository')));

  const env = { ...withoutSettings(process.env), COMPOSURE_STATE_DIR: state, RESTIC_CACHE_DIR: join(root, 'cache'), NO_COLOR: '1' };
  const children = new Set<ChildProcess>();

  function run(program: string, args: string[], options: RunOptions = {}): Promise<Ran> {
    return new Promise((resolve, reject) => {
      // In a process group of its own: Ctrl-C is ours to answer, and what the command has started goes with it.
      const child = spawn(program, args, {
        cwd: folder,
        env: { ...env, ...options.env },
        detached: true,
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      children.add(child);
      let out = '';
      let err = '';
      let rest = '';
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        out += text;
      });
      child.stderr.setEncoding('utf8').on('data', (text: string) => {
        err += text;
        const lines = (rest + text).split('\n');
        rest = lines.pop() ?? '';
        for (const line of lines) {
          const event = options.onEvent && readEvent(line);
          if (event) options.onEvent?.(event, () => killGroup(child));
        }
      });
      child.on('error', reject);
      child.on('close', (code, signal) => {
        children.delete(child);
        resolve({ code, signal, out, err });
      });
    });
  }

  const composure = (args: string[], options?: RunOptions): Promise<Ran> => run(process.execPath, [COMPOSURE, ...args], options);
  const docker = (args: string[], extra: Record<string, string> = {}): Promise<Ran> => run('docker', args, { env: extra });

  return {
    name,
    root,
    folder,
    state,
    port,
    composure,
    docker,
    servedVersion: () => servedVersion(port),
    interrupt() {
      for (const child of children) killGroup(child);
    },
    async strike() {
      await composure(['edge', 'stop', '--yes']);
      await removeAll(name, state);
      // Of a drill that was interrupted.
      await removeLeftOvers(openDocker(engineSocket(process.env)));
      await rm(root, { recursive: true, force: true });
    },
  };
}

/** What the demo changes in the example: names and ports of its own, and times that are short enough to be watched. */
const demoFile = (
  name: string,
  port: number,
  tlsPort: number,
  repository: string,
): string => `# The demo's own environment: composure --env demo
name: ${name}
x-image: &image { image: "${name}:\${VERSION:-1}" }
x-watch: &watch { update_config: { parallelism: 0, monitor: 2s }, rollback_config: { parallelism: 0, monitor: 2s } }
services:
  api:
    <<: *image
    deploy: *watch
    x-edge:
      host: ${HOST}
      port: 8000
      health: { path: /health, interval: 500ms }
      drain: { requests: 10s, streams: 2s }
  worker-light:
    <<: *image
    deploy: *watch
    healthcheck: { interval: 1s, retries: 2, start_period: 6s }
  worker-medium: { <<: *image, deploy: *watch }
  worker-heavy: { <<: *image, deploy: *watch }
  migrate: *image
x-composure:
  edge: { http_port: ${port}, https_port: ${tlsPort} }
  # In so short a watch a few of the two-second requests would make the mean.
  release: { max_latency_ratio: 50 }
  backup: { repository: ${repository} }
`;

/** Without the caller's own settings for Compose and Composure, which are meant for other projects. */
const withoutSettings = (env: NodeJS.ProcessEnv): NodeJS.ProcessEnv =>
  Object.fromEntries(
    Object.entries(env).filter(
      ([key]) => !/^(COMPOSE_|COMPOSURE_|RESTIC_|VERSION$|API_HOST$|APP_|LIGHT_|MEDIUM_|HEAVY_|MIGRATE_)/.test(key),
    ),
  );

function readEvent(line: string): ProgressEvent | undefined {
  if (!line.startsWith('{')) return undefined;
  try {
    return JSON.parse(line) as ProgressEvent;
  } catch {
    return undefined;
  }
}

function killGroup(child: ChildProcess): void {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
  } catch {}
}

/** Below the range that the kernel hands out by itself, so that no outgoing connection takes it before the edge does. */
async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 200; attempt += 1) {
    const port = 18_000 + Math.floor(Math.random() * 2_000);
    if (await isFree(port)) return port;
  }
  throw new Error('no free port between 18000 and 19999');
}

const isFree = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host: '0.0.0.0', exclusive: true }, () => server.close(() => resolve(true)));
  });

function servedVersion(port: number): Promise<string> {
  return new Promise((resolve) => {
    get({ host: '127.0.0.1', port, headers: { host: HOST }, agent: false, timeout: 5_000 }, (response) => {
      response.resume();
      resolve(String(response.headers['x-version'] ?? `status ${response.statusCode}`));
    })
      .on('timeout', function (this: { destroy(): void }) {
        this.destroy();
      })
      .on('error', (error) => resolve(error.message));
  });
}

/** Everything that carries the demo's own project name or edge name, and nothing else. */
async function removeAll(name: string, state: string): Promise<void> {
  const list = async (args: string[]): Promise<string[]> => (await exec('docker', args)).stdout.split('\n').filter(Boolean);
  for (const label of [`${COMPOSE.project}=${name}`, `${OURS.edge}=${edgeName(state)}`]) {
    const containers = await list(['ps', '-aq', '--filter', `label=${label}`]);
    if (containers.length > 0) await exec('docker', ['rm', '--force', '--volumes', ...containers]);
    for (const kind of ['network', 'volume']) {
      const found = await list([kind, 'ls', '-q', '--filter', `label=${label}`]);
      if (found.length > 0) await exec('docker', [kind, 'rm', ...found]);
    }
  }
  const images = await list(['image', 'ls', '--format', '{{.Repository}}:{{.Tag}}', name]);
  if (images.length > 0) await exec('docker', ['image', 'rm', ...images]);
}
