import { chmod, lchown, readdir } from 'node:fs/promises';
import { Failure } from '../../kit/errors.ts';
import type { SavedStore } from '../model.ts';
import { readMessages, resticFailure } from '../restic/outcome.ts';
import type { Restic } from '../restic/program.ts';
import { requireWithin } from './entries.ts';
import type { StageWorld } from './model.ts';

/** A file system's own folder at its root is no content. */
const NO_CONTENT = ['lost+found'];

/** Throws RESTORE_FAILED when somebody's data is there. */
export async function requireEmpty(folder: string, store: string): Promise<void> {
  const found = (await readdir(folder)).filter((name) => !NO_CONTENT.includes(name));
  if (found.length === 0) return;
  throw new Failure('RESTORE_FAILED', `${store}: the place that it is to be restored to is not empty`, {
    where: folder,
    details: found.slice(0, 5),
    next: 'it was left as it is; restore into a place that holds nothing',
  });
}

/**
 * Writes a store's files into a folder, every entry with its owner, mode and time, and gives the folder itself those that it had. Nothing
 * is written outside of the folder. Throws RESTORE_FAILED, REPOSITORY_* (a damaged or missing snapshot).
 */
export async function restoreFiles(restic: Restic, store: SavedStore, folder: string, world: StageWorld): Promise<void> {
  await restoreContent(restic, store, folder, world);
  await takeOrigin(store, folder);
}

/** The same of everything that is in the store's snapshot. */
export const restoreSnapshot = (restic: Restic, store: SavedStore, folder: string, world: StageWorld): Promise<void> =>
  restoreContent(restic, { ...store, path: '/' }, folder, world);

/** Whose the folder was that a store was read from, and its mode. */
export async function takeOrigin({ origin }: SavedStore, folder: string): Promise<void> {
  if (!origin) return;
  await lchown(folder, origin.uid, origin.gid);
  await chmod(folder, origin.mode & 0o7777);
}

async function restoreContent(restic: Restic, store: SavedStore, folder: string, { report, signal }: StageWorld): Promise<void> {
  await requireWithin(restic, store, folder);
  signal.throwIfAborted();
  const step = `stage:${store.id}`;
  const result = await restic.run(['restore', '--json', `${store.snapshot}:${store.path}`, '--target', folder], {
    writes: [folder],
    signal,
    discardStdout: true,
    onLine: (line) => {
      for (const message of readMessages(line)) {
        if (message.message_type === 'status' && typeof message.percent_done === 'number')
          report({ kind: 'step-progress', step, text: `${Math.floor(message.percent_done * 100)} %` });
      }
    },
  });
  signal.throwIfAborted();
  if (result.code !== 0) throw resticFailure(result, `restore ${store.id}`, restic.repository);
}
