import { join, resolve } from 'node:path';
import { projectFolder } from '../state/folder.ts';

/** Where a project's backups keep what they have to remember, and what they need meanwhile. */
export const backupFolder = (state: string, project: string): string => join(projectFolder(state, project), 'backup');

/** Held by whatever changes the project's backups or reads all of them: run, prune, verify, restore. */
export const backupLockPath = (state: string, project: string): string => join(projectFolder(state, project), 'backup.lock');

/** Only who holds the backup lock has something in it; what another process left there is of no use to anybody. */
export const scratchFolder = (state: string, project: string): string => join(backupFolder(state, project), 'scratch');

/** Held by the drill of a project: it reads the repository and changes nothing of the backups. */
export const drillLockPath = (state: string, project: string): string => join(projectFolder(state, project), 'drill.lock');

/** The project's own files out of a set, for as long as its drill has containers. */
export const drillFolder = (state: string, project: string, id: string): string => join(backupFolder(state, project), `drill-${id}`);

/** What the last drill found. */
export const evidencePath = (state: string, project: string): string => join(backupFolder(state, project), 'last-drill.json');

export const historyPath = (state: string, project: string): string => join(backupFolder(state, project), 'history.jsonl');

/** The set that a run is at work on. */
export const runningPath = (state: string, project: string): string => join(backupFolder(state, project), 'running.json');

/** The manifest of the last set of the whole project that was made here. */
export const lastSetPath = (state: string, project: string): string => join(backupFolder(state, project), 'last-set.json');

export const holdsFolder = (state: string, project: string): string => join(backupFolder(state, project), 'holds');

/** What the agent has to know to run the project's backups. */
export const registrationPath = (state: string, project: string): string => join(backupFolder(state, project), 'agent.json');

/** A folder that node_exporter's textfile collector may read, where the state folder is closed to it. */
export const metricsFolder = (env: NodeJS.ProcessEnv): string | undefined => env.COMPOSURE_METRICS_DIR || undefined;

export function metricsPath(state: string, env: NodeJS.ProcessEnv = process.env): string {
  const shared = metricsFolder(env);
  return shared === undefined ? join(state, 'metrics', 'backup.prom') : join(resolve(shared), 'composure-backup.prom');
}
