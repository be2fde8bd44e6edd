import { stat } from 'node:fs/promises';
import { totalmem } from 'node:os';
import type { ContainerInfo, Docker } from '../docker/api.ts';
import { COMPOSE } from '../docker/labels.ts';
import type { Edge } from '../edge/model.ts';
import { publishersOf, temporaryPorts } from '../edge/takeover.ts';
import { canRedirect } from '../edge/takeover-redirect.ts';
import type { Project, Service } from '../project/model.ts';
import { agentLockPath } from '../state/agent.ts';
import { readLock } from '../state/lock.ts';
import { readReleases } from '../state/releases.ts';
import { readWorkerMarks } from '../state/workers.ts';
import { listProjectContainers, nameOf, numberOf, serviceOf } from './containers.ts';
import { readInspected } from './inspect.ts';
import type { Observed, ObservedContainer, ObservedImage } from './model.ts';
import { edgePorts } from './plan-edge.ts';

/** Reads the world once, without deciding anything. */
export async function observe(project: Project, docker: Docker, edge: Edge, stateFolder: string): Promise<Observed> {
  const [listed, releases, state, running, everything, inspected, marks, agent] = await Promise.all([
    listProjectContainers(docker, project.name),
    readReleases(stateFolder, project.name),
    edge.read(),
    edge.isRunning(),
    docker.listContainers(),
    readInspected(stateFolder, project.name),
    readWorkerMarks(stateFolder, project.name),
    readLock(agentLockPath(stateFolder)),
  ]);
  const infos = (await Promise.all(listed.map(({ Id }) => docker.findContainer(Id)))).flatMap((container) => container ?? []);
  const images: Record<string, ObservedImage> = {};
  const contentChangedMs: Record<string, number> = {};
  await Promise.all(
    Object.values(project.services).map(async (service) => {
      const image = await observeImage(docker, service);
      if (image) images[service.name] = image;
      contentChangedMs[service.name] = await newestChange(service.contentFiles);
    }),
  );
  const publishers = publishersOf(everything.filter(({ State }) => State === 'running'));
  const wanted = edgePorts(project, state.settings).filter((port) => publishers.some((publisher) => publisher.port === port));
  return {
    // What a failed release left to be looked at serves nothing and is cleared away by the next one.
    containers: infos.map(describeContainer).filter(({ id }) => !inspected?.containers.includes(id)),
    images,
    releases,
    edge: { settings: state.settings, ...(state.projects[project.name] ? { project: state.projects[project.name] } : {}), running },
    contentChangedMs,
    hostMemoryBytes: totalmem(),
    publishers,
    redirect: wanted.length > 0 ? await canRedirect() : { can: true, warnings: [] },
    temporaryPorts: await temporaryPorts(wanted),
    agent: agent !== undefined,
    draining: [...marks].flatMap(([id, mark]) => (mark.kind === 'draining' && mark.signalled ? [id] : [])),
  };
}

async function observeImage(docker: Docker, service: Service): Promise<ObservedImage | undefined> {
  const image = await docker.findImage(service.image);
  if (!image) return undefined;
  return {
    id: image.Id,
    ...(image.RepoDigests?.[0] ? { digest: image.RepoDigests[0] } : {}),
    exposesPorts: Object.keys(image.Config?.ExposedPorts ?? {}).length > 0,
  };
}

async function newestChange(files: string[]): Promise<number> {
  const times = await Promise.all(
    files.map((file) =>
      stat(file).then(
        ({ mtimeMs }) => mtimeMs,
        () => 0,
      ),
    ),
  );
  return Math.max(0, ...times);
}

export function describeContainer(info: ContainerInfo): ObservedContainer {
  const labels = info.Config.Labels;
  const bindings = Object.entries(info.HostConfig.PortBindings ?? {}).flatMap(([port, hosts]) =>
    port.endsWith('/tcp') ? (hosts ?? []) : [],
  );
  return {
    id: info.Id,
    name: nameOf(info),
    service: serviceOf(labels),
    number: numberOf(labels),
    state: info.State.Status,
    health: info.State.Health?.Status ?? 'none',
    configHash: labels[COMPOSE.configHash] ?? '',
    imageId: info.Image,
    createdMs: Date.parse(info.Created),
    restartCount: info.RestartCount,
    exitCode: info.State.ExitCode,
    hostPorts: bindings.flatMap(({ HostPort }) => Number(HostPort) || []),
  };
}
