import { lstat, mkdir, mkdtemp, readdir, realpath, rename, rm, stat, statfs, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { formatBytes } from '../../kit/amounts.ts';
import { atOnce } from '../../kit/at-once.ts';
import { Failure } from '../../kit/errors.ts';
import { storageFailure } from '../../kit/files.ts';
import { requireLength } from '../export/archive.ts';
import { isFolder, placeOf } from '../export/place.ts';
import { exportReadme } from '../export/readme.ts';
import { isWithin } from '../files/mounts.ts';
import type { Manifest, SavedStore } from '../model.ts';
import { resticFailure } from '../restic/outcome.ts';
import type { Restic } from '../restic/program.ts';
import type { StageWorld } from '../stage/model.ts';
import { restoreFiles, restoreSnapshot, takeOrigin } from '../stage/restore-files.ts';
import { unknownStore } from './units.ts';

/** The stores that are meant by names: a store's id, a service, a volume, a path; all where nothing is named. Throws STORE_UNKNOWN. Pure. */
export function chooseStores(manifest: Manifest, only: readonly string[]): SavedStore[] {
  if (only.length === 0) return manifest.stores;
  const names = ({ id, service, name, origin }: SavedStore): string[] => [
    id,
    service,
    ...(origin ? [name, origin.folder, origin.target, ...(origin.volume === undefined ? [] : [origin.volume])] : []),
  ];
  const unknown = only.find((name) => !manifest.stores.some((store) => names(store).includes(name)));
  if (unknown !== undefined) throw unknownStore(unknown, manifest);
  return manifest.stores.filter((store) => names(store).some((name) => only.includes(name)));
}

/** Refuses a folder in which something is: nothing of it is written over. Throws RESTORE_REFUSED, DISK_FULL. */
export async function requireTarget(folder: string, stores: readonly SavedStore[]): Promise<void> {
  const found = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    if (error.code !== 'ENOTDIR') throw storageFailure(error, folder);
    throw new Failure('RESTORE_REFUSED', `${folder} is no folder`, { where: folder, next: 'name a folder that is new or empty' });
  });
  if (found.length > 0) {
    throw new Failure('RESTORE_REFUSED', `the folder ${folder} is not empty`, {
      where: folder,
      details: found.slice(0, 5),
      next: 'name a folder that is new or empty: nothing in it is written over',
    });
  }
  const bytes = stores.reduce((sum, store) => sum + store.bytes, 0);
  const { bavail, bsize } = await statfs(await existing(folder));
  if (bytes <= bavail * bsize) return;
  throw new Failure('DISK_FULL', `what is to be written has ${formatBytes(bytes)}, and ${formatBytes(bavail * bsize)} are free`, {
    where: folder,
    next: 'name a folder on a larger disk, or restore less: --only NAME',
  });
}

async function existing(folder: string): Promise<string> {
  for (let path = folder; ; path = dirname(path))
    if (
      await readdir(path).then(
        () => true,
        () => false,
      )
    )
      return path;
}

/**
 * Writes stores out as files: dumps as their programs made them, volumes as folders with every owner and mode. Nothing is written outside of the
 * folder, which is new or empty; when anything fails, nothing of it stays. Throws RESTORE_REFUSED, RESTORE_FAILED, DISK_FULL, REPOSITORY_*.
 */
export async function restoreToFolder(
  world: StageWorld,
  restic: Restic,
  manifest: Manifest,
  stores: readonly SavedStore[],
  folder: string,
): Promise<{ id: string; path: string }[]> {
  await requireTarget(folder, stores);
  await mkdir(folder, { recursive: true, mode: 0o700 }).catch((error: unknown) => {
    throw storageFailure(error, folder);
  });
  try {
    await atOnce(restic.atOnce, inSnapshots(manifest, stores), world.signal, async (together, signal) => {
      const write = together.length > 1 ? writeTogether : writeAlone;
      await inSteps(world, together, () => write({ ...world, signal }, restic, manifest.set, together, folder));
    });
    const part = { ...manifest, stores: [...stores] };
    await writeFile(join(folder, 'README.md'), exportReadme(part, 'folder'), { mode: 0o600, flag: 'wx' });
    await writeFile(join(folder, 'manifest.json'), `${JSON.stringify(part, undefined, 2)}\n`, { mode: 0o600, flag: 'wx' });
    return stores.map((store) => ({ id: store.id, path: join(folder, placeOf(store)) }));
  } catch (error) {
    for (const name of await readdir(folder)) await rm(join(folder, name), { recursive: true, force: true });
    throw storageFailure(error, folder);
  }
}

