import { readFile } from 'node:fs/promises';
import { COMPOSE } from '../../docker/labels.ts';
import { Failure } from '../../kit/errors.ts';
import { PROJECT_RECORD, type ProjectRecord, RESOLVED_MODEL, readSavedFile } from '../files/project.ts';
import type { Manifest, SavedStore } from '../model.ts';
import type { Restic } from '../restic/program.ts';
import { findImages } from '../stage/images.ts';
import type { ComposeModel, StageWorld } from '../stage/model.ts';
import { freeBytes } from '../stage/space.ts';
import type { DrillObserved } from './model.ts';

/** What a set says of the project that it is of. */
export interface SavedProject {
  store: SavedStore;
  model: ComposeModel;
  record: ProjectRecord;
}

/** Throws DRILL_FAILED where the set has no such store or it cannot be read as what it should be, REPOSITORY_*. */
export async function readSavedProject(restic: Restic, { stores, set }: Manifest): Promise<SavedProject> {
  const store = stores.find(({ kind }) => kind === 'project');
  if (!store) {
    throw new Failure('DRILL_FAILED', `the set ${set} does not hold the project itself, so nothing says how its services are started`, {
      next: 'it is of chosen services only; take a whole one: composure backup list',
    });
  }
  const read = async (file: string): Promise<unknown> => {
    const text = await readSavedFile(restic, store, set, file);
    try {
      return JSON.parse(text);
    } catch {
      throw new Failure('DRILL_FAILED', `${file} of the set ${set} cannot be read`, { where: `snapshot ${store.snapshot.slice(0, 8)}` });
    }
  };
  const [model, record] = await Promise.all([read(RESOLVED_MODEL), read(PROJECT_RECORD)]);
  return { store, model: model as ComposeModel, record: record as ProjectRecord };
}

/** `fetch`: images that are not on this machine are pulled by their digest; else they are taken to be had. Throws IMAGE_UNAVAILABLE. */
export async function observeDrill(world: StageWorld, manifest: Manifest, { fetch }: { fetch: boolean }): Promise<DrillObserved> {
  const { docker } = world;
  const recorded = Object.entries(manifest.images);
  const ids = fetch
    ? await findImages(world, manifest, Object.keys(manifest.images))
    : Object.fromEntries(recorded.map(([service, { id }]) => [service, id]));
  const [version, free, containers, networks, volumes, available, ...images] = await Promise.all([
    docker.version(),
    freeBytes(docker),
    docker.listContainers([COMPOSE.project]),
    docker.listNetworks(),
    docker.listVolumes(),
    availableBytes(),
    ...Object.entries(ids).map(async ([service, id]) => [service, id, await docker.findImage(id)] as const),
  ]);
  return {
    engine: Number.parseInt(version.Version, 10),
    freeBytes: free,
    availableBytes: available,
    taken: [
      ...containers.map(({ Labels }) => Labels[COMPOSE.project] ?? ''),
      ...networks.map(({ Name }) => Name),
      ...volumes.map(({ Name }) => Name),
    ],
    images: Object.fromEntries(
      images.map(([service, id, image]) => [service, { id, volumes: Object.keys(image?.Config?.Volumes ?? {}).sort() }]),
    ),
  };
}

async function availableBytes(): Promise<number> {
  const text = await readFile('/proc/meminfo', 'utf8').catch(() => '');
  const kib = /^MemAvailable:\s+(\d+) kB/m.exec(text)?.[1];
  return kib === undefined ? Number.POSITIVE_INFINITY : Number(kib) * 1024;
}
