import { lockPath } from '../../rollout/journal.ts';
import { readJournal } from '../../state/journal.ts';
import { readLock, takeLock } from '../../state/lock.ts';
import { backupLockPath } from '../places.ts';
import { type RestoreEntry, restoreJournalPath } from './journal.ts';
import type { SwapWorld } from './swap-in.ts';

/**
 * Ends a restore that was killed: in the new data when its services were well with it, in the old otherwise. A restore that is at work is left
 * alone. Costs one look at a file where there is none. Throws RESTORE_FAILED, LOCKED.
 */
export async function endKilledRestore(world: SwapWorld, waitMs = 10_000): Promise<'old' | 'new' | 'nothing'> {
  const { stateFolder, project, report } = world;
  const journal = restoreJournalPath(stateFolder, project.name);
  if ((await readJournal<RestoreEntry>(journal)).length === 0) return 'nothing';
  const backups = backupLockPath(stateFolder, project.name);
  if (await readLock(backups)) return 'nothing';
  const outer = await takeLock(backups, { purpose: 'end a killed restore', waitMs });
  try {
    const inner = await takeLock(lockPath(stateFolder, project.name), { purpose: 'end a killed restore', waitMs });
    try {
      return await endHeld(world);
    } finally {
      await inner.release();
    }
  } finally {
    await outer.release();
  }

  async function endHeld(inside: SwapWorld): Promise<'old' | 'new' | 'nothing'> {
    const entries = await readJournal<RestoreEntry>(journal);
    if (entries.length === 0) return 'nothing';
    // The way back is loaded only where there is one to go.
    const { finish } = await import('./swap-in.ts');
    const end = await finish(inside, entries);
    const begin = entries.find((entry) => entry.kind === 'begin');
    if (begin && end !== 'nothing') {
      const which = end === 'new' ? `of set ${begin.set}` : 'that was there before it';
      report({ kind: 'note', text: `a restore of ${project.name} was killed; it is ended: the data is the one ${which}` });
    }
    return end;
  }
}
