import { appendFile, mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { readFileIfThere, storageFailure, writeFileDurably } from '../../kit/files.ts';
import { takeLock } from '../../state/lock.ts';
import type { BackupResult } from '../model.ts';
import { historyPath } from '../places.ts';
import { isProof, readResults } from '../proven.ts';

/** Years of daily runs, checks and weekly drills. */
const KEPT = 2000;
/** How far a file may grow over that before it is cut. */
const SLACK = 200;

/** Adds a result; processes that do so at once take turns. */
export async function appendHistory(state: string, project: string, result: BackupResult): Promise<void> {
  const path = historyPath(state, project);
  const lock = await takeLock(`${path}.lock`, { purpose: 'note how a backup went', waitMs: 10_000 });
  try {
    const before = await readFileIfThere(path);
    const results = before === undefined ? [] : await readResults(state, project);
    if (results.length >= KEPT + SLACK) {
      const kept = worthKeeping([...results, result], KEPT);
      await writeFileDurably(path, kept.map((one) => `${JSON.stringify(one)}\n`).join(''));
      return;
    }
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    // After a line that a crash cut short, the next one begins anew.
    const gap = before === undefined || before === '' || before.endsWith('\n') ? '' : '\n';
    await appendFile(path, `${gap}${JSON.stringify(result)}\n`, { mode: 0o600, flush: true });
  } catch (error) {
    throw storageFailure(error, path);
  } finally {
    await lock.release();
  }
}

/** The newest results, and what proved the newest proven set however old it is. Pure. */
export function worthKeeping(results: readonly BackupResult[], most: number): BackupResult[] {
  const newest = results.slice(-most);
  const proof = results.findLast(isProof);
  return proof === undefined || newest.includes(proof) ? newest : [proof, ...newest.slice(1)];
}

/** Without runs of chosen services, which say nothing about the project's backups. Pure. */
export const ofTheProject = (history: readonly BackupResult[]): BackupResult[] => history.filter(({ only }) => only === undefined);

/** The newest result of each kind. Pure. */
export const lastByKind = (history: readonly BackupResult[]): Map<BackupResult['kind'], BackupResult> =>
  new Map(history.map((result) => [result.kind, result]));

/** When a set was made, from its id: "20261124T061200Z-9f3a". Undefined for a text that is no id. Pure. */
export function timeOfSet(set: string): Date | undefined {
  const [, year, month, day, hour, minute, second] = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z-[0-9a-f]{4}$/.exec(set) ?? [];
  return year === undefined ? undefined : new Date(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
}
