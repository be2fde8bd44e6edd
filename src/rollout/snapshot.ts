import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { ContainerInfo, EndpointInfo } from '../docker/api.ts';
import { COMPOSE } from '../docker/labels.ts';
import { Failure } from '../kit/errors.ts';
import { readFileIfThere, writeFileDurably } from '../kit/files.ts';
import { projectFolder } from '../state/folder.ts';
import { nameOf, putFiles } from './containers.ts';
import type { World } from './world.ts';

/** The parts of an inspected container that the engine takes back to make the same one again. */
type Snapshot = ContainerInfo & { Config: object; HostConfig: object };

const folderOf = (world: World): string => join(projectFolder(world.stateFolder, world.project.name), 'snapshots');
const pathOf = (world: World, id: string): string => join(folderOf(world), `${id}.json`);

/** Keeps all that is needed to make a container again, readable by its owner only: it holds the container's environment. */
export async function takeSnapshot(world: World, id: string): Promise<void> {
  const info = await world.docker.findContainer(id);
  if (info) await writeFileDurably(pathOf(world, id), JSON.stringify(info));
}

/** Makes a removed container again: same name, configuration, labels, networks and addresses. Answers its id; one that exists is left alone. */
export async function restoreSnapshot(world: World, id: string): Promise<string> {
  if (await world.docker.findContainer(id)) return id;
  const text = await readFileIfThere(pathOf(world, id));
  if (!text)
    throw new Failure('RECOVERY_FAILED', `container ${id.slice(0, 12)} is gone and there is no snapshot of it`, {
      next: 'deploy the version that should run',
    });
  const snapshot = JSON.parse(text) as Snapshot;
  const name = nameOf(snapshot);
  const again = await world.docker.findContainer(name);
  if (again) return again.Id;
  const endpoints = Object.entries(snapshot.NetworkSettings.Networks);
  const { Id } = await world.docker.createContainer(name, {
    ...snapshot.Config,
    Image: snapshot.Image,
    HostConfig: snapshot.HostConfig,
    NetworkingConfig: { EndpointsConfig: Object.fromEntries(endpoints.map(([network, endpoint]) => [network, endpointConfig(endpoint)])) },
  });
  // What the removed one was given is gone with it; the present values are the best there is.
  await putFiles(world.docker, [Id], world.project.services[snapshot.Config.Labels[COMPOSE.service] ?? '']?.files);
  return Id;
}

function endpointConfig(endpoint: EndpointInfo & { Aliases?: string[] | null }): object {
  return { IPAMConfig: endpoint.IPAMConfig ?? undefined, Aliases: endpoint.Aliases ?? undefined };
}

/** Ids of removed containers that can be made again. */
export async function snapshotIds(world: World): Promise<Set<string>> {
  const names = await readdir(folderOf(world)).catch(() => [] as string[]);
  return new Set(names.flatMap((name) => (name.endsWith('.json') ? [name.slice(0, -'.json'.length)] : [])));
}

export const dropSnapshots = (world: World): Promise<void> => rm(folderOf(world), { recursive: true, force: true });
