import { Cron } from 'croner';
import type { BackupSettings } from '../project/model.ts';
import type { BackupResult } from './model.ts';
import { ofTheProject } from './run/history.ts';

/** What the agent starts by itself. */
export type Job = 'run' | 'prune' | 'verify' | 'drill';

/** A job, of one service alone where it has a schedule of its own. */
export interface Turn {
  job: Job;
  service?: string;
}

export interface DueJob extends Turn {
  /** The time that it was planned for, ISO 8601; long ago where the agent did not run then. */
  since: string;
}

/** A pruned repository is pruned again after a run once this much time has passed. */
const PRUNE_EVERY_MS = 20 * 3_600_000;

/** In the order in which they are done when several are due at once: what is new is saved before anything is removed or looked through. Pure. */
export const turnsOf = ({ services = {} }: Pick<Course, 'services'>): Turn[] => [
  { job: 'run' },
  ...Object.keys(services).map((service): Turn => ({ job: 'run', service })),
  { job: 'prune' },
  { job: 'verify' },
  { job: 'drill' },
];

export interface Course {
  settings: BackupSettings;
  /** Cron by service that is saved alone besides. */
  services?: Record<string, string>;
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
  return turnsOf(course).flatMap((turn) => {
    const at = nextTime(course, turn, now);
    return at === undefined || at.getTime() > now.getTime() ? [] : [{ ...turn, since: at.toISOString() }];
  });
}

/** When a job's turn is: in the past while it is due. Undefined: never by itself. Pure. */
export function nextTime({ settings, services = {}, since, downSince, history: noted }: Course, turn: Turn, now: Date): Date | undefined {
  const { job, service } = turn;
  if (settings.repository === undefined || (job === 'run' && downSince !== undefined)) return undefined;
  // A clock that was ahead and was put right must not put the next backup off until then.
  const past = noted.filter(({ startedAt }) => Date.parse(startedAt) <= now.getTime());
  if (job === 'prune') {
    if (settings.appendOnly || (settings.schedule === undefined && Object.keys(services).length === 0)) return undefined;
    return nextPrune(past.filter(({ only }) => only?.every((name) => services[name] !== undefined) ?? true));
  }
  const history = service === undefined ? ofTheProject(past) : past.filter(({ only }) => only === undefined || only.includes(service));
  const last = history.findLast(({ kind }) => kind === job);
  const from = new Date(Math.max(Math.min(Date.parse(since), now.getTime()), last === undefined ? 0 : Date.parse(last.startedAt)));
  const pattern = service !== undefined ? services[service] : job === 'run' ? settings.schedule : settings[job]?.schedule;
  if (pattern === undefined || (service === undefined && settings.schedule === undefined)) return undefined;
  // Nothing can be checked or restored before there is a set.
  if (job !== 'run' && !history.some(({ kind, ok }) => kind === 'run' && ok)) return undefined;
  return nextRun(pattern, settings.timezone, from);
}

/** After the first run that went well since the last pruning, and not more than once a day. */
function nextPrune(history: readonly BackupResult[]): Date | undefined {
  const last = history.findLast(({ kind }) => kind === 'prune');
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