/**
 * What is read by one call of restic: all stores of a snapshot that is wanted whole, else each by itself. The longest is begun first, so that none
 * is left over at the end.
 */
function inSnapshots({ stores: all }: Manifest, chosen: readonly SavedStore[]): SavedStore[][] {
  const alike = (stores: readonly SavedStore[], { snapshot }: SavedStore) => stores.filter((store) => store.snapshot === snapshot);
  const groups = chosen.flatMap((store): SavedStore[][] => {
    const together = alike(chosen, store);
    if (together.length < alike(all, store).length) return [[store]];
    return together[0] === store ? [together] : [];
  });
  const size = (stores: SavedStore[]): number => stores.reduce((sum, { bytes }) => sum + bytes, 0);
  return groups.sort((a, b) => size(b) - size(a));
}

type Write = (world: StageWorld, restic: Restic, set: string, stores: readonly SavedStore[], folder: string) => Promise<void>;

const writeAlone: Write = async (world, restic, set, [store], folder) => {
  if (!store) return;
  const path = join(folder, placeOf(store));
  await mkdir(isFolder(store) ? path : dirname(path), { recursive: true, mode: 0o700 });
  if (isFolder(store)) await restoreFiles(restic, store, path, world);
  else await writeDump(world, restic, set, store, path);
};

/** Writes a whole snapshot beside the stores' places, on the same file system, and moves each store into its own. */
const writeTogether: Write = async (world, restic, set, stores, folder) => {
  const [first] = stores;
  if (!first) return;
  const whole = await mkdtemp(join(await realpath(folder), '.snapshot-'));
  await restoreSnapshot(restic, first, whole, world);
  for (const store of stores) {
    const [from, to] = [join(whole, store.path), join(folder, placeOf(store))];
    if (!(await isItself(from, whole, isFolder(store)))) throw unknownPlace(store, set);
    await mkdir(dirname(to), { recursive: true, mode: 0o700 });
    await rename(from, to);
    if (isFolder(store)) await takeOrigin(store, to);
    else requireLength(store, set, (await stat(to)).size);
  }
  await rm(whole, { recursive: true });
};

/** A folder or a file that lies in the snapshot as it is named: by way of a link in it, something else would be moved. */
async function isItself(path: string, whole: string, isDirectory: boolean): Promise<boolean> {
  const found = await lstat(path).catch(() => undefined);
  if (!(isDirectory ? found?.isDirectory() : found?.isFile())) return false;
  return (await realpath(path)) === path && isWithin(path, whole);
}

const unknownPlace = ({ id, path, snapshot }: SavedStore, set: string): Failure =>
  new Failure('RESTORE_FAILED', `${id}: the manifest of set ${set} names no place within its snapshot: ${JSON.stringify(path)}`, {
    where: `snapshot ${snapshot.slice(0, 8)}`,
    next: 'nothing of it was written; who could write into the repository?',
  });

async function writeDump({ signal }: StageWorld, restic: Restic, set: string, store: SavedStore, path: string): Promise<void> {
  // restic would write over what is there, and let others read the file; from its image it would be root's.
  await writeFile(path, '', { mode: 0o600, flag: 'wx' });
  const result = await restic.run(['dump', '--target', path, store.snapshot, store.path], { writes: [dirname(path)], signal });
  signal.throwIfAborted();
  if (result.code !== 0) throw resticFailure(result, `read ${store.id} of set ${set}`, restic.repository);
  requireLength(store, set, (await stat(path)).size);
}

async function inSteps({ report }: StageWorld, stores: readonly SavedStore[], work: () => Promise<void>): Promise<void> {
  const began = performance.now();
  for (const { id } of stores) report({ kind: 'step-start', step: `write:${id}`, text: `write ${id}` });
  const ended = (kind: 'step-done' | 'step-failed'): void => {
    for (const { id } of stores) report({ kind, step: `write:${id}`, text: '', ms: performance.now() - began });
  };
  try {
    await work();
  } catch (error) {
    ended('step-failed');
    throw error;
  }
  ended('step-done');
}
