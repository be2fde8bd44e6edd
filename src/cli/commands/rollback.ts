import type { Project } from '../../project/model.ts';
import { observe } from '../../rollout/observe.ts';
import { planRelease } from '../../rollout/plan.ts';
import { findTarget, rollback, rollbackProject } from '../../rollout/rollback.ts';
import { openRollout } from '../context.ts';
import type { ProjectFlags } from '../flags.ts';
import type { Io } from '../io.ts';
import { confirm, printDryRun, printReleased } from './deploy.ts';

interface RollbackFlags extends ProjectFlags {
  yes?: boolean;
  dryRun?: boolean;
  wait: number;
  ignoreUnhealthy?: boolean;
}

export async function rollbackCommand(io: Io, release: number | undefined, flags: RollbackFlags, loading: Promise<Project>): Promise<void> {
  const rollout = await openRollout(io, flags, loading);
  if (flags.dryRun) {
    const target = await findTarget(rollout, release);
    const { project, reusable } = await rollbackProject(rollout, target);
    const observed = await observe(project, rollout.docker, rollout.edge, rollout.stateFolder);
    printDryRun(io, planRelease(project, observed, { kind: 'rollback', of: target.number, only: [], force: false, reusable }), flags.json);
    return;
  }
  const released = await rollback(rollout, release, {
    ignoreUnhealthy: flags.ignoreUnhealthy ?? false,
    confirm: (plan) => confirm(io, plan, flags),
  });
  printReleased(io, released, flags.json);
  if (!flags.json && released.changed)
    io.stdout('your files still describe the newer release: the next deploy, or docker compose up -d, goes forward again\n');
}
