import { mkdir } from 'node:fs/promises';
import type { ContainerSummary, Docker } from '../docker/api.ts';
import { EngineError } from '../docker/api.ts';
import { OURS } from '../docker/labels.ts';
import { Failure } from '../kit/errors.ts';
import { waitFor } from '../kit/wait.ts';
import { edgeFolder, edgeName } from '../state/folder.ts';
import { folderOwner } from './files.ts';
import { serves, servingGeneration } from './observe.ts';
import { INSIDE } from './render.ts';
import { runFolder } from './socket.ts';

export interface EdgeContainer {
  id: string;
  name: string;
  generation: number;
  image: string;
  state: ContainerSummary['State'];
}

/** The edge's containers, newest generation first. */
export async function listEdgeContainers(docker: Docker, folder: string): Promise<EdgeContainer[]> {
  const found = await docker.listContainers([`${OURS.edge}=${edgeName(folder)}`, OURS.generation]);
  return found
    .map((container) => ({
      id: container.Id,
      name: container.Names[0]?.replace(/^\//, '') ?? container.Id.slice(0, 12),
      generation: Number(container.Labels[OURS.generation]),
      image: container.Image,
      state: container.State,
    }))
    .sort((a, b) => b.generation - a.generation);
}

/** What the Engine API is given. Takes over the listening sockets of another generation when there is one. */
export function containerSpec(options: {
  folder: string;
  image: string;
  generation: number;
  predecessor?: number;
  owner: number;
  args?: string[];
}): object {
  const run = `${INSIDE}/run/${options.generation}`;
  const foreign = options.owner !== 0;
  return {
    Image: options.image,
    Entrypoint: ['haproxy'],
    Cmd: options.args ?? [
      '-W',
      '-db',
      ...(options.predecessor === undefined ? [] : ['-x', `${INSIDE}/run/${options.predecessor}/admin.sock`]),
      '-S',
      `${run}/master.sock,mode,600${foreign ? `,uid,${options.owner}` : ''}`,
      '-f',
      `${INSIDE}/config/haproxy.cfg`,
    ],
    User: '0',
    WorkingDir: '/',
    Env: [`GENERATION=${options.generation}`, `OWNER=${options.owner}`],
    Labels: options.args
      ? { [OURS.edge]: edgeName(options.folder) }
      : { [OURS.edge]: edgeName(options.folder), [OURS.generation]: String(options.generation) },
    // Soft stop: what is being served ends first.
    StopSignal: 'SIGUSR1',
    StopTimeout: 10,
    Healthcheck: { Test: ['NONE'] },
    HostConfig: {
      NetworkMode: 'host',
      RestartPolicy: { Name: options.args ? 'no' : 'always' },
      Binds: [`${edgeFolder(options.folder)}:${INSIDE}`],
      CapDrop: ['ALL'],
      // Low ports, leaving root, and then still telling old workers to stop. A state folder of another user needs three more to be read and to give that user the sockets.
      CapAdd: ['NET_BIND_SERVICE', 'SETUID', 'SETGID', 'KILL', ...(foreign ? ['DAC_OVERRIDE', 'CHOWN', 'FOWNER'] : [])],
      SecurityOpt: ['no-new-privileges'],
      ReadonlyRootfs: true,
      LogConfig: { Type: 'json-file', Config: { 'max-size': '10m', 'max-file': '3' } },
    },
  };
}

/** Creates a container; an image that is not on this machine is fetched first. */
async function create(docker: Docker, name: string, spec: object, image: string): Promise<string> {
  try {
    return (await docker.createContainer(name, spec)).Id;
  } catch (error) {
    if (!(error instanceof EngineError && error.status === 404)) throw error;
  }
  try {
    await docker.pullImage(image);
  } catch (error) {
    if (!(error instanceof EngineError)) throw error;
    throw new Failure('IMAGE_UNAVAILABLE', `the edge's image ${image} could not be pulled`, {
      where: image,
      details: [error.message],
      next: 'check that this machine reaches the registry, or name another image in x-composure: images: haproxy',
      cause: error,
    });
  }
  return (await docker.createContainer(name, spec)).Id;
}

/** Creates and starts one generation and waits until its worker answers; one that does not is removed again. */
export async function startGeneration(
  docker: Docker,
  options: { folder: string; image: string; generation: number; predecessor?: number },
): Promise<EdgeContainer> {
  const { folder, image, generation } = options;
  const name = `${edgeName(folder)}-${generation}`;
  const owner = await folderOwner(folder);
  await mkdir(runFolder(folder, generation), { recursive: true, mode: 0o700 });
  const id = await create(docker, name, containerSpec({ ...options, owner }), image);
  const remove = () => docker.removeContainer(id, { force: true });
  try {
    await docker.startContainer(id);
    if (await waitUntilServing(docker, folder, generation, id)) return { id, name, generation, image, state: 'running' };
    throw await startFailure(docker, name);
  } catch (error) {
    await remove();
    throw error;
  }
}

/** True once the worker answers; false when the container ended or time ran out. */
async function waitUntilServing(docker: Docker, folder: string, generation: number, id: string): Promise<boolean> {
  const up = await waitFor(
    async () => {
      if (await serves(folder, generation)) return true;
      const info = await docker.findContainer(id);
      return info && info.RestartCount === 0 && (info.State.Running || info.State.Status === 'created') ? undefined : false;
    },
    { everyMs: 25, timeoutMs: 15_000 },
  );
  return up === true;
}

async function startFailure(docker: Docker, name: string): Promise<Failure> {
  const log = await docker.logTail(name, 30);
  const telling = log.filter((line) => /ALERT|error|cannot|failed/i.test(line));
  const details = telling.length > 0 ? telling : log.slice(-5);
  const taken = details.find((line) => /Address already in use/.test(line));
  const port = taken && /\[[^\]]*:(\d+)\]/.exec(taken)?.[1];
  if (taken) {
    return new Failure('PORT_IN_USE', `the edge cannot listen${port ? ` on port ${port}` : ''}: it is in use`, {
      where: name,
      next: 'stop what listens there, or give the edge another port: x-composure: edge: httpPort',
      details,
    });
  }
  return new Failure('EDGE_FAILED', 'HAProxy did not start', { where: name, details });
}

