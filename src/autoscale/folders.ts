import { type FSWatcher, watch } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { projectFolder } from '../state/folder.ts';

export interface Folders {
  start(): void;
  /** Follows a project's folder: its lock, its releases, what people wish. */
  follow(project: string): Promise<void>;
  stop(): void;
}

/** A lock that comes and goes at once is one change. */
const SETTLE_MS = 20;

/** Tells when commands write into the state folder, without asking for it over and over. */
export function watchFolders(
  stateFolder: string,
  on: { onProject(name: string): void; onProjects(): void; onProblem(error: Error): void },
): Folders {
  const watchers = new Map<string, FSWatcher>();
  const timers = new Map<string, NodeJS.Timeout>();
  let stopped = false;

  function soon(key: string, go: () => void): void {
    if (timers.has(key) || stopped) return;
    timers.set(
      key,
      setTimeout(() => {
        timers.delete(key);
        go();
      }, SETTLE_MS),
    );
  }

  async function open(key: string, path: string, go: (file: string) => void): Promise<void> {
    if (watchers.has(key) || stopped) return;
    try {
      await mkdir(path, { recursive: true, mode: 0o700 });
      if (watchers.has(key) || stopped) return;
      const watcher = watch(path, { persistent: false }, (_event, file) => go(file ?? ''));
      watchers.set(key, watcher);
      watcher.on('error', () => {
        watcher.close();
        watchers.delete(key);
      });
    } catch (error) {
      on.onProblem(error as Error);
    }
  }

  return {
    start: () => void open('', join(stateFolder, 'projects'), () => soon('', on.onProjects)),
    follow: (project) =>
      open(project, projectFolder(stateFolder, project), (file) => {
        // Marks and templates are the autoscaler's own.
        if (file !== 'workers' && file !== 'templates') soon(project, () => on.onProject(project));
      }),
    stop: () => {
      stopped = true;
      for (const watcher of watchers.values()) watcher.close();
      for (const timer of timers.values()) clearTimeout(timer);
    },
  };
}
