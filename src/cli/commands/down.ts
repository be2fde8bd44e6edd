import { rm } from 'node:fs/promises';
import { noteDown, readRegistration } from '../../backup/registration.ts';
import { composeDown } from '../../docker/release.ts';
import { thawFrozen } from '../../docker/thaw.ts';
import { removeProjectNetwork } from '../../edge/network.ts';
import { Failure } from '../../kit/errors.ts';
import type { Project } from '../../project/model.ts';
import { listProjectContainers, serviceOf } from '../../rollout/containers.ts';
import { withProjectLock } from '../../rollout/context.ts';
import { journalPath } from '../../rollout/journal.ts';
import { ask, openRollout } from '../context.ts';
import type { ProjectFlags } from '../flags.ts';
import type { Io } from '../io.ts';

interface DownFlags extends ProjectFlags {
  yes?: boolean;
  dryRun?: boolean;
  wait: number;
  volumes?: boolean;
}

export async function downCommand(io: Io, flags: DownFlags, loading: Promise<Project>): Promise<void> {
  const rollout = await openRollout(io, flags, loading);
  const { project, docker, edge, report } = rollout;
  const containers = await listProjectContainers(docker, project.name);
  const routes = Object.keys((await edge.read()).projects[project.name]?.backends ?? {});
  const volumes = Object.values(project.volumes)
    .filter(({ external }) => !external)
    .map(({ name }) => name);
  const lines = [
    `Down: ${project.name}`,
    ...(routes.length > 0 ? [`  1  take ${routes.length} routes out of the edge`] : []),
    `  2  stop and remove ${containers.length} containers: ${[...new Set(containers.map(({ Labels }) => serviceOf(Labels)))].sort().join(', ') || 'none'}`,
    ...(flags.volumes ? [`  3  remove the volumes, and all that is in them: ${volumes.join(', ') || 'none'}`] : []),
    ...((await readRegistration(rollout.stateFolder, project.name))
      ? ['     its scheduled backups wait until it is up again; the sets in the repository stay, and are checked and drilled as before']
      : []),
  ];
  if (flags.dryRun) {
    io.stdout(
      flags.json
        ? `${JSON.stringify({ project: project.name, routes, containers: containers.map(({ Id }) => Id), volumes: flags.volumes ? volumes : [] })}\n`
        : `${lines.join('\n')}\n`,
    );
    return;
  }
  if (!flags.json) io.stdout(`${lines.join('\n')}\n`);
  if (!(await ask(io, `Do this on ${project.name}?`, flags.yes))) throw new Failure('DECLINED', 'not confirmed; nothing was touched');
  await withProjectLock(rollout, 'down', async () => {
    if (routes.length > 0) {
      await edge.change((state) => {
        const { [project.name]: _gone, ...projects } = state.projects;
        return { ...state, projects };
      });
    }
    await thawFrozen(docker, rollout.stateFolder, project.name);
    await composeDown(project.compose, ['--remove-orphans', ...(flags.volumes ? ['--volumes'] : [])], (text) =>
      report({ kind: 'output', source: 'compose', text }),
    );
    await removeProjectNetwork(docker, edge.name, project.name);
    // What was half done no longer matters: nothing of it is left.
    await rm(journalPath(rollout.stateFolder, project.name), { force: true });
    await noteDown(rollout.stateFolder, project.name, new Date());
  });
  io.stdout(flags.json ? `${JSON.stringify({ project: project.name, down: true })}\n` : `${project.name} is down\n`);
}
