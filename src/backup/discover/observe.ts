import { realpath, stat } from 'node:fs/promises';
import { basename, resolve } from 'node:path';
import type { ContainerInfo, ContainerSummary, Docker, VolumeInfo } from '../../docker/api.ts';
import { COMPOSE } from '../../docker/labels.ts';
import { Failure } from '../../kit/errors.ts';
import { waitFor } from '../../kit/wait.ts';
import type { Project, Service } from '../../project/model.ts';
import { environmentOf } from '../dumps/in-container.ts';
import { DUMP_TYPES } from '../dumps/list.ts';
import { isWithin, type Mounts, mountPointOf, readMounts, unmountedAt } from '../files/mounts.ts';
import { findProjectFiles, type ProjectFiles } from '../files/project-files.ts';
import { isDatabase } from '../files/sqlite.ts';
import { walk } from '../files/walk.ts';
import type { BackupWorld, DumpType } from '../model.ts';
import { runningFirst } from './containers.ts';
import { detectDatabase, type Traits } from './detect.ts';
import { isHostPath } from './host-paths.ts';

/** What a plan is made from. It holds variables of containers: never print it whole. */
export interface Observed {
  services: Record<string, ObservedService>;
  /** By path on the host: volumes and bind mounts of the project. */
  folders: Record<string, ObservedFolder>;
  /**
   * Volumes that the same files made under another project name, where this project has none of that name, or an empty one.
   */
  strays: { key: string; wanted: string; volume: string; project: string }[];
  /** Services that have containers and are not in the project as it was read. */
  unread: string[];
  project: ProjectFiles;
}

export interface ObservedService extends Traits {
  state: ContainerInfo['State']['Status'] | 'none';
  mounts: ObservedMount[];
  /** Names for the dumps, where the service is a database that answers. */
  databases?: string[];
  /** Why there are no names. */
  fault?: string;
  /** What the backup's login may not read of the server. */
  closed?: DumpType['kind'][];
}

export interface ObservedMount {
  type: 'volume' | 'bind';
  /** Name of the volume, as the engine has it. */
  volume?: string;
  /** Its name in the compose file; undefined for an anonymous one. */
  key?: string;
  /** Path on the host; '' for a volume that does not exist yet. */
  source: string;
  target: string;
  writable: boolean;
}

export interface ObservedFolder {
  kind: 'folder' | 'file' | 'missing' | 'other';
  files: number;
  bytes: number;
  /** SQLite databases, relative; '' for a file that is one itself. */
  databases: string[];
  unmounted?: string;
  mountPoint: string;
}

/** Looks at the project's containers, volumes, bind mounts and files. Changes nothing. Throws DOCKER_UNREACHABLE. */
export async function observeStores({ project, docker, report }: BackupWorld): Promise<Observed> {
  const [summaries, fromFolder, volumes, mounts] = await Promise.all([
    docker.listContainers([`${COMPOSE.project}=${project.name}`, `${COMPOSE.oneoff}=False`]),
    docker.listContainers([`${COMPOSE.workingDir}=${project.folder}`]),
    docker.listVolumes(),
    readMounts(),
  ]);
  const services = await Promise.all(
    Object.values(project.services).map(async (service) => {
      const chosen = runningFirst(summaries.filter(({ Labels }) => Labels[COMPOSE.service] === service.name))[0];
      const container = chosen && (await docker.findContainer(chosen.Id));
      return [service.name, await observeService(docker, project, service, container, volumes, report)] as const;
    }),
  );
  const observed = Object.fromEntries(services);
  const folders: Observed['folders'] = {};
  for (const [name, { mounts: own, ...traits }] of services) {
    const service = project.services[name] as Service;
    for (const { type, source, target } of own) {
      if (source === '' || (type === 'bind' && isHostPath(source))) continue;
      const isRaw = rawPaths(service, traits).some((path) => isWithin(target, path));
      folders[source] ??= await observeFolder(source, isRaw, mounts);
    }
  }
  const unread = new Set(summaries.map(({ Labels }) => Labels[COMPOSE.service] ?? '').filter((name) => !project.services[name]));
  return {
    services: observed,
    folders,
    strays: strays(project, volumes, otherNames(project, fromFolder), folders),
    unread: [...unread].sort(),
    project: await findProjectFiles(project),
  };
}

/** Where a database's service keeps its raw files, in the container; nothing where they are to be saved as they are. Pure. */
export function rawPaths(service: Service, traits: Traits): string[] {
  const detected = detectDatabase(service, traits);
  return detected?.type.dataPaths(traits.environment) ?? [];
}

async function observeService(
  docker: Docker,
  project: Project,
  service: Service,
  container: ContainerInfo | undefined,
  volumes: readonly VolumeInfo[],
  report: BackupWorld['report'],
): Promise<ObservedService> {
  const image = await docker.findImage(container?.Image ?? service.image);
  const traits: Traits = {
    environment: container ? environmentOf(container) : { ...variables(image?.Config?.Env ?? []), ...service.environment },
    imageVolumes: Object.keys(image?.Config?.Volumes ?? {}),
  };
  const seen = { ...traits, state: container?.State.Status ?? 'none', mounts: mountsOf(project, service, container, volumes) } as const;
  const type = service.backup?.skip ? undefined : detectDatabase(service, traits)?.type;
  if (!type || !container) return seen;
  return { ...seen, ...(await listDatabases(docker, type, service.name, container, report)) };
}

/** How long a server that just started may take to answer. */
const READY_MS = 20_000;

