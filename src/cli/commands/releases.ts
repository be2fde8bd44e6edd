import { stateFolder } from '../../state/folder.ts';
import { type ReleaseRecord, readReleases } from '../../state/releases.ts';
import type { ProjectFlags } from '../flags.ts';
import type { Io } from '../io.ts';
import { projectName } from '../project-name.ts';
import { table } from '../render/table.ts';

export async function releasesCommand(io: Io, flags: ProjectFlags): Promise<void> {
  const project = await projectName(io, flags);
  const releases = (await readReleases(stateFolder(io.env), project)).reverse();
  if (flags.json) {
    io.stdout(`${JSON.stringify({ project, releases })}\n`);
    return;
  }
  if (releases.length === 0) {
    io.stdout(`${project} has no release yet: composure deploy makes the first\n`);
    return;
  }
  const rows = releases.map((release, index) => [
    `${release.number}${index === 0 ? ' (current)' : ''}`,
    release.at.replace('T', ' ').slice(0, 19),
    release.by,
    kindOf(release),
    Object.entries(release.services)
      .map(([service, { image, replicas }]) => `${replicas} ${service} (${image.replace(/^sha256:/, '').slice(0, 40)})`)
      .join(', '),
  ]);
  io.stdout(table(['RELEASE', 'AT (UTC)', 'BY', 'KIND', 'SERVICES'], rows));
}

const kindOf = (release: ReleaseRecord): string => (release.of === undefined ? release.kind : `${release.kind} to ${release.of}`);
