import { mkdir, mkdtemp, realpath, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Failure } from '../../kit/errors.ts';
import type { FileFacts, PlannedStore, SavedStore, Store } from '../model.ts';
import type { Restic } from '../restic/program.ts';
import { type Saved, saveFolder, takeBackSnapshot } from '../restic/save.ts';
import { excluder, resticExcludes } from './exclude.ts';
import { factsUpTo, folderFacts, NO_FILES, snapshotFacts } from './facts.ts';
import { lostMount, mountPointOf, readMounts, unmountedAt } from './mounts.ts';
import { copyDatabases } from './sqlite.ts';
import { walk } from './walk.ts';

export type FilesStore = Extract<PlannedStore, { kind: 'files' | 'sqlite' }>;

export interface SaveOptions {
  /** All tags of the snapshot. */
  tags: readonly string[];
  /** A folder for what is needed only meanwhile. */
  scratch: string;
  /** Host name in the snapshot. */
  host: string;
  signal: AbortSignal;
  /** Told as soon as it is settled what will be saved, where that is before the end: what is written from then on is not in it. */
  onSettled?: (() => void) | undefined;
  /** The same store in the last complete set. */
  previous?: SavedStore | undefined;
}

type Outcome = Omit<SavedStore, keyof Store | 'startedAt' | 'endedAt'>;

/** What is known of a store that was made in a folder, before a snapshot has it. `path` counts from the folder. */
export type MadeContent = Omit<Outcome, 'snapshot' | 'added' | 'tool'> & { tool?: string };

/**
 * Saves a volume or a bound folder as one snapshot, whose root is the folder. Throws BACKUP_FAILED where the folder is missing, holds no file
 * though it should, or lies on a disk that is not mounted; and REPOSITORY_*.
 */
export async function saveFiles(restic: Restic, store: FilesStore, options: SaveOptions): Promise<Outcome> {
  const { mountPoint, origin } = await requireFolder(store, options.previous);
  const contentAt = new Date().toISOString();
  const content = await look(store);
  if (content !== 'files' && !store.mayBeEmpty) throw emptyFailure(store);
  if (content === 'nothing') {
    const saved = await saveEmpty(restic, options);
    return { ...outcome(restic, saved, { contentAt, facts: NO_FILES, origin }), path: `/${EMPTY}` };
  }
  // restic compares patterns with the path that it finds itself in, where links are resolved.
  const folder = await realpath(store.folder);
  const before = await factsUpTo(WALKED, folder, store.exclude);
  const saved = await saveFolder(restic, { ...options, folder, exclude: resticExcludes(folder, store.exclude) });
  const facts = (await undisturbed(folder, store, before, saved)) ?? (await snapshotFacts(restic, saved.snapshot));
  if (facts.files === 0 && !store.mayBeEmpty) {
    await takeBackSnapshot(restic, saved.snapshot);
    throw emptyFailure(store);
  }
  return outcome(restic, saved, { contentAt, facts: store.volume === undefined ? { ...facts, mountPoint } : facts, origin });
}

/** Up to so many entries it takes less time to look at a folder twice than restic takes to make its key for the list of a snapshot. */
const WALKED = 10_000;

/** The folder's own facts, where it was the same before and after it was read and restic counted the same: then the snapshot's are no others. */
async function undisturbed(
  folder: string,
  { exclude }: FilesStore,
  before: FileFacts | undefined,
  { files, bytes, vanished }: Saved,
): Promise<FileFacts | undefined> {
  if (!before || vanished.length > 0 || files !== before.files || bytes !== before.bytes) return undefined;
  const after = await factsUpTo(WALKED, folder, exclude);
  return after?.listing === before.listing ? before : undefined;
}

/**
 * Copies the SQLite databases of a volume or bound folder into an empty folder, where they lie as in it, each as it was at one moment. Throws
 * BACKUP_FAILED for a damaged one, DISK_FULL where the copies do not fit.
 */
