import type { Project } from '../../project/model.ts';
import { withProjectLock } from '../../rollout/context.ts';
import { isCommitted, readUnfinished } from '../../rollout/journal.ts';
import { finishOrUndo } from '../../rollout/recover.ts';
import { openRollout } from '../context.ts';
import type { ProjectFlags } from '../flags.ts';
import type { Io } from '../io.ts';

export async function recoverCommand(
  io: Io,
  flags: ProjectFlags & { wait: number; dryRun?: boolean },
  loading: Promise<Project>,
): Promise<void> {
  const rollout = await openRollout(io, flags, loading);
  const print = (done: boolean, text: string): void =>
    io.stdout(flags.json ? `${JSON.stringify({ project: rollout.project.name, recovered: done, text })}\n` : `${text}\n`);
  if (flags.dryRun) {
    const unfinished = await readUnfinished(rollout.stateFolder, rollout.project.name);
    const what = unfinished && isCommitted(unfinished) ? 'would be finished' : 'would be taken back';
    print(
      false,
      unfinished
        ? `release ${unfinished.plan.release} of ${rollout.project.name} is unfinished and ${what}`
        : `nothing of ${rollout.project.name} is unfinished`,
    );
    return;
  }
  const text = await withProjectLock(rollout, 'recover', () => finishOrUndo(rollout));
  print(text !== undefined, text ?? `nothing of ${rollout.project.name} is unfinished`);
}
