import { readFileIfThere } from '../kit/files.ts';
import type { BackupResult } from './model.ts';
import { historyPath } from './places.ts';

/** What was tried for the project, oldest first. A line that a crash cut short is left out. */
export async function readResults(state: string, project: string): Promise<BackupResult[]> {
  const text = await readFileIfThere(historyPath(state, project));
  return (text ?? '').split('\n').flatMap((line) => {
    try {
      return line === '' ? [] : [JSON.parse(line) as BackupResult];
    } catch {
      return [];
    }
  });
}

/**
 * A drill or a rebuild restored every store of a set of the whole project, and what came back was what had been saved. A restore may have been of
 * one store, and a set of chosen services proves nothing about the others.
 */
export const isProof = ({ kind, ok, set, only }: BackupResult): boolean =>
  ok && set !== undefined && only === undefined && (kind === 'drill' || kind === 'rebuild');

/** When each set was last restored and found whole, by the set's id. Pure. */
export const provenSets = (results: readonly BackupResult[]): Map<string, string> =>
  new Map(results.filter(isProof).map(({ set = '', endedAt }) => [set, endedAt]));
