import { Failure } from '../../kit/errors.ts';
import { readFileIfThere, writeFileDurably } from '../../kit/files.ts';
import type { BackupWorld, Manifest, SavedStore } from '../model.ts';
import { lastSetPath } from '../places.ts';
import type { Restic } from '../restic/program.ts';
import { isWhole, knownManifest, listSets } from '../sets.ts';

type World = Pick<BackupWorld, 'project' | 'stateFolder' | 'report'>;

/**
 * What the last set of the whole project holds, by which a disk is noticed that was mounted then and is not now: of the one that was made here, else
 * of the newest one in the repository. Throws REPOSITORY_*, to whoever waits for it.
 */
export function lastStores(world: World, restic: Restic): Promise<SavedStore[]> {
  const found = readLast(world).then((last) => last ?? askLast(world, restic));
  found.catch(() => {});
  return found;
}

/** A machine that cannot keep it asks the repository, or compares with an older one. */
export const rememberLast = ({ stateFolder, project }: World, manifest: Manifest): Promise<void> =>
  writeFileDurably(lastSetPath(stateFolder, project.name), JSON.stringify(manifest)).catch(() => {});

async function readLast({ stateFolder, project }: World): Promise<SavedStore[] | undefined> {
  try {
    const text = await readFileIfThere(lastSetPath(stateFolder, project.name));
    return text === undefined ? undefined : (JSON.parse(text) as Manifest).stores;
  } catch {
    return undefined;
  }
}

async function askLast({ project, report }: World, restic: Restic): Promise<SavedStore[]> {
  const last = (await listSets(restic, project.name)).find(isWhole);
  if (last === undefined) return [];
  try {
    return (await knownManifest(restic, last)).stores;
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    report({ kind: 'warning', text: `the last set cannot be compared with: ${error.message}` });
    return [];
  }
}
