import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startLoad } from '../../bench/load/load.ts';
import type { Load, LoadOptions } from '../../bench/load/model.ts';
import { type ContainerInfo, type ContainerSummary, openDocker } from '../../src/docker/api.ts';
import { COMPOSE, OURS } from '../../src/docker/labels.ts';
import { type RunResult, run } from '../../src/kit/spawn.ts';
import { edgeName } from '../../src/state/folder.ts';
import { collectArtifacts } from './artifacts.ts';
import { freePort, releasePort } from './ports.ts';
import { type Entry, PREFIX, register, removeScenario } from './registry.ts';

const MAIN = new URL('../../src/cli/main.ts', import.meta.url).href;
const BIN = fileURLToPath(new URL('../../bin/composure.js', import.meta.url));

type Main = (
  argv: string[],
  io: {
    cwd: string;
    env: NodeJS.ProcessEnv;
    stdout: (text: string) => void;
    stderr: (text: string) => void;
    stdin?: string;
    isTTY: boolean;
    signal?: AbortSignal;
  },
) => Promise<number>;

export interface CommandResult {
  code: number;
  out: string;
  err: string;
}

export interface ScenarioFacts {
  /** The project's name: unique, and the folder's last part, from which Compose takes it. */
  name: string;
  /** A host name of its own, for routes. */
  host: string;
  folder: string;
  /** COMPOSURE_STATE_DIR: one of its own, so that it has an edge of its own. */
  state: string;
  /** Free ports for that edge. */
  httpPort: number;
  httpsPort: number;
}

export interface ScenarioProject extends ScenarioFacts {
  /** The edge container's name. */
  edge: string;
  env: NodeJS.ProcessEnv;
  /** Runs the command line within this process. */
  composure(
    args: string[],
    options?: { env?: Record<string, string>; input?: string; cwd?: string; isTTY?: boolean },
  ): Promise<CommandResult>;
  /** Starts it as a process, to be killed. What still runs at the end of the scenario is killed. */
  spawnComposure(args: string[], env?: Record<string, string>): RunningCommand;
  compose(args: string[], env?: Record<string, string>): Promise<RunResult>;
  docker(args: string[]): Promise<RunResult>;
  write(file: string, text: string): Promise<void>;
  read(file: string): Promise<string>;
  /** Load through the edge, as the test app answers it. Stopped at the end of the scenario. */
  load(options?: Partial<LoadOptions>): Promise<Load>;
  /** The project's containers in any state, or those of one service, oldest first. */
  containers(service?: string): Promise<ContainerSummary[]>;
  edgeContainers(): Promise<ContainerSummary[]>;
  inspect(container: string): Promise<ContainerInfo>;
  /** Another free port. */
  port(): Promise<number>;
}

export interface RunningCommand {
  process: ChildProcess;
  /** What it has written until now. */
  output(): { out: string; err: string };
  kill(signal?: NodeJS.Signals): void;
  /** `signal` when it was killed; then `code` is null. */
  done: Promise<{ code: number | null; signal: NodeJS.Signals | null; out: string; err: string }>;
}

/**
 * Runs `body` in a project of its own: unique name and folder, own state folder and edge, free ports. Afterwards everything of it is
 * removed; when `body` throws, what explains it is first kept in artifacts/<name>/. The caller's process may die at any point:
 * the next test run removes what is left.
 */
