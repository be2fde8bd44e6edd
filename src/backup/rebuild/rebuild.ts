import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Docker } from '../../docker/api.ts';
import { COMPOSE } from '../../docker/labels.ts';
import { Failure } from '../../kit/errors.ts';
import type { Report } from '../../kit/events.ts';
import type { Project } from '../../project/model.ts';
import { isWithin } from '../files/mounts.ts';
import type { ProjectRecord } from '../files/project.ts';
import type { Manifest } from '../model.ts';
import type { Restic } from '../restic/program.ts';
import type { Unit } from '../restore/model.ts';
import { placesOfModel, readProjectFile, readSavedModel } from '../restore/saved-model.ts';
import { requireSame } from '../restore/to-project.ts';
import { unitsOf } from '../restore/units.ts';
import { modelVariables } from '../restore/variables.ts';
import type { ComposeModel } from '../stage/model.ts';
import { requireEmpty, restoreFiles } from '../stage/restore-files.ts';
import { removeLeftOvers, scratchLabels } from '../stage/scratch.ts';
import { requireSpace } from '../stage/space.ts';
import { stageStores } from '../stage/stage.ts';
import { makeFolder, placeCertificates, placeFiles, placeIdentity, takeAway, type Undo } from './files.ts';
import { bringImages } from './images.ts';
import { findPresent, refusePresent } from './observe.ts';
import { planRebuild, type RebuildPlan } from './plan.ts';

export interface RebuildWorld {
  docker: Docker;
  stateFolder: string;
  report: Report;
  signal: AbortSignal;
}

export interface RebuildRequest {
  manifest: Manifest;
  record: ProjectRecord;
  plan: RebuildPlan;
  /** Keys of the old machine, from its recovery kit. */
  identities: readonly string[];
  /** Where this machine's own identity is. */
  identityFile: string;
  /** Reads the project once its files are in place. */
  load: (folder: string) => Promise<Project>;
  /** Releases it. `isWhole`: every store of the set is in place, which proves the set. */
  release: (project: Project, isWhole: boolean) => Promise<unknown>;
}

export interface Rebuilt {
  project: Project;
  times: { step: string; ms: number }[];
  /** What of the set has no place in the project, with the reason. */
  left: string[];
}

/** What a rebuild from this set would make. Touches nothing. Throws REPOSITORY_*, RESTORE_FAILED, RESTORE_REFUSED, DISK_FULL. */
export async function readPlan(
  { docker, stateFolder }: Pick<RebuildWorld, 'docker' | 'stateFolder'>,
  restic: Restic,
  manifest: Manifest,
  to: string | undefined,
): Promise<{ plan: RebuildPlan; record: ProjectRecord }> {
  if (manifest.only) {
    throw new Failure('RESTORE_REFUSED', `the set ${manifest.set} holds ${manifest.only.join(', ')} alone, and not the project`, {
      next: 'rebuild from a set of the whole project (composure backup list), then take these services out of this one: composure backup restore --set ID',
    });
  }
  const record = JSON.parse(await readProjectFile(restic, manifest, 'project.json')) as ProjectRecord;
  const plan = planRebuild(manifest, record, placesOfModel(await readSavedModel(restic, manifest)), to);
  refusePresent(plan, await findPresent(docker, stateFolder, plan));
  await requireSpace(docker, manifest.stores);
  return { plan, record };
}

/**
 * Makes the project on a machine that has nothing of it: files, images, data, and a release. What fails before the release leaves nothing; a
 * release that fails leaves files and data in place. Throws RESTORE_FAILED, IMAGE_UNAVAILABLE, BUILD_FAILED, IDENTITY_*, DISK_FULL,
 * REPOSITORY_*, and what a release throws.
 */
