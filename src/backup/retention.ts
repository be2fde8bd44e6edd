import { Failure } from '../kit/errors.ts';
import { second } from '../kit/time.ts';
import type { KeepRules } from '../project/model.ts';
import type { Snapshot } from './known-snapshots.ts';
import type { BackupSet } from './model.ts';
import { isWhole } from './sets.ts';

/** A prune as data: what stays and why, what goes and why. */
export interface PrunePlan {
  keep: { set: string; at: string; reasons: string[] }[];
  remove: { set: string; at: string; why: string; manifest?: string; snapshots: string[] }[];
}

/** `restic forget --dry-run --json`, of the one group that there is. */
export interface ForgetDecision {
  keep: Snapshot[] | null;
  remove: Snapshot[] | null;
  reasons?: { snapshot: Snapshot; matches: string[] }[];
}

const DAY_MS = 86_400_000;

/** A run that failed may be tried again from what it saved, and one that is at work has no manifest yet. */
const LEFTOVER_MS = DAY_MS;

/** How long a set stays that no rule counts: one of chosen services without rules of their own, or of what a restore replaced. */
const EXTRA_DAYS = 30;

/** Clocks of hosts that save into one repository differ by less. */
const SKEW_MS = 3_600_000;

/** restic's options for the rules. Failure RETENTION_REFUSED when they would keep nothing. Pure. */
export function keepArgs(keep: KeepRules, of = 'x-composure.backup'): string[] {
  const rules = Object.entries(keep).filter(([, value]) => value !== 0 && value !== undefined);
  if (rules.length === 0) {
    throw new Failure('RETENTION_REFUSED', `the rules of ${of} would keep no backup at all`, {
      next: 'give at least one keep-* rule above 0, or leave them all out',
    });
  }
  return rules.flatMap(([rule, value]) => [`--keep-${rule}`, String(value)]);
}

/** A set that counts by the rules of one service: it alone was saved. Pure. */
export const isOfService = ({ complete, safety, only }: BackupSet, service: string): boolean =>
  complete && !safety && only?.join() === service;

/**
 * restic's decision about the manifests becomes one about sets. On top of the rules the newest whole set stays, the newest one that was
 * restored for proof, and the newest one of each service with rules of its own. `proven`: when, by set id; `services`: restic's decisions
 * by service. Failure RETENTION_REFUSED for a set that is dated in the future: rules that count from the newest set would remove the real
 * ones. Pure.
 */
export function planPrune(
  sets: readonly BackupSet[],
  decision: ForgetDecision,
  { proven, services = {}, now }: { proven: ReadonlyMap<string, string>; services?: Record<string, ForgetDecision>; now: Date },
): PrunePlan {
  const future = sets.find(({ at }) => Date.parse(at) > now.getTime() + SKEW_MS);
  if (future) {
    throw new Failure('RETENTION_REFUSED', `the set ${future.set} is dated in the future: ${future.at}`, {
      details: [`this machine’s clock says ${now.toISOString()}`],
      next: `set the clock right; if the set was saved under a wrong clock: restic forget ${(future.manifest ?? future.snapshots[0]?.id ?? '').slice(0, 8)}`,
    });
  }
  const decisions = [decision, ...Object.values(services)];
  const reasons = new Map(decisions.flatMap(({ reasons = [] }) => reasons).map(({ snapshot, matches }) => [snapshot.id, matches]));
  const removed = new Set(decisions.flatMap(({ remove }) => remove ?? []).map(({ id }) => id));
  const byTime = [...sets].sort((a, b) => Date.parse(b.at) - Date.parse(a.at));
  const whole = byTime.filter(isWhole);
  const newest = [whole[0], ...Object.keys(services).map((service) => byTime.find((set) => isOfService(set, service)))];
  const newestProven = whole.find(({ set }) => proven.has(set));

  const plan: PrunePlan = { keep: [], remove: [] };
  for (const set of sets) {
    const ageMs = now.getTime() - Date.parse(lastOf(set));
    const keep = (why: string[]) => plan.keep.push({ set: set.set, at: set.at, reasons: why });
    const remove = (why: string) =>
      plan.remove.push({
        set: set.set,
        at: set.at,
        why,
        ...(set.manifest === undefined ? {} : { manifest: set.manifest }),
        snapshots: set.snapshots.map(({ id }) => id),
      });
    if (!set.complete) {
      if (ageMs > LEFTOVER_MS) remove('it has no manifest: its run failed or was killed');
      else keep(['younger than a day and without a manifest: its run may be at work']);
    } else if (!isWhole(set) && !Object.keys(services).some((service) => isOfService(set, service))) {
      const what = set.safety ? 'made before a restore' : `of ${set.only?.join(', ')} only`;
      if (ageMs > EXTRA_DAYS * DAY_MS) remove(`${what}, older than ${EXTRA_DAYS} days`);
      else keep([`${what}, younger than ${EXTRA_DAYS} days`]);
    } else {
      const why = [
        ...(reasons.get(set.manifest ?? '') ?? []),
        ...(newest.includes(set) ? ['newest'] : []),
        ...(set === newestProven ? ['newest that was restored for proof'] : []),
      ];
      // What restic was not asked about, because it was saved a moment ago, stays.
      if (why.length > 0 || !removed.has(set.manifest ?? '')) keep(why.length > 0 ? why : ['not judged yet']);
      else remove('no rule keeps it');
    }
  }
  return plan;
}

const lastOf = ({ at, snapshots }: BackupSet): string => snapshots.map((snapshot) => snapshot.at).reduce((a, b) => (a > b ? a : b), at);

/** The text that --dry-run and the question show. Pure. */
export function printPrune({ keep, remove }: PrunePlan): string {
  return [
    ...keep.map(({ set, at, reasons }) => `  keep    ${set}  ${second(at)}  ${reasons.join(', ')}`),
    ...remove.map(({ set, at, why, snapshots }) => `- remove  ${set}  ${second(at)}  ${why} (${count(snapshots.length, 'snapshot')})`),
    `${count(keep.length, 'set')} kept, ${remove.length} removed`,
    '',
  ].join('\n');
}

const count = (number: number, what: string): string => `${number} ${what}${number === 1 ? '' : 's'}`;