export async function withProject(
  title: string,
  options: { files: Record<string, string> | ((facts: ScenarioFacts) => Record<string, string>); env?: Record<string, string> },
  body: (project: ScenarioProject) => Promise<void>,
): Promise<void> {
  const slug = title
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '')
    .slice(0, 24);
  const name = `${PREFIX}${slug}-${randomBytes(3).toString('hex')}`;
  const folder = join(tmpdir(), name);
  // Beside the project's folder, not in it: a bind mount or build context of "." must not hold the state.
  const state = join(tmpdir(), `${name}.state`);
  const ports = [await freePort(), await freePort()] as [number, number];
  const facts: ScenarioFacts = { name, host: `${name}.test`, folder, state, httpPort: ports[0], httpsPort: ports[1] };
  const entry: Entry = { name, folder, state, pid: process.pid, run: process.env.COMPOSURE_TEST_RUN ?? '' };
  const loads: Load[] = [];
  const commands: RunningCommand[] = [];
  await register(entry);
  try {
    await mkdir(folder);
    const project = openProject(facts, options.env ?? {}, ports, loads, commands);
    const files = typeof options.files === 'function' ? options.files(facts) : options.files;
    for (const [file, text] of Object.entries(files)) await project.write(file, text);
    await body(project);
  } catch (error) {
    const where = await collectArtifacts(entry, error).catch((problem: Error) => `(could not be collected: ${problem.message})`);
    console.error(`${title}: artifacts in ${where}`);
    throw error;
  } finally {
    await Promise.allSettled(loads.map((load) => load.stop()));
    for (const command of commands) killGroup(command.process);
    await Promise.allSettled(commands.map((command) => command.done));
    await removeScenario(entry);
    ports.forEach(releasePort);
  }
}

function openProject(
  facts: ScenarioFacts,
  extra: Record<string, string>,
  ports: number[],
  loads: Load[],
  commands: RunningCommand[],
): ScenarioProject {
  const { name, folder, state } = facts;
  const own = { COMPOSURE_STATE_DIR: state, NO_COLOR: '1', ...extra };
  const docker = openDocker();
  const sorted = (containers: ContainerSummary[]) => containers.sort((a, b) => a.Created - b.Created || a.Id.localeCompare(b.Id));
  return {
    ...facts,
    edge: edgeName(state),
    env: { ...process.env, ...own },

    async composure(args, { env = {}, input, cwd = folder, isTTY = false } = {}) {
      const { main } = (await import(MAIN)) as { main: Main };
      const written = { out: '', err: '' };
      const code = await main(args, {
        cwd,
        env: { ...process.env, ...own, ...env },
        stdout: (text) => {
          written.out += text;
        },
        stderr: (text) => {
          written.err += text;
        },
        ...(input === undefined ? {} : { stdin: input }),
        isTTY,
        // The test's own process gets no signal handlers.
        signal: new AbortController().signal,
      });
      return { code, ...written };
    },

    spawnComposure(args, env = {}) {
      const command = start(process.execPath, [BIN, ...args], folder, { ...process.env, ...own, ...env });
      commands.push(command);
      return command;
    },

    compose: (args, env = {}) => run('docker', ['compose', ...args], { cwd: folder, env: { ...own, ...env }, timeoutMs: 120_000 }),
    docker: (args) => run('docker', args, { timeoutMs: 120_000 }),

    async write(file, text) {
      const path = join(folder, file);
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, text);
    },
    read: (file) => readFile(join(folder, file), 'utf8'),

    async load(options = {}) {
      const load = await startLoad({
        port: facts.httpPort,
        host: facts.host,
        expect: { get: '^composure test app, version ', slow: '^composure test app, version .*slow' },
        ...options,
      });
      loads.push(load);
      return load;
    },

    async containers(service) {
      return sorted(await docker.listContainers([`${COMPOSE.project}=${name}`, ...(service ? [`${COMPOSE.service}=${service}`] : [])]));
    },
    edgeContainers: async () => sorted(await docker.listContainers([`${OURS.edge}=${edgeName(state)}`])),
    inspect: (container) => docker.inspectContainer(container),

    async port() {
      const port = await freePort();
      ports.push(port);
      return port;
    },
  };
}

/** With what it has started: an orphaned `docker compose` would go on creating containers after the cleanup. */
function killGroup(child: ChildProcess): void {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
  } catch {}
}

function start(program: string, args: string[], cwd: string, env: NodeJS.ProcessEnv): RunningCommand {
  const child = spawn(program, args, { cwd, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  const written = { out: '', err: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    written.out += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    written.err += text;
  });
  const done = new Promise<Awaited<RunningCommand['done']>>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ code, signal, ...written }));
  });
  // Read by whoever awaits it; nobody may.
  done.catch(() => {});
  return { process: child, output: () => ({ ...written }), kill: (signal = 'SIGTERM') => void child.kill(signal), done };
}
