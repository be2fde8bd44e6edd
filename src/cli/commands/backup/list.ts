import { provenSets, readResults } from '../../../backup/proven.ts';
import { listSets, projectsOf } from '../../../backup/sets.ts';
import { second } from '../../../kit/time.ts';
import type { Project } from '../../../project/model.ts';
import type { ProjectFlags } from '../../flags.ts';
import type { Io } from '../../io.ts';
import { table } from '../../render/table.ts';
import { openBackup } from './open.ts';

export async function backupListCommand(io: Io, flags: ProjectFlags, loading: Promise<Project>): Promise<void> {
  const { world, restic } = await openBackup(io, flags, loading);
  const { name } = world.project;
  const [all, history] = await Promise.all([listSets(restic), readResults(world.stateFolder, name)]);
  const sets = all.filter(({ project }) => project === name);
  const proven = provenSets(history);
  const listed = sets.map((set) => ({ ...set, proven: proven.get(set.set) }));
  if (flags.json) {
    io.stdout(`${JSON.stringify({ project: name, repository: restic.repository, sets: listed })}\n`);
    return;
  }
  if (listed.length === 0) {
    io.stdout(`${restic.repository} has no backup of ${name} yet: composure backup run makes one\n`);
    if (all.length > 0) io.stdout(`it has backups of ${projectsOf(all).join(', ')}: --project-name NAME lists them\n`);
    return;
  }
  const rows = listed.map((set) => [
    set.set,
    second(set.at),
    `${set.snapshots.flatMap(({ stores }) => stores).filter((store) => store !== 'manifest').length}`,
    set.host,
    set.complete ? provenText(set.proven) : 'incomplete: does not count',
    [...(set.safety ? ['before a restore'] : []), ...(set.only ? [`only ${set.only.join(', ')}`] : [])].join(', '),
  ]);
  io.stdout(table(['SET', 'SAVED (UTC)', 'STORES', 'HOST', 'PROVEN', ''], rows));
}

/** "proven <when>" or "unproven", wherever a set is shown. */
export const provenText = (at: string | undefined): string => (at === undefined ? 'unproven' : `proven ${second(at)}`);
