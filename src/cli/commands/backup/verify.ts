import { readResults } from '../../../backup/proven.ts';
import { withBackupLock } from '../../../backup/run/lock.ts';
import { recorded } from '../../../backup/run/record.ts';
import { DEFAULT_PARTS, nextPart, type Reading, verify } from '../../../backup/verify.ts';
import type { Project } from '../../../project/model.ts';
import type { ProjectFlags } from '../../flags.ts';
import type { Io } from '../../io.ts';
import { isScheduled, openBackup } from './open.ts';

export interface VerifyFlags extends ProjectFlags {
  all?: boolean;
  wait: number;
}

export async function backupVerifyCommand(io: Io, flags: VerifyFlags, loading: Promise<Project>): Promise<void> {
  const { world, restic } = await openBackup(io, flags, loading);
  const parts = world.project.settings.backup?.verify?.parts ?? DEFAULT_PARTS;
  const verified = await recorded(world, { kind: 'verify', scheduled: isScheduled(io) }, (known) =>
    withBackupLock(world, 'backup verify', flags.wait, async () => {
      const reading: Reading = flags.all
        ? { all: true }
        : { all: false, parts, part: nextPart(await readResults(world.stateFolder, world.project.name), parts) };
      return verify(restic, world, reading, known, { waitMs: flags.wait });
    }),
  );
  if (flags.json) {
    io.stdout(`${JSON.stringify({ project: world.project.name, repository: restic.repository, ok: true, ...verified })}\n`);
    return;
  }
  const { reading, numbers } = verified;
  io.stdout(
    `${restic.repository} is whole: ${reading.all ? 'all data read' : `part ${reading.part} of ${reading.parts} read`}, all ${numbers.snapshots} snapshots of ${numbers.sets} sets there\n`,
  );
  if (!reading.all && parts > 1) io.stdout(`the other parts follow in the next ${parts - 1} runs; --all reads everything now\n`);
}
