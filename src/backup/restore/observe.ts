import { stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { ContainerSummary, Docker } from '../../docker/api.ts';
import { COMPOSE } from '../../docker/labels.ts';
import type { Project } from '../../project/model.ts';
import { listProjectContainers } from '../../rollout/containers.ts';
import { DUMP_TYPES } from '../dumps/list.ts';
import type { Place, Unit } from './model.ts';
import { whyNoSwap } from './swap.ts';

export interface RestoreSight {
  /** With whether each can be replaced where it is, and whether its server answers. */
  units: Unit[];
  /** Services with containers at work. */
  running: string[];
}

/** Looks once at what a restore would replace. */
export async function observeRestore(docker: Docker, project: Project, units: readonly Unit[]): Promise<RestoreSight> {
  const containers = await listProjectContainers(docker, project.name);
  const atWork = containers.filter(({ State }) => State === 'running' || State === 'paused' || State === 'restarting');
  return {
    units: await Promise.all(units.map((unit) => lookAt(docker, unit, atWork))),
    running: [...new Set(atWork.map(({ Labels }) => Labels[COMPOSE.service] ?? ''))].sort(),
  };
}

async function lookAt(docker: Docker, unit: Unit, atWork: readonly ContainerSummary[]): Promise<Unit> {
  if (unit.refused !== undefined) return unit;
  const problems = await Promise.all(unit.places.map((place) => whyNotHere(docker, place)));
  const refused = problems.find((problem) => problem !== undefined);
  if (refused !== undefined) return { ...unit, refused };
  return unit.kind === 'database' ? { ...unit, answers: await answers(docker, unit, atWork) } : unit;
}

async function whyNotHere(docker: Docker, { live }: Place): Promise<string | undefined> {
  if (!live) return undefined;
  if ('folder' in live) return whyNoSwap(live.folder, dirname(live.folder));
  const volume = await docker.findVolume(live.volume);
  if (!volume) return undefined;
  if (volume.Driver !== 'local' || Object.keys(volume.Options ?? {}).length > 0) {
    return `the volume ${live.volume} is kept by ${volume.Driver === 'local' ? 'a mount of its own (driver_opts)' : `the driver ${volume.Driver}`}`;
  }
  // Volumes of the local driver lie side by side.
  const there = await stat(volume.Mountpoint).catch(() => undefined);
  return there ? undefined : `the folder of the volume ${live.volume}, ${volume.Mountpoint}, is not to be seen from here`;
}

async function answers(docker: Docker, { service, stores }: Unit, atWork: readonly ContainerSummary[]): Promise<boolean> {
  const running = atWork.find(({ Labels, State }) => State === 'running' && Labels[COMPOSE.service] === service);
  const type = DUMP_TYPES.find(({ kind }) => kind === (stores[0]?.kind === 'postgres-roles' ? 'postgres' : stores[0]?.kind));
  if (!running || !type) return false;
  try {
    return await type.ready({ docker, container: await docker.inspectContainer(running.Id), service, report: () => {} });
  } catch {
    return false;
  }
}
