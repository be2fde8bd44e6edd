import { createHash } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { readCurrentRelease } from '../../state/releases.ts';
import { observeImages } from '../discover/images.ts';
import { observeStores } from '../discover/observe.ts';
import { planBackup } from '../discover/plan.ts';
import { storeId } from '../discover/store-id.ts';
import type { BackupWorld, PlannedStore } from '../model.ts';
import type { Restic } from '../restic/program.ts';
import { newSetId, saveSet } from '../run/save-set.ts';
import type { Place, Spot, Unit } from './model.ts';

/** What is to be saved before it is replaced. */
export interface SafetyPlan {
  project: PlannedStore[];
  /** Saved while the services run. */
  alive: PlannedStore[];
  /** Raw files of servers that do not answer: saved once they stand still. */
  still: PlannedStore[];
}

export async function planSafety(world: BackupWorld, units: readonly Unit[]): Promise<SafetyPlan> {
  const { stores } = planBackup(world.project, await observeStores(world));
  const folders = await foldersOf(world, units);
  return chooseSafety(stores, units, folders);
}

/** Where each place's content lies on this host; places that hold nothing are left out. */
async function foldersOf({ docker }: BackupWorld, units: readonly Unit[]): Promise<Map<Place, string>> {
  const found = new Map<Place, string>();
  for (const place of units.flatMap(({ places }) => places)) {
    if (!place.live) continue;
    const folder = 'volume' in place.live ? (await docker.findVolume(place.live.volume))?.Mountpoint : place.live.folder;
    if (folder !== undefined && (await readdir(folder).catch(() => [])).length > 0) found.set(place, folder);
  }
  return found;
}

/** Pure. */
export function chooseSafety(planned: readonly PlannedStore[], units: readonly Unit[], folders: ReadonlyMap<Place, string>): SafetyPlan {
  const alive: PlannedStore[] = [];
  const still: PlannedStore[] = [];
  for (const unit of units) {
    const filled = unit.places.filter((place) => folders.has(place));
    const own = planned.filter((store) =>
      'folder' in store
        ? unit.kind === 'files' && unit.places.some(({ live }) => isAt(store, live))
        : unit.kind === 'database' && store.service === unit.service,
    );
    if (filled.length === 0) continue;
    if (unit.kind === 'database' && unit.answers === false) still.push(...filled.map((place) => rawStore(place, folders.get(place) ?? '')));
    // A folder that lost its files is no reason to refuse their restore.
    else if (own.length > 0) alive.push(...own.map((store) => ('mayBeEmpty' in store ? { ...store, mayBeEmpty: true } : store)));
    else alive.push(...filled.map((place) => rawStore(place, folders.get(place) ?? '')));
  }
  return { project: planned.filter(({ kind }) => kind === 'project'), alive, still };
}

const isAt = ({ folder, volume }: { folder: string; volume?: string }, live: Spot | undefined): boolean =>
  live !== undefined && ('volume' in live ? volume === live.volume : volume === undefined && folder === live.folder);

function rawStore({ service, target, live }: Place, folder: string): PlannedStore {
  const volume = live && 'volume' in live ? live.volume : undefined;
  const name = volume ?? target;
  return {
    id: storeId(service, 'files', name),
    kind: 'files',
    service,
    name,
    why: 'it is about to be replaced',
    folder,
    ...(volume === undefined ? {} : { volume }),
    target,
    exclude: [],
    consistency: 'none',
    users: [],
    mayBeEmpty: true,
  };
}

/** Saves these stores as a set that is marked as one made before a restore, and answers its id; undefined when there is nothing to save. */
export async function saveSafety(
  world: BackupWorld,
  restic: Restic,
  scratch: string,
  { project, ...parts }: SafetyPlan,
  which: 'alive' | 'still',
): Promise<string | undefined> {
  const stores = parts[which];
  if (stores.length === 0) return undefined;
  const set = newSetId(new Date());
  const [images, release] = await Promise.all([
    observeImages(world.docker, world.project),
    readCurrentRelease(world.stateFolder, world.project.name),
  ]);
  await saveSet(which === 'still' ? withoutHooks(world) : world, restic, {
    set,
    stores: [...project, ...stores],
    scratch,
    safety: true,
    about: {
      ...(release === undefined ? {} : { release: release.number }),
      images,
      composeHash: createHash('sha256').update(world.project.resolved).digest('hex'),
      only: [...new Set(stores.map(({ service }) => service))].sort(),
    },
  });
  return set;
}

/** Nothing runs then that a `pre` or `post` command could run in. */
function withoutHooks(world: BackupWorld): BackupWorld {
  const services = Object.entries(world.project.services).map(([name, service]) => {
    if (!service.backup) return [name, service] as const;
    const { pre: _pre, post: _post, ...backup } = service.backup;
    return [name, { ...service, backup }] as const;
  });
  return { ...world, project: { ...world.project, services: Object.fromEntries(services) } };
}
