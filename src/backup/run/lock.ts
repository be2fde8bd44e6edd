import { mkdir, rm } from 'node:fs/promises';
import { describeHolder, takeLock } from '../../state/lock.ts';
import type { BackupWorld } from '../model.ts';
import { backupLockPath, scratchFolder } from '../places.ts';

/**
 * Does the work while no other command changes the project's backups. `purpose` is for whoever finds it locked: "backup". `scratch` is an
 * empty folder that is gone afterwards. Throws LOCKED.
 */
export async function withBackupLock<T>(
  { stateFolder, project, report, signal }: Pick<BackupWorld, 'stateFolder' | 'project' | 'report' | 'signal'>,
  purpose: string,
  waitMs: number,
  work: (scratch: string) => Promise<T>,
): Promise<T> {
  const lock = await takeLock(backupLockPath(stateFolder, project.name), {
    purpose,
    waitMs,
    signal,
    onWait: (holder) => report({ kind: 'note', text: `waiting for ${describeHolder(holder)}` }),
  });
  const scratch = scratchFolder(stateFolder, project.name);
  try {
    await rm(scratch, { recursive: true, force: true });
    await mkdir(scratch, { recursive: true, mode: 0o700 });
    return await work(scratch);
  } finally {
    await rm(scratch, { recursive: true, force: true });
    await lock.release();
  }
}
