import { Failure } from '../kit/errors.ts';
import { forgetKnown } from './known-snapshots.ts';
import type { BackupSet, BackupWorld } from './model.ts';
import { provenSets, readResults } from './proven.ts';
import { resticFailure } from './restic/outcome.ts';
import type { Restic } from './restic/program.ts';
import { type ForgetDecision, isOfService, keepArgs, type PrunePlan, planPrune } from './retention.ts';
import { isWhole, listSets } from './sets.ts';
import { removeLocks } from './unlock.ts';

/** What a prune would do now. Changes nothing. Throws RETENTION_REFUSED, REPOSITORY_*. */
export async function readPrunePlan(restic: Restic, { project, stateFolder }: BackupWorld, now = new Date()): Promise<PrunePlan> {
  const rules = keepArgs(project.settings.backup?.keep ?? {});
  const [sets, history] = await Promise.all([listSets(restic, project.name), readResults(stateFolder, project.name)]);
  // Sets without a manifest, and those that these rules are not for, must not take the place of one that counts.
  const decide = async (args: string[], counts: (set: BackupSet) => boolean, of?: string): Promise<ForgetDecision> => {
    const judged = sets.filter(counts).flatMap(({ set }) => ['--tag', `composure,project=${project.name},set=${set},store=manifest`]);
    return judged.length > 0 ? await ask(restic, [...args, ...judged], of) : { keep: [], remove: [] };
  };
  const own = Object.values(project.services).flatMap(({ name, backup }) => (backup?.keep ? [{ name, keep: backup.keep }] : []));
  const services: Record<string, ForgetDecision> = {};
  for (const { name, keep } of own) {
    const of = `x-backup of ${name}`;
    services[name] = await decide(keepArgs(keep, of), (set) => isOfService(set, name), of);
  }
  return planPrune(sets, await decide(rules, isWhole), { proven: provenSets(history), services, now });
}

async function ask(restic: Restic, args: string[], of = 'x-composure.backup'): Promise<ForgetDecision> {
  const result = await restic.run(['forget', '--dry-run', '--json', '--no-lock', '--group-by', '', ...args]);
  if (result.code !== 0) throw resticFailure(result, 'apply the rules to the backups', restic.repository);
  const [group] = JSON.parse(result.stdout) as ForgetDecision[];
  if (!group?.keep?.length) {
    throw new Failure('RETENTION_REFUSED', `the rules of ${of} would keep no backup at all`, {
      next: 'give at least one keep-* rule that keeps the newest one, such as keep-last: 7',
    });
  }
  return group;
}

/** Arguments of one call: far below what the kernel takes. */
const MOST_IDS = 500;

/**
 * Forgets the snapshots of the sets that go, and has restic remove what nothing uses any more. Manifests go first: a set that is half gone
 * when this is killed has none, and the next prune takes the rest.
 */
export async function applyPrune(
  restic: Restic,
  { report, signal }: Pick<BackupWorld, 'report' | 'signal'>,
  plan: PrunePlan,
  { waitMs = 0 } = {},
): Promise<{ numbers: Record<string, number> }> {
  const began = performance.now();
  const step = 'prune';
  report({ kind: 'step-start', step, text: `remove ${plan.remove.length} of ${plan.remove.length + plan.keep.length} sets` });
  try {
    await removeLocks(restic);
    const retry = waitMs > 0 ? ['--retry-lock', `${Math.ceil(waitMs / 1000)}s`] : [];
    const manifests = plan.remove.flatMap(({ manifest }) => (manifest === undefined ? [] : [manifest]));
    const others = plan.remove.flatMap(({ snapshots }) => snapshots).filter((id) => !manifests.includes(id));
    for (const ids of [...chunks(manifests), ...chunks(others)]) {
      const forgotten = await restic.run(['forget', '--json', ...retry, ...ids], { signal });
      if (forgotten.code !== 0) throw resticFailure(forgotten, 'forget snapshots', restic.repository);
    }
    await forgetKnown(restic, [...manifests, ...others]);
    const pruned = await restic.run(['prune', ...retry], { signal });
    if (pruned.code !== 0) throw resticFailure(pruned, 'prune the repository', restic.repository);
    const freed = /^total prune: +(.*)$/m.exec(pruned.stdout)?.[1];
    report({ kind: 'step-done', step, text: freed === undefined ? '' : `${freed} freed`, ms: performance.now() - began });
    return {
      numbers: { removedSets: plan.remove.length, keptSets: plan.keep.length, removedSnapshots: manifests.length + others.length },
    };
  } catch (error) {
    report({ kind: 'step-failed', step, text: (error as Error).message, ms: performance.now() - began });
    throw error;
  }
}

const chunks = (ids: readonly string[]): string[][] =>
  Array.from({ length: Math.ceil(ids.length / MOST_IDS) }, (_, index) => ids.slice(index * MOST_IDS, (index + 1) * MOST_IDS));
