import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { composeGiven } from '../../docker/given-model.ts';
import { COMPOSE } from '../../docker/labels.ts';
import { Failure } from '../../kit/errors.ts';
import { DUMP_TYPES } from '../dumps/list.ts';
import { isWithin } from '../files/mounts.ts';
import type { SavedStore } from '../model.ts';
import { list, type Mapping, mapping } from './mapping.ts';
import type { ComposeModel, StageTargets, StageWorld } from './model.ts';
import { requireEmpty } from './restore-files.ts';
import { scratchModel } from './scratch-model.ts';

/** The servers that load dumps: fresh, of the services' own images and settings, on networks without a way out. */
export interface Servers {
  services: string[];
  model: ComposeModel;
  /** Scratch volumes that they have. */
  volumes: string[];
}

/** Describes them, after a look that nobody's data and nobody's project is in their place. Throws RESTORE_FAILED. */
export async function planServers(world: StageWorld, stores: readonly SavedStore[], targets: StageTargets): Promise<Servers> {
  const { docker } = world;
  const services = [...new Set(stores.map(({ service }) => service))].sort();
  const engine = Number.parseInt((await docker.version()).Version, 10);
  const { model, left } = scratchModel(targets.model, { ...targets, engine, only: services });
  const refused = left[0];
  if (refused) throw new Failure('RESTORE_FAILED', `${refused.service}: its server cannot be started to load the dump: ${refused.why}`);
  if ((await docker.listContainers([`${COMPOSE.project}=${targets.project}`])).length > 0) {
    throw new Failure('RESTORE_FAILED', `there is a Compose project ${targets.project} already`, {
      where: targets.project,
      next: 'it was left alone; remove it (docker compose -p NAME down) if it is of no use',
    });
  }
  for (const store of stores) {
    for (const folder of await dataFolders(world, mapping(mapping(model.services)[store.service]), store.kind))
      await requireEmpty(folder, store.id);
  }
  return { services, model, volumes: Object.keys(mapping(model.volumes)) };
}

/** Where a server would keep its data on this host. One that is not empty would be taken for a database that is there already. */
async function dataFolders({ docker }: StageWorld, service: Mapping, kind: SavedStore['kind']): Promise<string[]> {
  const type = DUMP_TYPES.find((one) => one.kind === kind);
  const environment = Object.fromEntries(Object.entries(mapping(service.environment)).map(([name, value]) => [name, String(value ?? '')]));
  const paths = type?.dataPaths(environment) ?? [];
  const mounts = list(service.volumes).filter(({ target }) =>
    paths.some((path) => isWithin(path, String(target)) || isWithin(String(target), path)),
  );
  const folders = await Promise.all(
    mounts.map(async ({ type: how, source }) => {
      if (how === 'bind') return (await stat(String(source)).catch(() => undefined))?.isDirectory() ? [String(source)] : [];
      const volume = how === 'volume' && source !== undefined ? await docker.findVolume(String(source)) : undefined;
      return volume ? [volume.Mountpoint] : [];
    }),
  );
  return folders.flat();
}

/** Starts them and answers their containers by service. Throws RESTORE_FAILED with Compose's words. */
export async function startServers(
  { docker, signal }: StageWorld,
  { services, model }: Servers,
  { project, env }: StageTargets,
): Promise<Map<string, string>> {
  const folder = await mkdtemp(join(tmpdir(), 'composure-stage-'));
  try {
    const up = await composeGiven({ project, folder, model, env }, ['up', '--detach', '--no-build', '--quiet-pull', ...services], signal);
    signal.throwIfAborted();
    if (up.code !== 0) throw new Failure('RESTORE_FAILED', `the servers of ${services.join(', ')} do not start`, { details: up.words });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  const containers = await docker.listContainers([`${COMPOSE.project}=${project}`]);
  return new Map(containers.map(({ Id, Labels }) => [Labels[COMPOSE.service] ?? '', Id]));
}

/** Their networks too; the volumes are the caller's and hold what was loaded. */
export async function removeServers({ docker }: StageWorld, { project, labels }: StageTargets): Promise<void> {
  const isOurs = (found: Record<string, string>): boolean => Object.entries(labels).every(([name, value]) => found[name] === value);
  for (const { Id, Labels } of await docker.listContainers([`${COMPOSE.project}=${project}`]))
    if (isOurs(Labels)) await docker.removeContainer(Id, { force: true });
  for (const { Id, Labels } of await docker.listNetworks([`${COMPOSE.project}=${project}`]))
    if (isOurs(Labels)) await docker.removeNetwork(Id);
}
