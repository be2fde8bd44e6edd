import { Failure } from '../../kit/errors.ts';
import { folderFacts } from '../files/facts.ts';
import { databaseFacts } from '../files/sqlite.ts';
import type { Manifest, SavedStore } from '../model.ts';
import type { Restic } from '../restic/program.ts';
import { differences } from './compare.ts';
import { inStep, isDump, loadDumps } from './load-dumps.ts';
import type { Staged, StageTargets, StageWorld } from './model.ts';
import { requireEmpty, restoreFiles } from './restore-files.ts';
import { placeOf } from './scratch-mounts.ts';
import { planServers, removeServers, startServers } from './servers.ts';
import { requireSpace } from './space.ts';

/**
 * Puts stores of a set into fresh places: folders by restic, databases by a server of the service's own image and environment that loads the
 * dump, is counted and stops. Stores of kind `project` are left out. A difference to the manifest is no error here: the caller decides.
 * Throws RESTORE_FAILED, DISK_FULL, REPOSITORY_*; the targets are then partly filled, the servers gone.
 */
export async function stageStores(
  world: StageWorld,
  restic: Restic,
  manifest: Manifest,
  stores: readonly SavedStore[],
  targets: StageTargets,
): Promise<Staged[]> {
  await requireSpace(world.docker, stores);
  const places = new Map<SavedStore, string>();
  for (const store of stores.filter(({ kind }) => kind === 'files' || kind === 'sqlite'))
    places.set(store, await placeOfStore(world, manifest, store, targets));
  for (const [store, folder] of places) await requireEmpty(folder, store.id);
  const dumps = stores.filter(isDump);
  if (dumps.length === 0) return stageFolders(world, restic, places);
  const servers = await planServers(world, dumps, targets);
  const isShared = [...places.keys()].some(({ origin }) => servers.volumes.includes(targets.volumes[origin?.volume ?? ''] ?? ''));
  try {
    // A server makes its empty database while files are written, unless they are in its own volume.
    const files = stageFolders(world, restic, places);
    if (isShared) await files;
    const [staged, containers] = await both(files, startServers(world, servers, targets));
    for (const service of servers.services) {
      const own = dumps.filter((store) => store.service === service);
      staged.push(...(await loadDumps(world, restic, own, containers.get(service) ?? '')));
    }
    return staged;
  } finally {
    await removeServers(world, targets);
  }
}

/** Both results; a failure of one is told when the other has ended too, so that nothing goes on behind the caller. */
async function both<A, B>(one: Promise<A>, other: Promise<B>): Promise<[A, B]> {
  await Promise.allSettled([one, other]);
  return Promise.all([one, other]);
}

async function placeOfStore(
  { docker }: StageWorld,
  { set }: Manifest,
  store: SavedStore,
  { volumes, folders }: StageTargets,
): Promise<string> {
  const { volume, folder = '' } = store.origin ?? {};
  if (volume === undefined) {
    const place = placeOf(folder, folders);
    if (place !== undefined) return place;
  } else {
    const found = await docker.findVolume(volumes[volume] ?? '');
    if (found) return found.Mountpoint;
  }
  throw new Failure('RESTORE_FAILED', `${store.id}: there is no place for ${volume ?? folder}`, { where: `set ${set}` });
}

/** Whole folders first: their listing is compared before a database is put into one of them. */
async function stageFolders(world: StageWorld, restic: Restic, places: ReadonlyMap<SavedStore, string>): Promise<Staged[]> {
  const staged: Staged[] = [];
  for (const kind of ['files', 'sqlite'] as const) {
    for (const [store, folder] of places) {
      if (store.kind !== kind) continue;
      staged.push(
        await inStep(world, store, async () => {
          await restoreFiles(restic, store, folder, world);
          if (store.facts === undefined) return [];
          return differences(store.facts, kind === 'sqlite' ? await databaseFacts(folder, store.id) : await folderFacts(folder));
        }),
      );
    }
  }
  return staged;
}
