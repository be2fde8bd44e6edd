import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { Failure } from '../kit/errors.ts';
import { type Attached, attach } from './attach.ts';

// An import would read every export of node:http, and one of them loads a second HTTP client: 15 ms of every command.
const { request: httpRequest } = process.getBuiltinModule('node:http');

/** The Engine API version we speak; Engine 25 and newer accept it. */
const API = '/v1.44';

/** An answer of the engine that says no. */
export class EngineError extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.name = 'EngineError';
    this.status = status;
  }
}

export interface ContainerSummary {
  Id: string;
  Names: string[];
  Image: string;
  ImageID: string;
  State: 'created' | 'running' | 'paused' | 'restarting' | 'removing' | 'exited' | 'dead';
  Status: string;
  Created: number;
  Labels: Record<string, string>;
  Ports?: { IP?: string; PrivatePort: number; PublicPort?: number; Type: string }[];
  NetworkSettings?: { Networks: Record<string, EndpointInfo> };
  /** Of a volume without its source. */
  Mounts?: { Type: string; Name?: string; Source?: string; Destination: string }[];
}

export interface EndpointInfo {
  IPAddress: string;
  NetworkID: string;
  IPAMConfig?: { IPv4Address?: string } | null;
  /** Only in what `inspectContainer` answers. */
  Aliases?: string[] | null;
}

export interface ContainerStats {
  read: string;
  /** `total_usage` in nanoseconds. */
  cpu_stats: { cpu_usage: { total_usage: number } };
  memory_stats: { usage?: number; stats?: Record<string, number> };
}

export interface HealthLogEntry {
  Start: string;
  End: string;
  ExitCode: number;
  Output: string;
}

export interface ContainerInfo {
  Id: string;
  Name: string;
  Created: string;
  Image: string;
  RestartCount: number;
  State: {
    Status: ContainerSummary['State'];
    Running: boolean;
    Paused: boolean;
    Restarting: boolean;
    OOMKilled: boolean;
    ExitCode: number;
    Error: string;
    Pid: number;
    StartedAt: string;
    FinishedAt: string;
    Health?: { Status: 'none' | 'starting' | 'healthy' | 'unhealthy'; FailingStreak: number; Log: HealthLogEntry[] | null };
  };
  Config: {
    Hostname?: string;
    Image: string;
    Labels: Record<string, string>;
    Env: string[] | null;
    Entrypoint?: string[] | null;
    Cmd?: string[] | null;
    Volumes?: Record<string, object> | null;
    StopSignal?: string;
    StopTimeout?: number | null;
    ExposedPorts?: Record<string, object>;
    Healthcheck?: { Test?: string[]; Interval?: number; Timeout?: number; Retries?: number; StartPeriod?: number; StartInterval?: number };
  };
  HostConfig: {
    NetworkMode: string;
    RestartPolicy: { Name: string; MaximumRetryCount: number };
    PortBindings: Record<string, { HostIp: string; HostPort: string }[] | null> | null;
    Memory: number;
    NanoCpus: number;
  };
  NetworkSettings: { Networks: Record<string, EndpointInfo>; Ports: Record<string, { HostIp: string; HostPort: string }[] | null> | null };
  Mounts: { Type: string; Name?: string; Source: string; Destination: string; RW: boolean }[];
}

export interface NetworkInfo {
  Id: string;
  Name: string;
  Driver: string;
  Internal: boolean;
  Labels: Record<string, string>;
  IPAM: { Config: { Subnet?: string; Gateway?: string }[] | null };
  Containers?: Record<string, { Name: string; IPv4Address: string }>;
}

export interface ImageInfo {
  Id: string;
  RepoTags: string[] | null;
  RepoDigests: string[] | null;
  Config: {
    ExposedPorts?: Record<string, object>;
    User?: string;
    Labels?: Record<string, string> | null;
    Env?: string[] | null;
    Volumes?: Record<string, object> | null;
    Healthcheck?: { Test?: string[] };
  } | null;
}