/** Asks HAProxy whether it would take a file of the config folder: in the running edge, else (or with `fresh`) in a container of the image. */
export async function checkConfig(
  docker: Docker,
  folder: string,
  image: string,
  file: string,
  { fresh = false }: { fresh?: boolean } = {},
): Promise<{ good: boolean; lines: string[] }> {
  const args = ['-c', '-f', `${INSIDE}/config/${file}`];
  const generation = fresh ? undefined : await servingGeneration(folder);
  const running = (await listEdgeContainers(docker, folder)).find(
    (container) => container.state === 'running' && container.generation === generation,
  );
  const result = running ? await docker.exec(running.id, ['haproxy', ...args]) : await runOnce(docker, folder, image, args);
  const lines = result.output.split('\n').filter((line) => line.trim() !== '');
  return { good: result.code === 0, lines };
}

async function runOnce(docker: Docker, folder: string, image: string, args: string[]): Promise<{ code: number; output: string }> {
  const owner = await folderOwner(folder);
  const spec = containerSpec({ folder, image, generation: 0, owner, args });
  const name = `${edgeName(folder)}-check-${process.pid}-${Date.now().toString(36)}`;
  const id = await create(docker, name, spec, image);
  try {
    await docker.startContainer(id);
    const code = await waitFor(
      async () => {
        const info = await docker.inspectContainer(id);
        return info.State.Status === 'exited' || info.State.Status === 'dead' ? info.State.ExitCode : undefined;
      },
      { everyMs: 25, timeoutMs: 20_000 },
    );
    return { code: code ?? 1, output: (await docker.logTail(id, 100)).join('\n') };
  } finally {
    await docker.removeContainer(id, { force: true });
  }
}
