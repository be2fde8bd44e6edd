import { stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { ContainerSummary, Docker } from '../../docker/api.ts';
import { COMPOSE } from '../../docker/labels.ts';
import type { Project } from '../../project/model.ts';
import { listProjectContainers } from '../../rollout/containers.ts';
import { serverTypeOf } from '../dumps/list.ts';
import { isWithin } from '../files/mounts.ts';
import type { Place, Unit } from './model.ts';
import { containerName, containersWith } from './mounted.ts';
import { whyNoSwap } from './swap.ts';

export interface RestoreSight {
  /** With whether each can be replaced where it is, and whether its server answers. */
  units: Unit[];
  /** Services with containers at work. */
  running: string[];
}

/** Looks once at what a restore would replace. */
export async function observeRestore(docker: Docker, project: Project, units: readonly Unit[]): Promise<RestoreSight> {
  const atWork = await containersAtWork(docker, project);
  return {
    units: await Promise.all(units.map((unit) => lookAt(docker, project, unit, atWork))),
    running: servicesOf(atWork),
  };
}

/** Services with containers at work now. */
export const runningServices = async (docker: Docker, project: Pick<Project, 'name'>): Promise<string[]> =>
  servicesOf(await containersAtWork(docker, project));

async function containersAtWork(docker: Docker, { name }: Pick<Project, 'name'>): Promise<ContainerSummary[]> {
  const containers = await listProjectContainers(docker, name);
  return containers.filter(({ State }) => State === 'running' || State === 'paused' || State === 'restarting');
}

const servicesOf = (containers: readonly ContainerSummary[]): string[] =>
  [...new Set(containers.map(({ Labels }) => Labels[COMPOSE.service] ?? ''))].sort();

async function lookAt(docker: Docker, project: Project, unit: Unit, atWork: readonly ContainerSummary[]): Promise<Unit> {
  if (unit.refused !== undefined) return unit;
  const problems = await Promise.all(unit.places.map((place) => whyNotHere(docker, project, place)));
  const refused = problems.find((problem) => problem !== undefined);
  if (refused !== undefined) return { ...unit, refused };
  return unit.kind === 'database' ? { ...unit, answers: await answers(docker, unit, atWork) } : unit;
}

async function whyNotHere(docker: Docker, project: Project, { live }: Place): Promise<string | undefined> {
  if (!live) return undefined;
  if ('folder' in live && project.files.some((file) => isWithin(file, live.folder)))
    return `${live.folder} holds the project’s own files, which are never written over`;
  if ('folder' in live) return (await whyNoSwap(live.folder, dirname(live.folder))) ?? whoElse(docker, project, live.folder);
  const volume = await docker.findVolume(live.volume);
  if (!volume) return undefined;
  if (volume.Driver !== 'local' || Object.keys(volume.Options ?? {}).length > 0) {
    return `the volume ${live.volume} is kept by ${volume.Driver === 'local' ? 'a mount of its own (driver_opts)' : `the driver ${volume.Driver}`}`;
  }
  // Volumes of the local driver lie side by side.
  const there = await stat(volume.Mountpoint).catch(() => undefined);
  if (!there) return `the folder of the volume ${live.volume}, ${volume.Mountpoint}, is not to be seen from here`;
  return whoElse(docker, project, volume.Mountpoint);
}

/** A container that no service of the project explains is not stopped, and would go on with the old content. */
async function whoElse(docker: Docker, { name, services }: Project, folder: string): Promise<string | undefined> {
  const stranger = (await containersWith(docker, [folder])).find(({ container: { Labels } }) => {
    const isOwn = Labels[COMPOSE.project] === name && Labels[COMPOSE.oneoff]?.toLowerCase() !== 'true';
    return !isOwn || !services[Labels[COMPOSE.service] ?? ''];
  });
  if (!stranger) return undefined;
  return `the container ${containerName(stranger.container)}, which is none of the project’s services, has it mounted: stop that first`;
}

async function answers(docker: Docker, { service, stores }: Unit, atWork: readonly ContainerSummary[]): Promise<boolean> {
  const running = atWork.find(({ Labels, State }) => State === 'running' && Labels[COMPOSE.service] === service);
  const type = serverTypeOf(stores[0]?.kind);
  if (!running || !type) return false;
  try {
    return await type.ready({ docker, container: await docker.inspectContainer(running.Id), service, report: () => {} });
  } catch {
    return false;
  }
}
