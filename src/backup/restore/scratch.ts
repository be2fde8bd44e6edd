import { mkdir, readdir, rm, rmdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Docker } from '../../docker/api.ts';
import { COMPOSE, OURS } from '../../docker/labels.ts';
import { Failure } from '../../kit/errors.ts';
import { removeScratch } from '../stage/scratch.ts';
import type { Begin } from './journal.ts';
import type { Place, RestorePlan } from './model.ts';
import { keptName } from './print.ts';
import type { Swap } from './swap.ts';

/** Where the new content is made, and what will change places. */
export interface Prepared {
  begin: Begin;
  /** Scratch volumes and folders by what the set and the project call their places: for staging. */
  volumes: Record<string, string>;
  folders: Record<string, string>;
}

/** Makes empty places beside the live ones. A volume of the project that is missing is made as Compose makes it. */
export async function prepare(docker: Docker, plan: RestorePlan): Promise<Prepared> {
  const { id, project, set } = plan;
  const prepared: Prepared = {
    begin: {
      kind: 'begin',
      at: new Date().toISOString(),
      id,
      project,
      set,
      swaps: [],
      keptVolumes: [],
      scratchVolumes: [],
      scratchFolders: [],
    },
    volumes: {},
    folders: {},
  };
  try {
    await makeAll(docker, plan, prepared);
    return prepared;
  } catch (error) {
    await clear(docker, prepared.begin);
    throw error;
  }
}

async function makeAll(docker: Docker, { id, units }: RestorePlan, prepared: Prepared): Promise<void> {
  const done = new Set<string>();
  for (const place of units.flatMap(({ places }) => places)) {
    if (!place.live) continue;
    const key = JSON.stringify(place.live);
    const swap = done.has(key)
      ? undefined
      : await ('volume' in place.live
          ? besideVolume(docker, prepared, place, place.live.volume)
          : besideFolder(prepared, place.live.folder));
    done.add(key);
    if (swap) prepared.begin.swaps.push(swap);
    nameScratch(prepared, place, id);
  }
}

const scratchVolume = (volume: string, id: string): string => `${volume}-restore-${id}`;
const scratchFolder = (folder: string, id: string): string => join(dirname(folder), `.${basename(folder)}-restore-${id}`);

function nameScratch({ volumes, folders }: Prepared, { saved, live }: Place, id: string): void {
  if (!live) return;
  const scratch = 'volume' in live ? scratchVolume(live.volume, id) : scratchFolder(live.folder, id);
  for (const spot of [saved, live]) {
    if ('volume' in spot) volumes[spot.volume] = scratch;
    else folders[spot.folder] = scratch;
  }
}

async function besideVolume(docker: Docker, { begin }: Prepared, { key }: Place, volume: string): Promise<Swap> {
  const { id, project } = begin;
  const found =
    (await docker.findVolume(volume)) ??
    (await docker.createVolume(volume, { [COMPOSE.project]: project, ...(key === undefined ? {} : { [COMPOSE.volume]: key }) }));
  // Not by the label of scratch: whoever removes what a killed process left would take away what the way back needs.
  const staged = await docker.createVolume(scratchVolume(volume, id), { [OURS.restore]: id, [OURS.project]: project });
  begin.scratchVolumes.push(staged.Name);
  const kept = await docker.createVolume(keptName(volume, id), { [OURS.kept]: id, [OURS.project]: project });
  begin.keptVolumes.push(kept.Name);
  const wasEmpty = await isEmpty(found.Mountpoint);
  return { what: `volume ${volume}`, live: found.Mountpoint, staged: staged.Mountpoint, kept: kept.Mountpoint, wasEmpty };
}

async function besideFolder({ begin }: Prepared, folder: string): Promise<Swap> {
  const { id } = begin;
  const staged = scratchFolder(folder, id);
  await mkdir(staged, { mode: 0o700 });
  begin.scratchFolders.push(staged);
  return { what: folder, live: folder, staged, kept: keptName(folder, id), wasEmpty: await isEmpty(folder) };
}

/** Removes what the restore made only for itself. What holds old content stays. */
export async function clear(docker: Docker, { id, swaps, keptVolumes, scratchVolumes, scratchFolders }: Begin): Promise<void> {
  await removeScratch(docker, id);
  for (const name of scratchVolumes) await dropVolume(docker, name);
  for (const folder of scratchFolders) await rm(folder, { recursive: true, force: true });
  // Of a scratch volume that somebody removed meanwhile, the way back may have made the folder anew.
  for (const { staged } of swaps) await rm(staged, { recursive: true, force: true });
  for (const name of keptVolumes) {
    const volume = await docker.findVolume(name);
    if (volume?.Labels?.[OURS.kept] === id && (await isEmpty(volume.Mountpoint))) await dropVolume(docker, name);
  }
}

/** Removes what restores of these places that were killed before their journal began have left. The caller has ended the others. */
export async function clearForgotten(docker: Docker, { project, units }: Pick<RestorePlan, 'project' | 'units'>): Promise<void> {
  for (const { Name, Labels, Mountpoint } of await docker.listVolumes()) {
    if (Labels?.[OURS.project] !== project) continue;
    if (Labels[OURS.restore] !== undefined || (Labels[OURS.kept] !== undefined && (await isEmpty(Mountpoint))))
      await dropVolume(docker, Name);
  }
  for (const { live } of units.flatMap(({ places }) => places)) {
    if (!live || !('folder' in live)) continue;
    const begins = basename(scratchFolder(live.folder, ''));
    // Nothing was put into it before the journal began.
    for (const name of await readdir(dirname(live.folder)).catch(() => []))
      if (name.startsWith(begins) && /^[0-9a-f]{6}$/.test(name.slice(begins.length)))
        await rmdir(join(dirname(live.folder), name)).catch(() => {});
  }
}

async function dropVolume(docker: Docker, name: string): Promise<void> {
  const volume = await docker.findVolume(name);
  if (!volume) return;
  // The engine removes a volume only with its folder, and a swap has given it away.
  await mkdir(volume.Mountpoint, { recursive: true });
  await docker.removeVolume(name);
}

async function isEmpty(folder: string): Promise<boolean> {
  try {
    return (await readdir(folder)).length === 0;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return true;
    throw new Failure('RESTORE_FAILED', `cannot look into ${folder}`, { where: folder, cause: error });
  }
}