export interface VolumeInfo {
  Name: string;
  Driver: string;
  Mountpoint: string;
  Labels: Record<string, string> | null;
  Options: Record<string, string> | null;
}

export interface DockerEvent {
  Type: string;
  Action: string;
  Actor: { ID: string; Attributes: Record<string, string> };
  time: number;
  timeNano: number;
}

export interface ExecResult {
  code: number;
  output: string;
}

/** Where the engine listens: DOCKER_HOST, or the default socket. Remote engines are reached over their own machine's CLI, not from here. */
export function engineSocket(env: NodeJS.ProcessEnv = process.env): string {
  const host = env.DOCKER_HOST;
  if (!host) return '/var/run/docker.sock';
  if (host.startsWith('unix://')) return host.slice('unix://'.length);
  throw new Failure('DOCKER_UNREACHABLE', `DOCKER_HOST is ${host}: only unix:// sockets are supported`, {
    where: 'DOCKER_HOST',
    next: 'run composure on the server itself, for example: ssh SERVER composure deploy',
  });
}

export type Docker = ReturnType<typeof openDocker>;

/**
 * A thin typed client of the Engine API over its unix socket. One function per call that Composure makes, no decisions.
 * Every function may throw EngineError (the engine said no) or Failure DOCKER_UNREACHABLE.
 */
