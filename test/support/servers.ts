import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { COMPOSE } from '../../src/docker/labels.ts';
import { type RunResult, run } from '../../src/kit/spawn.ts';
import { freePort, releasePort } from './ports.ts';
import { type Entry, PREFIX, register, removeScenario } from './registry.ts';

export interface ServerSpec {
  image: string;
  command?: string[];
  environment?: Record<string, string>;
  /** The port that it listens on inside; published on 127.0.0.1. Left out: nobody connects to it. */
  port?: number;
  /** Its name on the network of these servers. */
  alias?: string;
  /** `docker run` flags beyond these, such as `--volume` or `--hostname`. */
  flags?: string[];
}

export interface Server {
  container: string;
  /** Where it is reached from the test: another port after each `restart`. */
  address(): { host: string; port: number };
  /** Its address on the network. */
  ip(): Promise<string>;
  exec(command: string[], options?: { input?: string }): Promise<RunResult>;
  logs(): Promise<string>;
  /** As Docker says it: running, exited, ... */
  state(): Promise<string>;
  kill(signal?: string): Promise<void>;
  /** Ends it; its port answers no more. */
  stop(): Promise<void>;
  /** A new container of the same kind, without what the first one held, on another port. */
  restart(): Promise<void>;
}

export interface Servers {
  network: string;
  start(spec: ServerSpec): Promise<Server>;
  remove(): Promise<void>;
}

/** Real servers in containers, on a network of their own, for one test file. What a dead test leaves is removed like a scenario's. */
export async function openServers(title: string): Promise<Servers> {
  const name = `${PREFIX}${title}-${randomBytes(3).toString('hex')}`;
  const entry: Entry = {
    name,
    folder: join(tmpdir(), name),
    state: join(tmpdir(), `${name}.state`),
    pid: process.pid,
    run: process.env.COMPOSURE_TEST_RUN ?? '',
  };
  const label = ['--label', `${COMPOSE.project}=${name}`];
  const ports: number[] = [];
  await register(entry);
  await docker(['network', 'create', ...label, name]);

  async function create({ image, command = [], environment = {}, port, alias, flags = [] }: ServerSpec): Promise<[string, number]> {
    const published = port === undefined ? 0 : await freePort();
    if (published) ports.push(published);
    const id = await docker([
      ...['run', '--detach', '--network', name, ...label],
      ...(alias ? ['--network-alias', alias] : []),
      ...(published ? ['--publish', `127.0.0.1:${published}:${port}`] : []),
      ...Object.entries(environment).flatMap(([key, value]) => ['--env', `${key}=${value}`]),
      ...[...flags, image, ...command],
    ]);
    return [id, published];
  }

  return {
    network: name,
    async start(spec) {
      let [container, published] = await create(spec);
      const server: Server = {
        get container() {
          return container;
        },
        address: () => ({ host: '127.0.0.1', port: published }),
        ip: () => docker(['inspect', '--format', '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}', container]),
        exec: (words, { input } = {}) =>
          run('docker', ['exec', ...(input === undefined ? [] : ['--interactive']), container, ...words], {
            timeoutMs: 60_000,
            ...(input === undefined ? {} : { input }),
          }),
        async logs() {
          const { stdout, stderr } = await run('docker', ['logs', container]);
          return stdout + stderr;
        },
        state: () => docker(['inspect', '--format', '{{.State.Status}}', container]),
        kill: async (signal = 'SIGKILL') => void (await docker(['kill', '--signal', signal, container])),
        stop: async () => void (await docker(['rm', '--force', '--volumes', container])),
        async restart() {
          [container, published] = await create(spec);
        },
      };
      return server;
    },
    async remove() {
      await removeScenario(entry);
      ports.forEach(releasePort);
    },
  };
}

async function docker(args: string[]): Promise<string> {
  const { code, stdout, stderr } = await run('docker', args, { timeoutMs: 120_000 });
  if (code !== 0) throw new Error(`docker ${args[0]}: ${stderr}`);
  return stdout.trim();
}
