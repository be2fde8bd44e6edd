import { type SaveOptions, saveFiles } from './files/save-files.ts';
import { findDatabase } from './find-database.ts';
import type { BackupWorld, PlannedStore, SavedStore, Store } from './model.ts';
import type { Restic } from './restic/program.ts';
import { saveDump } from './save-dump.ts';

/**
 * Saves one store of a plan as a snapshot of its own. `tags` are all of the snapshot's; `scratch` is a folder for what is needed only meanwhile, of which
 * nothing is left; `previous` is the store in the last complete set, with which a disk that is no longer mounted is noticed.
 * Throws BACKUP_FAILED, DISK_FULL, REPOSITORY_*; there is no snapshot then.
 */
export async function saveStore(
  world: BackupWorld,
  restic: Restic,
  store: PlannedStore,
  options: Omit<SaveOptions, 'signal'>,
): Promise<SavedStore> {
  const startedAt = new Date().toISOString();
  const { id, kind, service, name } = store;
  const own: Store = { id, kind, service, name };
  if (store.kind === 'files') {
    const saved = await saveFiles(restic, store, { ...options, signal: world.signal });
    return { ...own, startedAt, ...saved, endedAt: new Date().toISOString() };
  }
  const { type, context } = await findDatabase(world, own);
  return saveDump(restic, type, own, context, options);
}
