import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { projectFolder } from '../state/folder.ts';
import { archiveJournal } from '../state/journal.ts';
import { describeHolder, takeLock } from '../state/lock.ts';
import { type Entry, journalPath, lockPath } from './journal.ts';
import type { Plan } from './model.ts';
import { dropSnapshots } from './snapshot.ts';
import type { World } from './world.ts';

/** A world, and how a command that changes the project behaves in it. */
export interface Rollout extends World {
  /** How long to wait for another command on the same project. */
  waitMs: number;
  /** Called after each entry of the journal is on the disk. */
  afterJournal?: (entry: Entry) => void;
}

/** Does the work while no other command changes the project. */
export async function withProjectLock<T>(
  rollout: Pick<Rollout, 'stateFolder' | 'project' | 'waitMs' | 'report'>,
  purpose: string,
  work: () => Promise<T>,
): Promise<T> {
  const lock = await takeLock(lockPath(rollout.stateFolder, rollout.project.name), {
    purpose,
    waitMs: rollout.waitMs,
    onWait: (holder) => rollout.report({ kind: 'note', text: `waiting for ${describeHolder(holder)}` }),
  });
  try {
    return await work();
  } finally {
    await lock.release();
  }
}

/** The model that an unfinished release makes containers from; finishing it later must not depend on what the files say then. */
export const pendingModelPath = (rollout: Pick<Rollout, 'stateFolder' | 'project'>): string =>
  join(projectFolder(rollout.stateFolder, rollout.project.name), 'release.compose.json');

/** The finished journal goes to the archive, snapshots are no longer needed. */
export async function putAway(rollout: World, plan: Plan): Promise<void> {
  const { stateFolder, project } = rollout;
  await archiveJournal(
    journalPath(stateFolder, project.name),
    join(projectFolder(stateFolder, project.name), 'journals', `${plan.release}-${Date.now()}.journal`),
  );
  await rm(pendingModelPath(rollout), { force: true });
  await dropSnapshots(rollout);
}