export function openDocker(socketPath: string = engineSocket()) {
  function call(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const payload = body === undefined ? undefined : JSON.stringify(body);
      const request = httpRequest(
        {
          socketPath,
          method,
          path: API + path,
          headers: payload === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(payload) },
          ...(signal ? { signal } : {}),
        },
        resolve,
      );
      request.on('error', (error: NodeJS.ErrnoException) => reject(unreachable(error, socketPath)));
      request.end(payload);
    });
  }

  /** The connection itself, once the engine has switched it to raw streams. */
  function hijack(path: string, body: object): Promise<{ socket: Socket; head: Buffer }> {
    return new Promise((resolve, reject) => {
      const payload = JSON.stringify(body);
      const request = httpRequest(
        {
          socketPath,
          method: 'POST',
          path: API + path,
          headers: {
            'content-type': 'application/json',
            'content-length': Buffer.byteLength(payload),
            connection: 'Upgrade',
            upgrade: 'tcp',
          },
        },
        (response) => {
          read(response).then((content) => reject(new EngineError(response.statusCode ?? 500, content.toString('utf8'))), reject);
        },
      );
      request.on('upgrade', (_response, socket, head) => resolve({ socket: socket as Socket, head }));
      request.on('error', (error: NodeJS.ErrnoException) => reject(unreachable(error, socketPath)));
      request.end(payload);
    });
  }

  async function read(response: IncomingMessage): Promise<Buffer> {
    const chunks: Buffer[] = [];
    for await (const chunk of response) chunks.push(chunk as Buffer);
    return Buffer.concat(chunks);
  }

  async function bytes(method: string, path: string, body?: unknown): Promise<Buffer> {
    const response = await call(method, path, body);
    const content = await read(response);
    const status = response.statusCode ?? 500;
    if (status >= 400) {
      let message = content.toString('utf8');
      try {
        message = (JSON.parse(message) as { message: string }).message;
      } catch {}
      throw new EngineError(status, message);
    }
    return content;
  }

  async function json<T>(method: string, path: string, body?: unknown): Promise<T> {
    const content = await bytes(method, path, body);
    return (content.length ? JSON.parse(content.toString('utf8')) : undefined) as T;
  }

  const id = encodeURIComponent;

  return {
    socketPath,

    version: () => json<{ Version: string; ApiVersion: string; Os: string; Arch: string }>('GET', '/version'),

    info: () =>
      json<{ NCPU: number; MemTotal: number; Driver: string; DockerRootDir: string; LiveRestoreEnabled: boolean }>('GET', '/info'),

    /** Containers in any state that carry all the given labels ("key" or "key=value"). */
    listContainers: (labels: string[] = []) =>
      json<ContainerSummary[]>('GET', `/containers/json?all=1&filters=${id(JSON.stringify(labels.length ? { label: labels } : {}))}`),

    inspectContainer: (container: string) => json<ContainerInfo>('GET', `/containers/${id(container)}/json`),

    /** The container's facts, or undefined when it is gone. */
    findContainer: (container: string) => orUndefined(json<ContainerInfo>('GET', `/containers/${id(container)}/json`)),

    createContainer: (name: string, spec: object) => json<{ Id: string }>('POST', `/containers/create?name=${id(name)}`, spec),

    /** Starting a running container changes nothing. */
    startContainer: (container: string) => json<void>('POST', `/containers/${id(container)}/start`),

    /** Sends the container's own stop signal, waits up to its grace (or the given seconds), then kills. A stopped one is left alone. */
    stopContainer: (container: string, graceSeconds?: number) =>
      json<void>('POST', `/containers/${id(container)}/stop${graceSeconds === undefined ? '' : `?t=${graceSeconds}`}`),

    /** Any use switches the container's restart policy off until it is started again: never for reloads. */
    killContainer: (container: string, signal: string) => json<void>('POST', `/containers/${id(container)}/kill?signal=${id(signal)}`),

    setRestartPolicy: (container: string, name: 'no' | 'always' | 'unless-stopped') =>
      json<unknown>('POST', `/containers/${id(container)}/update`, { RestartPolicy: { Name: name } }),

    /** Removes the container and its anonymous volumes; one that is gone already is fine. */
    removeContainer: async (container: string, { force = false }: { force?: boolean } = {}) => {
      try {
        await json<void>('DELETE', `/containers/${id(container)}?v=1${force ? '&force=1' : ''}`);
      } catch (error) {
        if (
          !(error instanceof EngineError && (error.status === 404 || (error.status === 409 && /already in progress/.test(error.message))))
        )
          throw error;
      }
    },

    renameContainer: (container: string, name: string) => json<void>('POST', `/containers/${id(container)}/rename?name=${id(name)}`),

    /** Freezes all processes of a running container by the kernel's freezer; sockets stay open and what arrives waits in them. */
    pauseContainer: (container: string) => json<void>('POST', `/containers/${id(container)}/pause`),

    unpauseContainer: (container: string) => json<void>('POST', `/containers/${id(container)}/unpause`),

    /** What a running container uses at this moment. CPU time is a counter since its start: a rate takes two samples. */
    containerStats: (container: string) => json<ContainerStats>('GET', `/containers/${id(container)}/stats?stream=false&one-shot=true`),

    /** The processes of a running container, with their ids on the host and their titles. */
    processes: async (container: string): Promise<{ pid: string; title: string }[]> => {
      const { Titles, Processes } = await json<{ Titles: string[]; Processes: string[][] | null }>(
        'GET',
        `/containers/${id(container)}/top`,
      );
      const [pid, title] = [Titles.indexOf('PID'), Titles.findIndex((name) => name === 'CMD' || name === 'COMMAND')];
      return (Processes ?? []).map((row) => ({ pid: row[pid] ?? '', title: row[title] ?? '' }));
    },

    /** The last lines a container wrote, oldest first. */
    logTail: async (container: string, lines: number): Promise<string[]> => {
      const content = await bytes('GET', `/containers/${id(container)}/logs?stdout=1&stderr=1&tail=${lines}`);
      return demultiplex(content)
        .split('\n')
        .filter((line) => line !== '');
    },

    /** Runs a command inside a running container and waits for it. */
    exec: async (
      container: string,
      command: string[],
      options: { user?: string; env?: string[]; workingDir?: string; privileged?: boolean } = {},
    ): Promise<ExecResult> => {
      const { Id } = await json<{ Id: string }>('POST', `/containers/${id(container)}/exec`, {
        AttachStdout: true,
        AttachStderr: true,
        Cmd: command,
        ...(options.user ? { User: options.user } : {}),
        ...(options.env ? { Env: options.env } : {}),
        ...(options.workingDir ? { WorkingDir: options.workingDir } : {}),
        ...(options.privileged ? { Privileged: true } : {}),
      });
      const output = demultiplex(await bytes('POST', `/exec/${Id}/start`, { Detach: false, Tty: false }));
      const { ExitCode } = await json<{ ExitCode: number | null }>('GET', `/exec/${Id}/json`);
      return { code: ExitCode ?? 1, output };
    },

    /**
     * Runs a command inside a running container with its streams attached, for output too large to be kept and for input. `env` is not seen in
     * the container's own processes' arguments. The command goes on when nobody reads.
     */
    execAttached: async (
      container: string,
      command: string[],
      options: { user?: string; env?: string[]; stdin?: boolean } = {},
    ): Promise<Attached> => {
      const { Id } = await json<{ Id: string }>('POST', `/containers/${id(container)}/exec`, {
        AttachStdin: options.stdin ?? false,
        AttachStdout: true,
        AttachStderr: true,
        Cmd: command,
        ...(options.user ? { User: options.user } : {}),
        ...(options.env ? { Env: options.env } : {}),
      });
      return attach(await hijack(`/exec/${Id}/start`, { Detach: false, Tty: false }), async () => {
        const { ExitCode, Running } = await json<{ ExitCode: number | null; Running: boolean }>('GET', `/exec/${Id}/json`);
        return Running ? undefined : (ExitCode ?? undefined);
      });
    },

    /** A volume's facts, or undefined when there is none of that name. */
    findVolume: (volume: string) => orUndefined(json<VolumeInfo>('GET', `/volumes/${id(volume)}`)),

    createVolume: (name: string, labels: Record<string, string>) =>
      json<VolumeInfo>('POST', '/volumes/create', { Name: name, Labels: labels }),

    /** Refused (409) while a container has it, running or not. One that is gone already is fine. */
    removeVolume: async (volume: string) => {
      await orUndefined(json<void>('DELETE', `/volumes/${id(volume)}`));
    },

    listVolumes: async (): Promise<VolumeInfo[]> => (await json<{ Volumes: VolumeInfo[] | null }>('GET', '/volumes')).Volumes ?? [],

    /** Copies a tar archive into a container's folder. */
    putArchive: (container: string, folder: string, archive: Buffer) =>
      new Promise<void>((resolve, reject) => {
        const request = httpRequest(
          {
            socketPath,
            method: 'PUT',
            path: `${API}/containers/${id(container)}/archive?path=${id(folder)}`,
            headers: { 'content-type': 'application/x-tar', 'content-length': archive.length },
          },
          (response) => {
            read(response).then(
              (content) =>
                (response.statusCode ?? 500) < 400 ? resolve() : reject(new EngineError(response.statusCode ?? 500, content.toString())),
              reject,
            );
          },
        );
        request.on('error', (error: NodeJS.ErrnoException) => reject(unreachable(error, socketPath)));
        request.end(archive);
      }),

    /** A file or folder of a container, as a tar archive. */
    getArchive: (container: string, path: string) => bytes('GET', `/containers/${id(container)}/archive?path=${id(path)}`),

    listNetworks: (labels: string[] = []) =>
      json<NetworkInfo[]>('GET', `/networks?filters=${id(JSON.stringify(labels.length ? { label: labels } : {}))}`),

    findNetwork: (network: string) => orUndefined(json<NetworkInfo>('GET', `/networks/${id(network)}`)),

    createNetwork: (spec: object) => json<{ Id: string }>('POST', '/networks/create', spec),

    removeNetwork: async (network: string) => {
      await orUndefined(json<void>('DELETE', `/networks/${id(network)}`));
    },

    /** Joins a container, running or not, to a network under a fixed address. */
    connectNetwork: (network: string, container: string, address?: string) =>
      json<void>('POST', `/networks/${id(network)}/connect`, {
        Container: container,
        EndpointConfig: address ? { IPAMConfig: { IPv4Address: address } } : {},
      }),

    disconnectNetwork: (network: string, container: string) =>
      json<void>('POST', `/networks/${id(network)}/disconnect`, { Container: container, Force: true }),

    findImage: (image: string) => orUndefined(json<ImageInfo>('GET', `/images/${id(image)}/json`)),

    /** Fetches an image from its registry and waits for it. Throws EngineError with the registry's words. */
    pullImage: async (image: string): Promise<void> => {
      const tagged = /[:@][^/]*$/.test(image) ? image : `${image}:latest`;
      const content = await bytes('POST', `/images/create?fromImage=${id(tagged)}`);
      const failed = content
        .toString('utf8')
        .split('\n')
        .find((line) => line.includes('"error"'));
      if (failed) throw new EngineError(500, (JSON.parse(failed) as { error: string }).error);
    },

    /** Removes a name of an image, and the image with its last one. Refused (409) while a container uses it. */
    removeImage: (image: string) => json<unknown>('DELETE', `/images/${id(image)}`),

    tagImage: (image: string, repository: string, tag: string) =>
      json<void>('POST', `/images/${id(image)}/tag?repo=${id(repository)}&tag=${id(tag)}`),

    /** What the engine still knows of the time between (ms since 1970): its last 256 events, of whatever kind. */
    async pastEvents(filters: Record<string, string[]>, sinceMs: number, untilMs: number): Promise<DockerEvent[]> {
      const seconds = (ms: number): string => (ms / 1000).toFixed(3);
      const query = `since=${seconds(sinceMs)}&until=${seconds(untilMs)}&filters=${id(JSON.stringify(filters))}`;
      const lines = (await bytes('GET', `/events?${query}`)).toString('utf8').split('\n');
      return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as DockerEvent);
    },

    /** Engine events from now on, until the signal aborts or the engine goes away (then the iteration ends). */
    async *events(filters: Record<string, string[]>, signal: AbortSignal): AsyncGenerator<DockerEvent> {
      const response = await call('GET', `/events?filters=${id(JSON.stringify(filters))}`, undefined, signal);
      let rest = '';
      response.setEncoding('utf8');
      for await (const text of response) {
        const lines = (rest + (text as string)).split('\n');
        rest = lines.pop() ?? '';
        for (const line of lines) if (line) yield JSON.parse(line) as DockerEvent;
      }
    },
  };
}