export async function makeDatabases(
  store: FilesStore,
  folder: string,
  { previous, signal }: Pick<SaveOptions, 'previous' | 'signal'>,
): Promise<MadeContent> {
  const { origin } = await requireFolder(store, previous);
  const { facts, contentAt, vanished } = await copyDatabases(store.folder, store.databases ?? [], folder, { signal, store: store.id });
  const { bytes } = await folderFacts(folder);
  return {
    tool: `SQLite ${process.versions.sqlite}`,
    path: '/',
    bytes,
    contentAt,
    facts,
    origin,
    ...(vanished.length > 0 ? { vanished } : {}),
  };
}

const outcome = (
  restic: Restic,
  saved: Saved,
  { contentAt, facts, origin }: Required<Pick<SavedStore, 'contentAt' | 'facts' | 'origin'>>,
): Outcome => ({
  tool: `restic ${restic.version}`,
  snapshot: saved.snapshot,
  path: '/',
  bytes: saved.bytes,
  added: saved.added,
  contentAt,
  facts,
  origin,
  ...(saved.vanished.length > 0 ? { vanished: saved.vanished } : {}),
});

async function requireFolder(
  store: FilesStore,
  previous: SavedStore | undefined,
): Promise<{ mountPoint: string; origin: NonNullable<SavedStore['origin']> }> {
  const found = await stat(store.folder).catch(() => undefined);
  if (!found?.isDirectory()) {
    throw new Failure('BACKUP_FAILED', `${store.id}: ${found ? 'is no folder' : 'the folder does not exist'}`, {
      where: store.folder,
      next:
        store.volume === undefined
          ? 'is its disk mounted? If the service no longer needs it, take it out of the compose file'
          : `does the volume ${store.volume} exist on this machine, and does its driver keep it in a folder? x-backup: {skip: true} leaves the service out`,
    });
  }
  const mounts = await readMounts();
  const path = await realpath(store.folder);
  const mountPoint = mountPointOf(path, mounts);
  const before = previous?.facts?.kind === 'files' ? previous.facts.mountPoint : undefined;
  const missing = unmountedAt(path, mounts) ?? lostMount(before, store.volume === undefined ? mountPoint : undefined);
  if (missing !== undefined) {
    throw new Failure('BACKUP_FAILED', `${store.id}: ${missing} is not mounted, and ${store.folder} belongs to it`, {
      where: store.folder,
      next: `mount it: mount ${missing}; what lies in the folder now is not what the service wrote there`,
    });
  }
  const { folder, volume, target } = store;
  const { uid, gid, mode } = found;
  return { mountPoint, origin: { ...(volume === undefined ? {} : { volume }), folder, target, uid, gid, mode: mode & 0o7777 } };
}

async function look({ folder, exclude }: FilesStore): Promise<'files' | 'folders' | 'nothing'> {
  const isOut = excluder(exclude);
  let content: 'files' | 'folders' | 'nothing' = 'nothing';
  await walk(folder, ({ path, stat: found }) => {
    if (isOut(path.toString('utf8'))) return 'skip';
    if (content === 'nothing' && !found.isSocket()) content = 'folders';
    if (!found.isFile()) return undefined;
    content = 'files';
    return 'stop';
  });
  return content;
}

const emptyFailure = ({ id, folder, volume }: FilesStore): Failure =>
  new Failure('BACKUP_FAILED', `${id}: ${volume === undefined ? folder : `the volume ${volume}`} holds no file`, {
    where: folder,
    next: 'a wrong name and a disk that is not mounted look like that; if it may be empty, say so: x-backup: {empty: true}',
  });

/** restic makes no snapshot of nothing: an empty store is an empty folder of this name in its snapshot. */
const EMPTY = 'empty';

async function saveEmpty(restic: Restic, options: SaveOptions): Promise<Saved> {
  const folder = await mkdtemp(join(options.scratch, 'empty-'));
  try {
    await mkdir(join(folder, EMPTY));
    return await saveFolder(restic, { ...options, folder, exclude: [] });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
