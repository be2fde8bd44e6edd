import { Cron } from 'croner';
import type { BackupSettings } from '../project/model.ts';
import type { BackupResult } from './model.ts';
import { ofTheProject } from './run/history.ts';

/** What the agent starts by itself. */
export type Job = 'run' | 'prune' | 'verify' | 'drill';

export interface DueJob {
  job: Job;
  /** The time that it was planned for, ISO 8601; long ago where the agent did not run then. */
  since: string;
}

/** A pruned repository is pruned again after a run once this much time has passed. */
const PRUNE_EVERY_MS = 20 * 3_600_000;

/** In the order in which they are done when several are due at once: what is new is saved before anything is removed or looked through. */
const ORDER: readonly Job[] = ['run', 'prune', 'verify', 'drill'];

export interface Course {
  settings: BackupSettings;
  /** When the agent first knew of these settings, ISO 8601: nothing planned for an earlier time is made up for. */
  since: string;
  /** Since when the project is down on purpose, ISO 8601: nothing of it is saved until it is up again, and then at once where a time has passed. */
  downSince?: string;
  history: readonly BackupResult[];
}

/**
 * What is due. A time that passed while nobody could do it is made up for once, however many passed. What was tried is not tried again
 * before its next time, whether a person or the agent tried it. Pure.
 */
export function dueJobs(course: Course, now: Date): DueJob[] {
  return ORDER.flatMap((job) => {
    const at = nextTime(course, job, now);
    return at === undefined || at.getTime() > now.getTime() ? [] : [{ job, since: at.toISOString() }];
  });
}

/** When a job's turn is: in the past while it is due. Undefined: never by itself. Pure. */
export function nextTime({ settings, since, downSince, history: noted }: Course, job: Job, now: Date): Date | undefined {
  if (settings.repository === undefined || settings.schedule === undefined) return undefined;
  if (job === 'run' && downSince !== undefined) return undefined;
  // A clock that was ahead and was put right must not put the next backup off until then.
  const history = ofTheProject(noted).filter(({ startedAt }) => Date.parse(startedAt) <= now.getTime());
  const last = history.findLast(({ kind }) => kind === job);
  const from = new Date(Math.max(Math.min(Date.parse(since), now.getTime()), last === undefined ? 0 : Date.parse(last.startedAt)));
  if (job === 'prune') return settings.appendOnly ? undefined : nextPrune(history, last);
  const pattern = job === 'run' ? settings.schedule : settings[job]?.schedule;
  if (pattern === undefined) return undefined;
  // Nothing can be checked or restored before there is a set.
  if (job !== 'run' && !history.some(({ kind, ok }) => kind === 'run' && ok)) return undefined;
  return nextRun(pattern, settings.timezone, from);
}

/** After the first run that went well since the last pruning, and not more than once a day. */
function nextPrune(history: readonly BackupResult[], last: BackupResult | undefined): Date | undefined {
  const pruned = last === undefined ? Number.NEGATIVE_INFINITY : Date.parse(last.startedAt);
  const run = history.find(({ kind, ok, endedAt }) => kind === 'run' && ok && Date.parse(endedAt) > pruned);
  return run === undefined ? undefined : new Date(Math.max(Date.parse(run.endedAt), pruned + PRUNE_EVERY_MS));
}

/** The first time of a cron expression after a moment. Undefined when it has none, or is no cron expression. Pure. */
export function nextRun(pattern: string, timezone: string, after: Date): Date | undefined {
  try {
    return new Cron(pattern, { timezone, mode: '5-part', paused: true }).nextRun(after) ?? undefined;
  } catch {
    return undefined;
  }
}
