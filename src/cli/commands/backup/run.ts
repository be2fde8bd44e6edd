import { observeStores } from '../../../backup/discover/observe.ts';
import { planBackup } from '../../../backup/discover/plan.ts';
import { printBackupPlan } from '../../../backup/discover/print.ts';
import { chosenStores, type RunDone, runBackup } from '../../../backup/run/run.ts';
import { formatBytes } from '../../../kit/amounts.ts';
import { formatMs } from '../../../kit/duration.ts';
import type { Project } from '../../../project/model.ts';
import type { ProjectFlags } from '../../flags.ts';
import type { Io } from '../../io.ts';
import { isScheduled, missingAddresses, openWorld, resticOf } from './open.ts';

export interface RunFlags extends ProjectFlags {
  only?: string[];
  dryRun?: boolean;
  wait: number;
}

export async function backupRunCommand(io: Io, flags: RunFlags, loading: Promise<Project>): Promise<void> {
  const world = await openWorld(io, flags, loading);
  const { name, services } = world.project;
  const only = flags.only ?? [];
  if (flags.dryRun) {
    const plan = planBackup(world.project, await observeStores(world));
    plan.warnings.push(...missingAddresses(world));
    const stores = chosenStores(plan, only, Object.keys(services));
    io.stdout(
      flags.json ? `${JSON.stringify({ project: name, dryRun: true, ...plan, stores })}\n` : printBackupPlan(name, { ...plan, stores }),
    );
    return;
  }
  for (const text of missingAddresses(world)) world.report({ kind: 'warning', text });
  const done = await runBackup(world, { only, scheduled: isScheduled(io), waitMs: flags.wait, open: () => resticOf(io, world) });
  io.stdout(
    flags.json ? `${JSON.stringify({ project: name, set: done.set, ...done.numbers, manifest: done.manifest })}\n` : doneText(name, done),
  );
}

/** What was made and what it is worth so far. Pure. */
export function doneText(project: string, { set, numbers, manifest }: RunDone): string {
  const { bytes, addedBytes, stores, seconds } = numbers;
  const what = manifest.only === undefined ? project : `${manifest.only.join(', ')} of ${project}`;
  return [
    `set ${set}: ${what} is saved, ${stores} ${stores === 1 ? 'store' : 'stores'}, ${formatBytes(bytes)}, ${formatBytes(addedBytes)} new, after ${formatMs(seconds * 1000)}`,
    manifest.only === undefined
      ? 'unproven until it has been restored: composure backup drill'
      : 'it holds these services alone: drills and rebuilds pass it over',
    '',
  ].join('\n');
}