async function listDatabases(
  docker: Docker,
  type: DumpType,
  service: string,
  container: ContainerInfo,
  report: BackupWorld['report'],
): Promise<Pick<ObservedService, 'databases' | 'fault' | 'closed'>> {
  if (container.State.Status !== 'running') return { fault: `its container is ${container.State.Status}` };
  const context = { docker, container, service, report };
  try {
    const parts = DUMP_TYPES.filter(({ server }) => server === type.kind);
    const names = async (): Promise<Pick<ObservedService, 'databases' | 'closed'>> => {
      const [databases, ...found] = await Promise.all([type.list(context), ...parts.map((part) => part.list(context))]);
      return { databases, closed: parts.filter((_, index) => found[index]?.length === 0).map(({ kind }) => kind) };
    };
    // At once, because each question takes a tenth of a second. What a server says that is still starting does not count.
    const look = async () => {
      const [isReady, said] = await Promise.all([type.ready(context), names().catch(() => undefined)]);
      return isReady ? (said ?? (await names())) : undefined;
    };
    const found = await waitFor(look, { everyMs: 500, timeoutMs: READY_MS });
    return found ?? { fault: `the server did not answer for ${READY_MS / 1000} s` };
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return { fault: [error.message, ...error.details].join(': ') };
  }
}

/** The compose file's mounts, and those that only the container has: anonymous volumes. */
function mountsOf(
  project: Project,
  service: Service,
  container: ContainerInfo | undefined,
  volumes: readonly VolumeInfo[],
): ObservedMount[] {
  const folderOf = (name: string): string => volumes.find(({ Name }) => Name === name)?.Mountpoint ?? '';
  const written = service.mounts.flatMap((mount): ObservedMount[] => {
    const { type, source, target, readOnly } = mount;
    if (type === 'bind') return [{ type, source: resolve(project.folder, source), target, writable: !readOnly }];
    if (type !== 'volume' || source === '') return [];
    const volume = project.volumes[source]?.name ?? source;
    return [{ type, volume, key: source, source: folderOf(volume), target, writable: !readOnly }];
  });
  const own = (container?.Mounts ?? []).flatMap((mount): ObservedMount[] => {
    if (mount.Type !== 'volume' || mount.Name === undefined || written.some(({ target }) => target === mount.Destination)) return [];
    return [{ type: 'volume', volume: mount.Name, source: mount.Source, target: mount.Destination, writable: mount.RW }];
  });
  return [...written, ...own];
}

async function observeFolder(path: string, isRaw: boolean, mounts: Mounts): Promise<ObservedFolder> {
  const found = await stat(path, { bigint: true }).catch(() => undefined);
  const real = await realpath(path).catch(() => path);
  const unmounted = unmountedAt(real, mounts);
  const about = { mountPoint: mountPointOf(real, mounts), ...(unmounted === undefined ? {} : { unmounted }) };
  if (!found) return { ...about, kind: 'missing', files: 0, bytes: 0, databases: [] };
  if (found.isFile()) {
    const parts = { path: Buffer.from(path.slice(path.lastIndexOf('/') + 1)), stat: found };
    const isOne = isDatabase(Buffer.from(path.slice(0, path.lastIndexOf('/'))), parts);
    return { ...about, kind: 'file', files: 1, bytes: Number(found.size), databases: isOne ? [''] : [] };
  }
  if (!found.isDirectory()) return { ...about, kind: 'other', files: 0, bytes: 0, databases: [] };
  let [files, bytes] = [0, 0];
  const databases: string[] = [];
  const root = Buffer.from(path);
  await walk(path, (entry) => {
    if (!entry.stat.isFile()) return undefined;
    files += 1;
    bytes += Number(entry.stat.size);
    // Of a database's own files nothing counts but that there are some.
    if (isRaw) return 'stop';
    // A name that is no UTF-8 cannot be given to SQLite; such a file is saved as it is.
    if (isDatabase(root, entry) && Buffer.from(entry.path.toString('utf8')).equals(entry.path)) databases.push(entry.path.toString('utf8'));
    return undefined;
  });
  return { ...about, kind: 'folder', files, bytes, databases: databases.sort() };
}

function strays(
  project: Project,
  volumes: readonly VolumeInfo[],
  others: ReadonlySet<string>,
  folders: Observed['folders'],
): Observed['strays'] {
  return Object.entries(project.volumes).flatMap(([key, { name, external }]) => {
    const own = volumes.find(({ Name }) => Name === name);
    if (external || (own && (folders[own.Mountpoint]?.files ?? 1) > 0)) return [];
    return volumes.flatMap(({ Name, Labels }) => {
      const other = Labels?.[COMPOSE.project] ?? '';
      return Labels?.['com.docker.compose.volume'] === key && others.has(other)
        ? [{ key, wanted: name, volume: Name, project: other }]
        : [];
    });
  });
}

/** Other names that the project went by: those of containers made from its folder, and the one that Compose takes from the folder's own. */
function otherNames({ name, folder }: Project, fromFolder: readonly ContainerSummary[]): Set<string> {
  const names = new Set(fromFolder.map(({ Labels }) => Labels[COMPOSE.project] ?? ''));
  names.add(
    basename(folder)
      .toLowerCase()
      .replace(/[^a-z0-9_-]/g, '')
      .replace(/^[_-]+/, ''),
  );
  names.delete(name);
  return names;
}

const variables = (lines: readonly string[]): Record<string, string> =>
  Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]));
