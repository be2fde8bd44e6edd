import { join } from 'node:path';
import { projectFolder } from '../../state/folder.ts';
import type { Swap } from './swap.ts';

/** A container that stands still meanwhile, found again by Compose's labels where it was replaced. */
export interface StoppedContainer {
  id: string;
  service: string;
  number: string;
  /** Before: `off` is a server that had ended by itself and is started with its new data. */
  was: 'well' | 'ill' | 'off';
}

/** What whoever comes after a killed restore has to know. An entry is on the disk before what it says is begun. */
export type RestoreEntry =
  | {
      kind: 'begin';
      at: string;
      id: string;
      project: string;
      set: string;
      swaps: Swap[];
      /** Volumes that the old content is put into; they are ours until they hold something. */
      keptVolumes: string[];
      /** Volumes, and folders beside bind mounts, that are filled meanwhile. */
      scratchVolumes: string[];
      scratchFolders: string[];
    }
  /** In the order that they stop. */
  | { kind: 'stop'; containers: StoppedContainer[] }
  | { kind: 'swap' }
  | { kind: 'start' }
  /** The new data stays. */
  | { kind: 'commit' };

export type Begin = Extract<RestoreEntry, { kind: 'begin' }>;

export const restoreJournalPath = (state: string, project: string): string => join(projectFolder(state, project), 'restore.journal');

export const archivedPath = (state: string, project: string, id: string): string =>
  join(projectFolder(state, project), 'journals', `restore-${id}.journal`);

/** Which content a killed restore ends in. Pure. */
export const endsIn = (entries: readonly RestoreEntry[]): 'old' | 'new' => (entries.some(({ kind }) => kind === 'commit') ? 'new' : 'old');
