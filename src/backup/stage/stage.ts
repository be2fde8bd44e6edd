import type { Manifest, SavedStore } from '../model.ts';
import type { Restic } from '../restic/program.ts';
import type { StageTargets, StageWorld, Staged } from './model.ts';

/**
 * Puts stores of a set into fresh places: folders by restic, databases by a server of the service's own image and environment that loads the
 * dump, is counted and stops. Stores of kind `project` are left out. A difference to the manifest is no error here: the caller decides.
 * Throws RESTORE_FAILED, IMAGE_UNAVAILABLE, DISK_FULL, REPOSITORY_*; the targets are then partly filled, the servers gone.
 */
export async function stageStores(
  _world: StageWorld,
  _restic: Restic,
  _manifest: Manifest,
  _stores: readonly SavedStore[],
  _targets: StageTargets,
): Promise<Staged[]> {
  throw new Error('not written yet');
}
