import { prepareDrill, runDrill } from '../../../backup/drill/drill.ts';
import { removeOldFiles } from '../../../backup/drill/make.ts';
import { printDrillPlan, printEvidence } from '../../../backup/drill/print.ts';
import type { BackupWorld } from '../../../backup/model.ts';
import { drillLockPath } from '../../../backup/places.ts';
import { recorded } from '../../../backup/run/record.ts';
import { keptScratch, removeScratch } from '../../../backup/stage/scratch.ts';
import { Failure } from '../../../kit/errors.ts';
import type { Project } from '../../../project/model.ts';
import { describeHolder, takeLock } from '../../../state/lock.ts';
import type { ProjectFlags } from '../../flags.ts';
import type { Io } from '../../io.ts';
import { isScheduled, openBackup, openWorld } from './open.ts';

export interface DrillFlags extends ProjectFlags {
  set?: string;
  at?: string;
  keep?: boolean;
  remove?: string;
  dryRun?: boolean;
  wait: number;
}

export async function backupDrillCommand(io: Io, flags: DrillFlags, loading: Promise<Project>): Promise<void> {
  if (flags.remove !== undefined) return removeKept(io, flags, flags.remove, await openWorld(io, flags, loading));
  const { world, restic } = await openBackup(io, flags, loading);
  const which = { ...(flags.set === undefined ? {} : { set: flags.set }), ...(flags.at === undefined ? {} : { at: flags.at }) };
  if (flags.dryRun) {
    const { plan } = await prepareDrill(world, restic, which, { fetch: false });
    const { source: _secret, ...shown } = plan;
    io.stdout(flags.json ? `${JSON.stringify({ dryRun: true, ...shown })}\n` : printDrillPlan(world.project.name, plan));
    return;
  }
  const evidence = await recorded(world, { kind: 'drill', scheduled: isScheduled(io) }, (known) =>
    alone(world, flags.wait, () => runDrill(world, restic, { ...which, keep: flags.keep ?? false }, known)),
  );
  io.stdout(flags.json ? `${JSON.stringify(evidence)}\n` : printEvidence(evidence));
}

/** Two drills of a project would only take each other's memory. */
async function alone<T>({ stateFolder, project, report, signal }: BackupWorld, waitMs: number, work: () => Promise<T>): Promise<T> {
  const lock = await takeLock(drillLockPath(stateFolder, project.name), {
    purpose: 'backup drill',
    waitMs,
    signal,
    onWait: (holder) => report({ kind: 'note', text: `waiting for ${describeHolder(holder)}` }),
  });
  try {
    return await work();
  } finally {
    await lock.release();
  }
}

async function removeKept(io: Io, flags: DrillFlags, id: string, { docker, project, stateFolder }: BackupWorld): Promise<void> {
  const kept = await keptScratch(docker, project.name);
  if (!kept.includes(id)) {
    throw new Failure('USAGE', `no drill of ${project.name} was kept under the id ${id}`, {
      next: kept.length === 0 ? 'there is nothing to remove' : `kept ones: ${kept.join(', ')}`,
    });
  }
  const removed = flags.dryRun ? 0 : await removeScratch(docker, id);
  if (!flags.dryRun) await removeOldFiles(docker, stateFolder, project.name);
  if (flags.json) io.stdout(`${JSON.stringify({ project: project.name, id, dryRun: flags.dryRun ?? false, removed })}\n`);
  else if (flags.dryRun) io.stdout(`would remove the containers, networks and volumes of the kept drill ${id}\n`);
  else io.stdout(`the kept drill ${id} is gone: ${removed} containers, networks and volumes\n`);
}
