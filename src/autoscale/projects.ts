import { readdir, readFile, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { ContainerSummary, Docker } from '../docker/api.ts';
import { composeConfig } from '../docker/compose.ts';
import { injectedPaths } from '../docker/injected.ts';
import { COMPOSE } from '../docker/labels.ts';
import type { ComposeCall } from '../docker/release.ts';
import { Failure } from '../kit/errors.ts';
import { findProject } from '../project/find.ts';
import { mayHaveEnvFiles, textsOf } from '../project/load.ts';
import type { Project } from '../project/model.ts';
import { isHostsOwn, projectFolder } from '../state/folder.ts';
import { modelPath, type ReleaseRecord, readCurrentRelease, readReleases } from '../state/releases.ts';
import type { Identity } from './crew.ts';
import { type ScaledService, scaledServices } from './tiers.ts';

/** A project with scaled services, as far as the autoscaler needs it. */
export interface ScaledProject {
  name: string;
  compose: ComposeCall;
  /** All services, by name. */
  services: Record<string, NamedService>;
  scaled: ScaledService[];
  /** By scaled service, what the newest release says; without a release undefined. */
  released: Record<string, Identity | undefined>;
  /** Containers that only older releases name: they stand by for a rollback. */
  retired: ReadonlySet<string>;
}

/** How a service is found on networks. */
export interface NamedService {
  name: string;
  containerName?: string;
  networkMode?: string;
  reservedCpus?: number;
  /** Files inside its containers that Compose puts there when it starts them. */
  injected: string[];
  /** By the network's name in Docker: the service's further names there. */
  networks: Record<string, string[]>;
}

export interface FoundProjects {
  projects: ScaledProject[];
  /** Projects that could not be read, and why. */
  problems: { project: string; message: string }[];
}

/** Projects as they were last read, by what they were read from: asking Compose costs two processes. */
export type ProjectCache = Map<string, { from: string; project: ScaledProject | undefined }>;

/**
 * The host's projects that have scaled services and are up, that is, have a container or a network. A project with a release is what its
 * newest release says. One that plain `docker compose up` started is what the files say that Compose's labels on its containers name, read
 * when the agent starts and whenever a container of it is made. An agent with a state folder of its own is a trial or a test beside the host's
 * agent: it leaves alone what has no folder there, because two may not scale one service.
 */
export async function findProjects(docker: Docker, stateFolder: string, cache: ProjectCache): Promise<FoundProjects> {
  const [containers, networks, recorded] = await Promise.all([
    docker.listContainers([COMPOSE.project]),
    docker.listNetworks([COMPOSE.project]),
    readdir(join(stateFolder, 'projects')).catch(() => [] as string[]),
  ]);
  const nameOf = ({ Labels }: { Labels: Record<string, string> }): string => Labels[COMPOSE.project] ?? '';
  const up = new Set([...containers.map(nameOf), ...networks.map(nameOf)]);
  const withContainers = new Set(containers.map(nameOf));
  const isHosts = isHostsOwn(stateFolder);
  const names = [...up].filter((name) => recorded.includes(name) || (isHosts && withContainers.has(name))).sort();
  const found: FoundProjects = { projects: [], problems: [] };
  for (const name of names) {
    const own = containers.filter((container) => nameOf(container) === name);
    try {
      const project = await readScaled(stateFolder, name, own, cache);
      if (project) found.projects.push(project);
    } catch (error) {
      cache.delete(name);
      if (!(error instanceof Failure)) throw error;
      found.problems.push({ project: name, message: [error.message, ...error.details.slice(0, 3)].join('; ') });
    }
  }
  for (const name of cache.keys()) if (!names.includes(name)) cache.delete(name);
  return found;
}

async function readScaled(
  stateFolder: string,
  name: string,
  containers: ContainerSummary[],
  cache: ProjectCache,
): Promise<ScaledProject | undefined> {
  const release = await readCurrentRelease(stateFolder, name);
  const labels = containers[0]?.Labels ?? {};
  const origin = release ? fromRelease(stateFolder, name, release, labels) : fromLabels(labels);
  if (!origin) return undefined;
  const from = await fingerprint(origin, release);
  const before = cache.get(name);
  if (before?.from === from) return before.project;
  let project: ScaledProject | undefined;
  if (await mayScale(origin.files)) {
    const read = await readFrom(stateFolder, origin, name);
    const scaled = scaledServices(read);
    const retired = release ? await retiredContainers(stateFolder, name, release) : new Set<string>();
    if (scaled.length > 0) project = { ...shapeOf(read), scaled, released: releasedOf(scaled, release), retired };
  }
  cache.set(name, { from, project });
  return project;
}

interface Origin {
  folder: string;
  files: string[];
  envFiles: string[];
}

function fromRelease(stateFolder: string, name: string, release: ReleaseRecord, labels: Record<string, string>): Origin {
  return {
    folder: labels[COMPOSE.workingDir] || projectFolder(stateFolder, name),
    files: [modelPath(stateFolder, name, release.number)],
    envFiles: [],
  };
}

function fromLabels(labels: Record<string, string>): Origin | undefined {
  const folder = labels[COMPOSE.workingDir];
  const files = labels[COMPOSE.configFiles]?.split(',').filter(Boolean) ?? [];
  if (!folder || files.length === 0) return undefined;
  const envFiles = labels[COMPOSE.environmentFile]?.split(',').filter(Boolean) ?? [];
  return { folder, files: files.map((file) => resolve(folder, file)), envFiles };
}

async function fingerprint({ folder, files, envFiles }: Origin, release: ReleaseRecord | undefined): Promise<string> {
  const times = await Promise.all(
    [...files, ...envFiles, join(folder, '.env')].map(async (file) => {
      const found = await stat(file).catch(() => undefined);
      return found ? `${file} ${found.mtimeMs} ${found.size}` : file;
    }),
  );
  return [folder, release?.number ?? '', release?.at ?? '', ...times].join('\n');
}

/** Most projects of a host have nothing to do with this: their files are looked into before Compose is asked about them. */
async function mayScale(files: string[]): Promise<boolean> {
  const texts = await Promise.all(files.map((file) => readFile(file, 'utf8').catch(() => '')));
  return texts.some((text) => /x-autoscale|^\s*(include|extends)\s*:/m.test(text));
}

/** From the state folder, because an agent in a container does not see the project's own; every path is absolute. */
async function readFrom(stateFolder: string, { folder, files, envFiles }: Origin, name: string): Promise<Project> {
  const found = await findProject({
    cwd: stateFolder,
    files,
    projectName: name,
    projectDirectory: folder,
    environment: process.env,
  });
  found.target.args.push(...envFiles.flatMap((file) => ['--env-file', file]));
  const hasEnvFiles = mayHaveEnvFiles(await textsOf(files));
  const [{ readProject }, config] = await Promise.all([
    import('../project/read.ts'),
    composeConfig(found.target, { envFiles: hasEnvFiles }),
  ]);
  return readProject(found, config, undefined, {});
}

interface ResolvedService {
  networks?: Record<string, { aliases?: string[] } | null>;
}

function shapeOf(project: Project): Pick<ScaledProject, 'name' | 'compose' | 'services'> {
  const model = JSON.parse(project.resolved) as { services?: Record<string, ResolvedService>; [key: string]: unknown };
  return {
    name: project.name,
    compose: project.compose,
    services: Object.fromEntries(
      Object.values(project.services).map((service): [string, NamedService] => [
        service.name,
        {
          name: service.name,
          ...(service.containerName === undefined ? {} : { containerName: service.containerName }),
          ...(service.networkMode === undefined ? {} : { networkMode: service.networkMode }),
          ...(service.reservedCpus === undefined ? {} : { reservedCpus: service.reservedCpus }),
          injected: injectedPaths(model, service.name),
          networks: Object.fromEntries(
            Object.entries(model.services?.[service.name]?.networks ?? {}).map(([key, value]) => [
              project.networks[key]?.name ?? key,
              value?.aliases ?? [],
            ]),
          ),
        },
      ]),
    ),
  };
}

const releasedOf = (scaled: ScaledService[], release: ReleaseRecord | undefined): ScaledProject['released'] =>
  Object.fromEntries(
    scaled.map(({ name }) => {
      const recorded = release?.services[name];
      return [name, recorded && { configHash: recorded.configHash, imageId: recorded.imageId }];
    }),
  );

async function retiredContainers(stateFolder: string, name: string, current: ReleaseRecord): Promise<Set<string>> {
  const idsOf = (release: ReleaseRecord): string[] => Object.values(release.services).flatMap(({ containers }) => containers);
  const kept = new Set(idsOf(current));
  return new Set((await readReleases(stateFolder, name)).flatMap(idsOf).filter((id) => !kept.has(id)));
}
