import { join } from 'node:path';
import { readFileIfThere } from '../kit/files.ts';
import { projectFolder } from '../state/folder.ts';
import type { BackupResult } from './model.ts';

/** What was tried for the project, oldest first. A line that a crash cut short is left out. */
export async function readResults(state: string, project: string): Promise<BackupResult[]> {
  const text = await readFileIfThere(join(projectFolder(state, project), 'backup', 'history.jsonl'));
  return (text ?? '').split('\n').flatMap((line) => {
    try {
      return line === '' ? [] : [JSON.parse(line) as BackupResult];
    } catch {
      return [];
    }
  });
}

/** When each set was last restored and found whole, by the set's id. Pure. */
export function provenSets(results: readonly BackupResult[]): Map<string, string> {
  const proofs = results.filter(({ ok, kind }) => ok && (kind === 'drill' || kind === 'restore' || kind === 'rebuild'));
  return new Map(proofs.flatMap(({ set, endedAt }) => (set === undefined ? [] : [[set, endedAt]])));
}