async function orUndefined<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof EngineError && error.status === 404) return undefined;
    throw error;
  }
}

/** The engine frames output of containers without a terminal: 1 byte stream, 3 zero, 4 length (big endian), payload. */
function demultiplex(content: Buffer): string {
  const parts: string[] = [];
  let offset = 0;
  while (offset + 8 <= content.length) {
    const stream = content[offset];
    if ((stream !== 0 && stream !== 1 && stream !== 2) || content[offset + 1] !== 0) return content.toString('utf8');
    const length = content.readUInt32BE(offset + 4);
    parts.push(content.toString('utf8', offset + 8, offset + 8 + length));
    offset += 8 + length;
  }
  return parts.join('');
}

function unreachable(error: NodeJS.ErrnoException, socketPath: string): Error {
  if (error.name === 'AbortError') return error;
  if (error.code === 'ENOENT' || error.code === 'ECONNREFUSED' || error.code === 'EACCES') {
    return new Failure('DOCKER_UNREACHABLE', `the Docker engine does not answer (${error.code})`, {
      where: `unix://${socketPath}`,
      next:
        error.code === 'EACCES'
          ? 'run as root or as a member of the docker group'
          : 'install Docker Engine (https://docs.docker.com/engine/install/) or start it: systemctl start docker',
      cause: error,
    });
  }
  return error;
}
