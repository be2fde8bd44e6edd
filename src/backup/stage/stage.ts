import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { composeGiven, type GivenModel } from '../../docker/given-model.ts';
import { COMPOSE } from '../../docker/labels.ts';
import { Failure } from '../../kit/errors.ts';
import { folderFacts } from '../files/facts.ts';
import { databaseFacts } from '../files/sqlite.ts';
import type { Manifest, SavedStore } from '../model.ts';
import type { Restic } from '../restic/program.ts';
import { differences } from './compare.ts';
import { inStep, isDump, loadDumps } from './load-dumps.ts';
import type { Staged, StageTargets, StageWorld } from './model.ts';
import { requireEmpty, restoreFiles } from './restore-files.ts';
import { placeOf, scratchModel } from './scratch-model.ts';
import { requireSpace } from './space.ts';

/**
 * Puts stores of a set into fresh places: folders by restic, databases by a server of the service's own image and environment that loads the
 * dump, is counted and stops. Stores of kind `project` are left out. A difference to the manifest is no error here: the caller decides.
 * Throws RESTORE_FAILED, IMAGE_UNAVAILABLE, DISK_FULL, REPOSITORY_*; the targets are then partly filled, the servers gone.
 */
export async function stageStores(
  world: StageWorld,
  restic: Restic,
  manifest: Manifest,
  stores: readonly SavedStore[],
  targets: StageTargets,
): Promise<Staged[]> {
  await requireSpace(world.docker, stores);
  const places = new Map<SavedStore, string>();
  for (const store of stores.filter(({ kind }) => kind === 'files' || kind === 'sqlite'))
    places.set(store, await placeOfStore(world, store, targets));
  for (const folder of new Set(places.values())) await requireEmpty(folder, [...places].find(([, one]) => one === folder)?.[0].id ?? '');
  const staged: Staged[] = [];
  // Whole folders first: their listing is compared before a database is put into one of them.
  for (const kind of ['files', 'sqlite'] as const) {
    for (const [store, folder] of places) if (store.kind === kind) staged.push(await stageFiles(world, restic, store, folder));
  }
  return [...staged, ...(await stageDumps(world, restic, manifest, stores.filter(isDump), targets))];
}

async function placeOfStore({ docker }: StageWorld, store: SavedStore, { volumes, folders }: StageTargets): Promise<string> {
  const { volume, folder = '' } = store.origin ?? {};
  if (volume === undefined) {
    const place = placeOf(folder, folders);
    if (place !== undefined) return place;
  } else {
    const found = await docker.findVolume(volumes[volume] ?? '');
    if (found) return found.Mountpoint;
  }
  throw new Failure('RESTORE_FAILED', `${store.id}: there is no place for ${volume ?? folder}`, { where: store.id });
}

const stageFiles = (world: StageWorld, restic: Restic, store: SavedStore, folder: string): Promise<Staged> =>
  inStep(world, store, async () => {
    await restoreFiles(restic, store, folder, world);
    if (store.facts === undefined) return [];
    return differences(store.facts, store.kind === 'sqlite' ? await databaseFacts(folder, store.id) : await folderFacts(folder));
  });

async function stageDumps(
  world: StageWorld,
  restic: Restic,
  manifest: Manifest,
  stores: readonly SavedStore[],
  targets: StageTargets,
): Promise<Staged[]> {
  const services = [...new Set(stores.map(({ service }) => service))].sort();
  if (services.length === 0) return [];
  await requireUnused(world, targets.project);
  const { model, left } = await serversModel(world, targets, services);
  const refused = left[0];
  if (refused) {
    throw new Failure('RESTORE_FAILED', `${refused.service}: its server cannot be started to load the dump: ${refused.why}`, {
      where: `set ${manifest.set}`,
    });
  }
  const folder = await mkdtemp(join(tmpdir(), 'composure-stage-'));
  const given: GivenModel = { project: targets.project, folder, model, env: targets.env };
  try {
    const up = await composeGiven(given, ['up', '--detach', '--no-build', '--quiet-pull', ...services], world.signal);
    world.signal.throwIfAborted();
    if (up.code !== 0)
      throw new Failure('RESTORE_FAILED', `the servers of ${services.join(', ')} do not start`, {
        details: up.words,
        where: `set ${manifest.set}`,
      });
    const staged: Staged[] = [];
    for (const service of services) {
      const own = stores.filter((store) => store.service === service);
      staged.push(...(await loadDumps(world, restic, own, await containerOf(world, targets.project, service))));
    }
    return staged;
  } finally {
    await removeServers(world, targets);
    await rm(folder, { recursive: true, force: true });
  }
}

async function serversModel({ docker }: StageWorld, targets: StageTargets, services: readonly string[]) {
  const engine = Number.parseInt((await docker.version()).Version, 10);
  return scratchModel(targets.model, { ...targets, engine, only: services });
}

async function requireUnused({ docker }: StageWorld, project: string): Promise<void> {
  if ((await docker.listContainers([`${COMPOSE.project}=${project}`])).length === 0) return;
  throw new Failure('RESTORE_FAILED', `there is a Compose project ${project} already`, {
    where: project,
    next: 'it was left alone; remove it (docker compose -p NAME down) if it is of no use',
  });
}

async function containerOf({ docker }: StageWorld, project: string, service: string): Promise<string> {
  const [container] = await docker.listContainers([`${COMPOSE.project}=${project}`, `${COMPOSE.service}=${service}`]);
  if (container) return container.Id;
  throw new Failure('RESTORE_FAILED', `${service}: its server was not created`, { where: project });
}

/** Their networks too; the volumes are the caller's and hold what was loaded. */
async function removeServers({ docker }: StageWorld, { project, labels }: StageTargets): Promise<void> {
  const isOurs = (found: Record<string, string>): boolean => Object.entries(labels).every(([name, value]) => found[name] === value);
  for (const { Id, Labels } of await docker.listContainers([`${COMPOSE.project}=${project}`]))
    if (isOurs(Labels)) await docker.removeContainer(Id, { force: true });
  for (const { Id, Labels } of await docker.listNetworks([`${COMPOSE.project}=${project}`]))
    if (isOurs(Labels)) await docker.removeNetwork(Id);
}
