import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import type { Docker } from '../../docker/api.ts';
import { COMPOSE } from '../../docker/labels.ts';
import { Failure } from '../../kit/errors.ts';
import { readCurrentRelease } from '../../state/releases.ts';
import type { RebuildPlan } from './plan.ts';

/** What is on this machine already of what the plan would write. One sentence each. */
export async function findPresent(docker: Docker, stateFolder: string, plan: RebuildPlan): Promise<string[]> {
  const { project, folder, files, volumes, folders } = plan;
  const [containers, present, release] = await Promise.all([
    docker.listContainers([`${COMPOSE.project}=${project}`]),
    Promise.all(volumes.map(async (name) => ((await docker.findVolume(name)) ? [name] : []))),
    readCurrentRelease(stateFolder, project),
  ]);
  const filled = await Promise.all([folder, ...folders].map(async (path) => ((await hasEntries(path)) ? [path] : [])));
  const outside = files.filter(({ to }) => !to.startsWith(`${folder}/`) && existsSync(to));
  return [
    ...containers.flatMap(({ Names }) => Names.map((name) => `container ${name.slice(1)}`)),
    ...present.flat().map((name) => `volume ${name}`),
    ...filled.flat().map((path) => `folder ${path}, which is not empty`),
    ...outside.map(({ to }) => `file ${to}`),
    ...(release ? [`release ${release.number} of ${project}, in ${stateFolder}`] : []),
  ];
}

async function hasEntries(folder: string): Promise<boolean> {
  try {
    return (await readdir(folder)).length > 0;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ENOENT';
  }
}

/** Throws RESTORE_REFUSED that names all of it. */
export function refusePresent({ project, folder }: RebuildPlan, present: readonly string[]): void {
  if (present.length === 0) return;
  throw new Failure('RESTORE_REFUSED', `this machine has something of ${project} already, and a rebuild writes over nothing`, {
    where: folder,
    details: [...present.slice(0, 10), ...(present.length > 10 ? [`and ${present.length - 10} more`] : [])],
    next: 'to bring data back into a project that is there: composure backup restore. If a rebuild was killed here, remove what it left and run it again',
  });
}
