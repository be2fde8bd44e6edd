import type { BackupWorld, Manifest } from '../../../backup/model.ts';
import type { Restic } from '../../../backup/restic/program.ts';
import { printToProject } from '../../../backup/restore/print-to-project.ts';
import { planToProject, restoreToProject } from '../../../backup/restore/to-project.ts';
import { formatMs } from '../../../kit/duration.ts';
import { Failure } from '../../../kit/errors.ts';
import { ask } from '../../context.ts';
import type { Io } from '../../io.ts';

interface ToProjectFlags {
  to?: string;
  only?: string[];
  yes?: boolean;
  dryRun?: boolean;
  json?: boolean;
}

/** --to NAME: new volumes under another project's name; the first one is left alone. */
export async function toProject(io: Io, flags: ToProjectFlags, world: BackupWorld, restic: Restic, manifest: Manifest): Promise<void> {
  const plan = await planToProject(world, restic, manifest, flags.to ?? '', flags.only ?? []);
  const { project, set, volumes } = plan;
  if (flags.dryRun) {
    io.stdout(flags.json ? `${JSON.stringify({ project, set, volumes })}\n` : printToProject(plan));
    return;
  }
  if (!flags.json) io.stdout(`${printToProject(plan)}\n`);
  if (!(await ask(io, `Make these volumes of ${project}?`, flags.yes))) throw new Failure('DECLINED', 'not confirmed; nothing was touched');
  const began = performance.now();
  await restoreToProject(world, restic, manifest, plan);
  io.stdout(
    flags.json
      ? `${JSON.stringify({ project, set, volumes })}\n`
      : `set ${set} is in the volumes of ${project} after ${formatMs(performance.now() - began)}; start it in the project’s folder: docker compose -p ${project} up -d\n`,
  );
}
