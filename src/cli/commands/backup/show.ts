import { printManifest } from '../../../backup/print-manifest.ts';
import { provenSets, readResults } from '../../../backup/proven.ts';
import { missingStores, readManifest, readSet } from '../../../backup/sets.ts';
import { Failure } from '../../../kit/errors.ts';
import type { Project } from '../../../project/model.ts';
import type { ProjectFlags } from '../../flags.ts';
import type { Io } from '../../io.ts';
import { provenText } from './list.ts';
import { openBackup } from './open.ts';

export async function backupShowCommand(
  io: Io,
  set: string | undefined,
  flags: ProjectFlags & { at?: string },
  loading: Promise<Project>,
): Promise<void> {
  if (set !== undefined && flags.at !== undefined)
    throw new Failure('USAGE', 'a set is named by its id or by a time, not by both', { next: 'leave out one of them' });
  const { world, restic } = await openBackup(io, flags, loading);
  const { name } = world.project;
  const which = { ...(set === undefined ? {} : { set }), ...(flags.at === undefined ? {} : { at: flags.at }) };
  const [found, history] = await Promise.all([readSet(restic, name, which), readResults(world.stateFolder, name)]);
  const manifest = await readManifest(restic, found);
  const missing = missingStores(manifest, found).map(({ id }) => id);
  const proven = provenSets(history).get(found.set);
  io.stdout(
    flags.json
      ? `${JSON.stringify({ ...found, proven, missing, contents: manifest })}\n`
      : printManifest(manifest, { proven: provenText(proven), missing }),
  );
}