export async function rebuild(world: RebuildWorld, restic: Restic, request: RebuildRequest): Promise<Rebuilt> {
  const times: Rebuilt['times'] = [];
  const timed = async <T>(step: string, work: () => Promise<T>): Promise<T> => {
    const began = performance.now();
    const done = await work();
    times.push({ step, ms: performance.now() - began });
    return done;
  };
  // Between the question and its answer somebody may have made something here.
  refusePresent(request.plan, await findPresent(world.docker, world.stateFolder, request.plan));
  const undo: Undo = [];
  await mkdir(world.stateFolder, { recursive: true, mode: 0o700 });
  const scratch = await mkdtemp(join(world.stateFolder, 'rebuild-'));
  let project: Project;
  let left: string[];
  try {
    await removeLeftOvers(world.docker);
    project = await timed('files', () => bringFiles(world, restic, request, scratch, undo));
    const images = await timed('images', () => bringImages(world, project, request.manifest));
    left = await timed('data', () => bringData(world, restic, request, { project, images, scratch }, undo));
    world.signal.throwIfAborted();
  } catch (error) {
    for (const back of undo.reverse()) await back();
    throw (error as Error).name === 'AbortError'
      ? new Failure('INTERRUPTED', 'the rebuild was interrupted; nothing of it was kept')
      : error;
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
  try {
    await timed('release', () => request.release(project, left.length === 0));
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    throw new Failure(error.code, error.message, {
      ...(error.where === undefined ? {} : { where: error.where }),
      details: [...error.details, `files and data of ${project.name} are in place; only the release is missing`],
      next: `${error.next ?? 'put right what is said above'}; then in ${project.folder}: composure deploy`,
      cause: error,
    });
  }
  return { project, times, left };
}

async function bringFiles(world: RebuildWorld, restic: Restic, request: RebuildRequest, scratch: string, undo: Undo): Promise<Project> {
  const { manifest, plan, record, identities, identityFile, load } = request;
  const { stateFolder, report } = world;
  const own = manifest.stores.find(({ kind }) => kind === 'project');
  if (!own) throw new Failure('RESTORE_FAILED', `the set ${manifest.set} does not hold the project’s own files`);
  const began = performance.now();
  report({ kind: 'step-start', step: 'rebuild:files', text: `write ${plan.files.length} files to ${plan.folder}` });
  await restoreFiles(restic, own, scratch, { ...world, report: () => {} });
  await makeFolder(plan.folder, undo);
  await placeFiles(scratch, plan.files, undo);
  await placeIdentity(identityFile, identities, undo);
  await placeCertificates(scratch, stateFolder, await certificateNames(scratch), undo);
  const project = await load(plan.folder);
  if (project.name !== record.name)
    throw new Failure('RESTORE_FAILED', `the files in ${plan.folder} are of a project ${project.name}, not ${record.name}`);
  report({ kind: 'step-done', step: 'rebuild:files', text: '', ms: performance.now() - began });
  return project;
}

async function certificateNames(scratch: string): Promise<string[]> {
  return (await readdir(join(scratch, 'edge', 'certs')).catch(() => [] as string[])).filter((name) => name.endsWith('.pem'));
}

async function bringData(
  world: RebuildWorld,
  restic: Restic,
  { manifest, plan }: RebuildRequest,
  { project, images, scratch }: { project: Project; images: Record<string, string>; scratch: string },
  undo: Undo,
): Promise<string[]> {
  const { docker, report } = world;
  const model = JSON.parse(project.resolved) as ComposeModel;
  const env = await modelVariables(project, model);
  const volumes: Record<string, string> = {};
  const folders: Record<string, string> = {};
  const units = unitsOf(manifest, project);
  const left = units.flatMap(({ title, refused }) => (refused === undefined ? [] : [`${title} is not restored: ${refused}`]));
  for (const text of left) report({ kind: 'warning', text: `${text}; composure backup restore --to ./FOLDER writes it out` });
  const wanted = units.filter(({ refused }) => refused === undefined);
  const made = new Set<string>();
  for (const { saved, live, key } of wanted.flatMap(({ places }) => places)) {
    if (!live) continue;
    if ('folder' in live) {
      await makeFolder(live.folder, undo);
      if (!made.has(live.folder)) {
        await takeAway(plan.files, live.folder);
        await requireEmpty(live.folder, `the data for ${live.folder}`);
        undo.push(() => emptyFolder(live.folder));
      }
      made.add(live.folder);
      if ('folder' in saved) folders[saved.folder] = live.folder;
      folders[live.folder] = live.folder;
      continue;
    }
    if (!made.has(live.volume) && !(await docker.findVolume(live.volume))) {
      undo.push(() => docker.removeVolume(live.volume));
      await docker.createVolume(live.volume, { [COMPOSE.project]: project.name, ...(key === undefined ? {} : { [COMPOSE.volume]: key }) });
    }
    made.add(live.volume);
    if ('volume' in saved) volumes[saved.volume] = live.volume;
    volumes[live.volume] = live.volume;
  }
  const id = manifest.set.slice(-4);
  const bring = async (units: readonly Unit[]): Promise<void> => {
    const stores = units.flatMap((unit) => unit.stores);
    const labels = scratchLabels(`rebuild-${id}`);
    const targets = { project: `composure-rebuild-${id}`, labels, model, images, env, volumes, folders };
    if (stores.length > 0) requireSame(manifest.set, await stageStores(world, restic, manifest, stores, targets));
  };
  // A folder that is mounted and has files of the project in it comes back with its own copies of them, before a server looks for any.
  const isAround = ({ places }: Unit): boolean =>
    places.some(({ live }) => live && 'folder' in live && plan.files.some(({ to }) => isWithin(to, live.folder)));
  await bring(wanted.filter(isAround));
  await placeFiles(
    scratch,
    plan.files.filter(({ to }) => !existsSync(to)),
    undo,
  );
  await bring(wanted.filter((unit) => !isAround(unit)));
  return left;
}

/** Of a folder that was empty before. */
async function emptyFolder(folder: string): Promise<void> {
  for (const name of await readdir(folder)) await rm(join(folder, name), { recursive: true, force: true });
}
