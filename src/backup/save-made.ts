import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { atOnce } from '../kit/at-once.ts';
import { isServerWide } from './dumps/list.ts';
import { makeProject } from './files/project.ts';
import { type MadeContent, makeDatabases, type SaveOptions } from './files/save-files.ts';
import { findDatabase } from './find-database.ts';
import type { BackupWorld, PlannedStore, SavedStore } from './model.ts';
import type { Restic } from './restic/program.ts';
import { saveFolder } from './restic/save.ts';
import { makeDump } from './save-dump.ts';
import { sharedWith } from './sets.ts';

/**
 * Stores whose content is made for the backup and small enough to be written down first: copies of SQLite databases, roles, accounts, the project's
 * own files. Others are read where they lie or streamed.
 */
export const isMade = ({ kind }: Pick<PlannedStore, 'kind'>): boolean => kind === 'sqlite' || kind === 'project' || isServerWide(kind);

/** What is made waits for answers more than it works. */
const AT_ONCE = 4;

export interface MadeOptions extends Pick<SaveOptions, 'tags' | 'scratch' | 'host' | 'onSettled'> {
  /** The stores of the last complete set. */
  previous?: readonly SavedStore[] | undefined;
}

/**
 * Makes these stores and saves them as one snapshot, each in a folder of its own in it: every call of restic costs half a second for its key.
 * Throws BACKUP_FAILED, DISK_FULL, REPOSITORY_*; there is no snapshot then.
 */
export async function saveMade(
  world: BackupWorld,
  restic: Restic,
  stores: readonly PlannedStore[],
  { previous, ...options }: MadeOptions,
): Promise<SavedStore[]> {
  const folder = await mkdtemp(join(options.scratch, 'made-'));
  try {
    const made = await atOnce(AT_ONCE, [...stores.entries()], world.signal, async ([index, store], signal) => {
      const startedAt = new Date().toISOString();
      const place = `${index}-${store.kind}`;
      await mkdir(join(folder, place), { mode: 0o700 });
      const content = await make({ ...world, signal }, store, join(folder, place), previous);
      const { id, kind, service, name } = store;
      return {
        id,
        kind,
        service,
        name,
        startedAt,
        tool: `restic ${restic.version}`,
        ...content,
        path: content.path === '/' ? `/${place}` : `/${place}${content.path}`,
      };
    });
    options.onSettled?.();
    const { snapshot, added } = await saveFolder(restic, { ...options, folder, exclude: [] });
    const endedAt = new Date().toISOString();
    const saved = made.map((store) => ({ ...store, snapshot, added: 0, endedAt }));
    return saved.map((store) => (sharedWith(saved, store) === undefined ? { ...store, added } : store));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function make(
  world: BackupWorld,
  store: PlannedStore,
  folder: string,
  previous: readonly SavedStore[] | undefined,
): Promise<MadeContent> {
  switch (store.kind) {
    case 'project':
      return makeProject(world, store, folder);
    case 'sqlite':
      return makeDatabases(store, folder, { previous: previous?.find(({ id }) => id === store.id), signal: world.signal });
    default: {
      const { type, context } = await findDatabase(world, store);
      return makeDump(type, store, context, folder);
    }
  }
}
