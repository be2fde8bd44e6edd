import { join } from 'node:path';
import { projectFolder } from '../state/folder.ts';
import { type Journal, openJournal, readJournal } from '../state/journal.ts';
import { withoutService } from './leave.ts';
import type { Plan, StepKind } from './model.ts';

/** One line of a release's journal. It holds ids, names and reasons, never a value of the user's environment. */
export type Entry = { at: string } & (
  | { kind: 'plan'; plan: Plan }
  | { kind: 'begin'; step: string }
  | { kind: 'end'; step: string; created?: Record<string, string[]> }
  /** The release goes on without a service that failed. */
  | { kind: 'left'; service: string; why: string }
  /** From here on the release is taken back. */
  | { kind: 'undo'; why: string }
  | { kind: 'undone' }
  /** The release is complete; nothing is left to do. */
  | { kind: 'finished' }
);

/** What an unfinished journal tells. */
export interface Unfinished {
  plan: Plan;
  /** Steps that were begun, and those that were ended. */
  begun: Set<string>;
  ended: Set<string>;
  /** By service, in the order in which the plan's "new:<service>:<slot>" count them. */
  created: Record<string, string[]>;
  undoing: string | undefined;
  startedAt: string;
}

export const journalPath = (state: string, project: string): string => join(projectFolder(state, project), 'release.journal');
export const lockPath = (state: string, project: string): string => join(projectFolder(state, project), 'lock');

export const openReleaseJournal = (state: string, project: string, afterAppend?: (entry: Entry) => void): Promise<Journal<Entry>> =>
  openJournal<Entry>(journalPath(state, project), afterAppend);

/** The release that a crash left half done, or undefined. */
export async function readUnfinished(state: string, project: string): Promise<Unfinished | undefined> {
  return unfinishedOf(await readJournal<Entry>(journalPath(state, project)));
}

export function unfinishedOf(entries: Entry[]): Unfinished | undefined {
  let release: Unfinished | undefined;
  for (const entry of entries) {
    if (entry.kind === 'plan') {
      release = { plan: entry.plan, begun: new Set(), ended: new Set(), created: {}, undoing: undefined, startedAt: entry.at };
    } else if (entry.kind === 'finished' || entry.kind === 'undone') {
      release = undefined;
    } else if (release) {
      if (entry.kind === 'begin') release.begun.add(entry.step);
      if (entry.kind === 'undo') release.undoing = entry.why;
      if (entry.kind === 'left') release.plan = withoutService(release.plan, entry.service, entry.why);
      if (entry.kind === 'end') {
        release.ended.add(entry.step);
        for (const [service, ids] of Object.entries(entry.created ?? {}))
          release.created[service] = [...(release.created[service] ?? []), ...ids];
      }
    }
  }
  return release;
}

/** Past this step a release is finished, not taken back. */
export const isCommitted = (release: Unfinished): boolean => release.begun.has('commit');

/** Every kind of step there is; a release may crash at the beginning and at the end of each. */
export const STEP_KINDS = Object.keys({
  thaw: 0,
  create: 0,
  'run-job': 0,
  'prepare-edge': 0,
  start: 0,
  gate: 0,
  route: 0,
  drain: 0,
  wait: 0,
  stop: 0,
  remove: 0,
  'reload-proxy': 0,
  'take-over-port': 0,
  'give-port': 0,
  'leave-port': 0,
  restore: 0,
  'restore-edge': 0,
  watch: 0,
  commit: 0,
  record: 0,
} satisfies Record<StepKind, 0>) as StepKind[];
