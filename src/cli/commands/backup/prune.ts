import { applyPrune, readPrunePlan } from '../../../backup/prune.ts';
import { type PrunePlan, printPrune } from '../../../backup/retention.ts';
import { withBackupLock } from '../../../backup/run/lock.ts';
import { recorded } from '../../../backup/run/record.ts';
import { Failure } from '../../../kit/errors.ts';
import type { Project } from '../../../project/model.ts';
import { ask } from '../../context.ts';
import type { ProjectFlags } from '../../flags.ts';
import type { Io } from '../../io.ts';
import { isScheduled, openBackup } from './open.ts';

export interface PruneFlags extends ProjectFlags {
  yes?: boolean;
  dryRun?: boolean;
  wait: number;
}

export async function backupPruneCommand(io: Io, flags: PruneFlags, loading: Promise<Project>): Promise<void> {
  const { world, restic } = await openBackup(io, flags, loading);
  const show = (plan: PrunePlan, dryRun: boolean): void =>
    io.stdout(flags.json ? `${JSON.stringify({ project: world.project.name, dryRun, ...plan })}\n` : printPrune(plan));
  if (flags.dryRun) {
    show(await readPrunePlan(restic, world), true);
    return;
  }
  await recorded(world, { kind: 'prune', scheduled: isScheduled(io) }, () =>
    withBackupLock(world, 'backup prune', flags.wait, async () => {
      const plan = await readPrunePlan(restic, world);
      if (!flags.json) show(plan, false);
      if (plan.remove.length > 0 && !(await ask(io, 'Remove these for good?', flags.yes)))
        throw new Failure('DECLINED', 'not confirmed; nothing was removed');
      const done = await applyPrune(restic, world, plan, { waitMs: flags.wait });
      if (flags.json) show(plan, false);
      return done;
    }),
  );
}
