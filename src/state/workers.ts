import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { projectFolder } from './folder.ts';

/**
 * What the autoscaler has done to a container and Docker's labels cannot say. It is written before the deed, so that whoever comes after a
 * crash knows of it; it outlives a process, not a power cut, and neither does a frozen or draining container.
 */
export type WorkerMark = { service: string; sinceMs: number } & (
  | { kind: 'frozen' }
  /** `signalled`: it was asked to end, and must not be asked a second time. */
  | { kind: 'draining'; signalled: boolean; then: 'keep' | 'remove'; why: string }
);

const folderOf = (state: string, project: string): string => join(projectFolder(state, project), 'workers');

export async function markWorker(state: string, project: string, container: string, mark: WorkerMark): Promise<void> {
  await mkdir(folderOf(state, project), { recursive: true, mode: 0o700 });
  await writeFile(join(folderOf(state, project), container), JSON.stringify(mark), { mode: 0o600 });
}

export const unmarkWorker = (state: string, project: string, container: string): Promise<void> =>
  rm(join(folderOf(state, project), container), { force: true });

/** Marks by container id. One that a crash cut short says what cannot do harm: frozen, which is undone by thawing. */
export async function readWorkerMarks(state: string, project: string): Promise<Map<string, WorkerMark>> {
  const folder = folderOf(state, project);
  const names = await readdir(folder).catch(() => [] as string[]);
  const marks = new Map<string, WorkerMark>();
  for (const name of names) {
    const text = await readFile(join(folder, name), 'utf8').catch(() => undefined);
    if (text === undefined) continue;
    try {
      marks.set(name, JSON.parse(text) as WorkerMark);
    } catch {
      marks.set(name, { kind: 'frozen', service: '', sinceMs: 0 });
    }
  }
  return marks;
}
