import { randomBytes } from 'node:crypto';
import { COMPOSE } from '../../docker/labels.ts';
import { Failure } from '../../kit/errors.ts';
import type { BackupWorld, Manifest, SavedStore } from '../model.ts';
import type { Restic } from '../restic/program.ts';
import { findImages } from '../stage/images.ts';
import type { ComposeModel, Staged } from '../stage/model.ts';
import { scratchLabels } from '../stage/scratch.ts';
import { stageStores } from '../stage/stage.ts';
import type { Unit } from './model.ts';
import { placesOfModel, readSavedModel } from './saved-model.ts';
import { chooseUnits, unitsOf } from './units.ts';
import { modelVariables } from './variables.ts';

/** New volumes under another project's name. */
export interface ToProjectPlan {
  project: string;
  set: string;
  units: Unit[];
  /** As they were called, and as they will be. */
  volumes: { saved: string; name: string; key: string }[];
  left: { what: string; why: string }[];
  model: ComposeModel;
}

/** Throws RESTORE_REFUSED where anything of that project exists, STORE_UNKNOWN, USAGE, REPOSITORY_*. Touches nothing. */
export async function planToProject(
  { docker }: Pick<BackupWorld, 'docker'>,
  restic: Restic,
  manifest: Manifest,
  project: string,
  only: readonly string[],
): Promise<ToProjectPlan> {
  if (!/^[a-z0-9][a-z0-9_-]*$/.test(project)) {
    throw new Failure('USAGE', `"${project}" is neither a folder nor a name that Compose takes for a project`, {
      next: `write a folder with a slash (./${project}), or a name of small letters, digits, - and _`,
    });
  }
  const model = await readSavedModel(restic, manifest);
  const today = placesOfModel(model);
  const units = unitsOf(manifest, today).map((unit) => ({ ...unit, ...notElsewhere(unit, today.volumes) }));
  const chosen = chooseUnits(units, only, manifest);
  const volumes = new Map<string, ToProjectPlan['volumes'][number]>();
  for (const { live, key } of chosen.flatMap(({ places }) => places))
    if (live && 'volume' in live && key !== undefined) volumes.set(live.volume, { saved: live.volume, name: `${project}_${key}`, key });
  await requireNew(docker, project, [...volumes.values()]);
  return {
    project,
    set: manifest.set,
    units: chosen,
    volumes: [...volumes.values()],
    left: units.filter((unit) => !chosen.includes(unit)).map(({ title, refused }) => ({ what: title, why: refused ?? 'not asked for' })),
    model,
  };
}

/** What two projects would share, one of them must not get from a backup. */
function notElsewhere({ places }: Unit, volumes: Record<string, { name: string; external: boolean }>): Pick<Unit, 'refused'> {
  for (const { live, key } of places) {
    if (live && 'folder' in live) return { refused: `${live.folder} is a folder of the host, which both projects would share` };
    if (key !== undefined && volumes[key]?.external)
      return { refused: `the volume ${volumes[key].name} is external, so both projects would share it` };
  }
  return {};
}

async function requireNew(docker: BackupWorld['docker'], project: string, volumes: ToProjectPlan['volumes']): Promise<void> {
  const containers = await docker.listContainers([`${COMPOSE.project}=${project}`]);
  const there = (await docker.listVolumes()).filter(
    ({ Name, Labels }) => Labels?.[COMPOSE.project] === project || volumes.some(({ name }) => name === Name),
  );
  if (containers.length === 0 && there.length === 0) return;
  throw new Failure('RESTORE_REFUSED', `there is something of a project ${project} already`, {
    details: [
      ...there.map(({ Name }) => `volume ${Name}`),
      ...containers.flatMap(({ Names }) => Names.map((name) => `container ${name.slice(1)}`)),
    ].slice(0, 8),
    next: 'name a project that does not exist: nothing of another one is written over',
  });
}

/** Fills the new volumes; when anything fails or differs, they are removed again. Throws RESTORE_FAILED, IMAGE_UNAVAILABLE, DISK_FULL, REPOSITORY_*. */
export async function restoreToProject(world: BackupWorld, restic: Restic, manifest: Manifest, plan: ToProjectPlan): Promise<void> {
  const { docker, project } = world;
  const id = randomBytes(3).toString('hex');
  const stores = plan.units.flatMap((unit) => unit.stores);
  const images = await findImages(world, manifest, [...new Set(stores.filter(({ origin }) => !origin).map(({ service }) => service))]);
  // Between the question and its answer somebody may have made such a project, and making a volume that is there answers that one.
  await requireNew(docker, plan.project, plan.volumes);
  const made: string[] = [];
  try {
    for (const { name, key } of plan.volumes) {
      await docker.createVolume(name, { [COMPOSE.project]: plan.project, [COMPOSE.volume]: key });
      made.push(name);
    }
    const staged = await stageStores(world, restic, manifest, stores, {
      project: `composure-restore-${id}`,
      labels: scratchLabels(id),
      model: plan.model,
      images,
      env: await modelVariables(project, plan.model),
      volumes: Object.fromEntries(plan.volumes.map(({ saved, name }) => [saved, name])),
      folders: {},
    });
    requireSame(manifest.set, staged);
  } catch (error) {
    for (const name of made) await docker.removeVolume(name);
    throw error;
  }
}

/** Throws RESTORE_FAILED with every difference. */
export function requireSame(set: string, staged: readonly Staged[]): void {
  const different = staged.filter(({ differences }) => differences.length > 0);
  if (different.length === 0) return;
  const named = ({ id }: SavedStore): string => id;
  throw new Failure('RESTORE_FAILED', `the set ${set} does not restore as it was saved`, {
    where: different.map(({ store }) => named(store)).join(', '),
    details: different.flatMap(({ store, differences }) => differences.map((text) => `${named(store)}: ${text}`)),
    next: 'nothing live was touched; take another set (composure backup list), or write this one out as it is: --to ./FOLDER',
  });
}
