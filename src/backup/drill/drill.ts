import { randomBytes } from 'node:crypto';
import { Cron } from 'croner';
import { Failure } from '../../kit/errors.ts';
import { writeFileDurably } from '../../kit/files.ts';
import type { BackupWorld, Manifest } from '../model.ts';
import { drillFolder, evidencePath } from '../places.ts';
import { describeFacts } from '../print-manifest.ts';
import type { Restic } from '../restic/program.ts';
import { modelVariables } from '../restore/variables.ts';
import type { Outcome } from '../run/record.ts';
import { missingStores, readManifest, readSet } from '../sets.ts';
import type { Staged } from '../stage/model.ts';
import { removeLeftOvers, removeScratch, scratchLabels } from '../stage/scratch.ts';
import { scratchModel } from '../stage/scratch-model.ts';
import { stageStores } from '../stage/stage.ts';
import { removeLocks } from '../unlock.ts';
import { bootServices } from './boot.ts';
import { makeFiles, makeVolumes, removeOldFiles, requireScratch, stageTargets } from './make.ts';
import type { DrillEvidence, DrilledService, DrillObserved, DrillPlan } from './model.ts';
import { observeDrill, readSavedProject, type SavedProject } from './observe.ts';
import { planDrill } from './plan.ts';

export interface DrillRequest {
  set?: string;
  at?: string;
  /** Leave everything that was made for a look, also after a failure. */
  keep: boolean;
}

export interface PreparedDrill {
  manifest: Manifest;
  saved: SavedProject;
  observed: DrillObserved;
  plan: DrillPlan;
}

/** Finds the set and plans its drill. `fetch` as in `observeDrill`. Throws SET_UNKNOWN, DRILL_FAILED, IMAGE_UNAVAILABLE, REPOSITORY_*. */
export async function prepareDrill(
  world: BackupWorld,
  restic: Restic,
  { set, at }: Pick<DrillRequest, 'set' | 'at'>,
  { fetch, known = {} }: { fetch: boolean; known?: Partial<Outcome> },
): Promise<PreparedDrill> {
  const { name } = world.project;
  const found = await readSet(restic, name, { ...(set === undefined ? {} : { set }), ...(at === undefined ? {} : { at }) });
  known.set = found.set;
  const manifest = await readManifest(restic, found);
  if (manifest.only) known.only = manifest.only;
  const missing = missingStores(manifest, found);
  if (missing.length > 0) {
    throw new Failure('DRILL_FAILED', `${missing.length} of ${manifest.stores.length} snapshots of the set ${found.set} are gone`, {
      details: missing.map(({ id, snapshot }) => `${id}: snapshot ${snapshot.slice(0, 8)}`),
      next: 'somebody forgot them by hand; make a new set (composure backup run) and drill that',
    });
  }
  const saved = await readSavedProject(restic, manifest);
  const observed = await observeDrill(world, manifest, { fetch });
  const id = randomBytes(4).toString('hex');
  const tree = drillFolder(world.stateFolder, name, id);
  return { manifest, saved, observed, plan: planDrill({ id, manifest, model: saved.model, record: saved.record, tree }, observed) };
}

/**
 * Restores a set into scratch containers without any way out, compares it with its manifest, starts the application on it and waits for its own
 * health checks. Everything that was made is removed, also what a killed drill left. Throws DRILL_FAILED (what came back is not what was saved,
 * or the application is not well on it), DRILL_IMPOSSIBLE, and what `prepareDrill` and `stageStores` throw.
 */
export async function runDrill(world: BackupWorld, restic: Restic, request: DrillRequest, known: Partial<Outcome>): Promise<DrillEvidence> {
  const began = Date.now();
  const { docker, project, stateFolder, report } = world;
  const removed = (await removeLeftOvers(docker)) + (await removeOldFiles(docker, stateFolder, project.name));
  if (removed > 0)
    report({ kind: 'note', text: `removed what a drill that was killed had left: ${removed} containers, networks, volumes and folders` });
  await removeLocks(restic);
  const prepared = await prepareDrill(world, restic, request, { fetch: true, known });
  const { plan } = prepared;
  if (plan.obstacles.length > 0) {
    throw new Failure('DRILL_IMPOSSIBLE', `the drill could not run: ${plan.obstacles[0]}`, {
      where: `set ${plan.set}`,
      details: plan.obstacles,
      next: 'this says nothing about the backup, and it is not proven; see to the cause and run the drill again',
    });
  }
  try {
    const evidence = await carryOut(world, restic, prepared, { began, ...(request.keep ? { kept: plan.project } : {}) });
    known.numbers = evidence.numbers;
    await writeFileDurably(evidencePath(stateFolder, project.name), `${JSON.stringify(evidence, undefined, 2)}\n`);
    if (!evidence.passed) throw drillFailure(evidence);
    return evidence;
  } finally {
    if (!request.keep) {
      await removeScratch(docker, plan.id);
      await removeOldFiles(docker, stateFolder, project.name);
    }
  }
}

async function carryOut(
  world: BackupWorld,
  restic: Restic,
  { manifest, saved, observed, plan }: PreparedDrill,
  { began, kept }: { began: number; kept?: string },
): Promise<DrillEvidence> {
  const { docker, project, report } = world;
  const labels = scratchLabels(plan.id, kept === undefined ? undefined : project.name);
  const made = await makeVolumes(docker, plan, labels);
  report({ kind: 'note', text: `set ${plan.set} goes into the scratch project ${plan.project}` });
  const files = await makeFiles(world, restic, plan, saved.store);
  const images = Object.fromEntries(Object.entries(observed.images).map(([service, { id }]) => [service, id]));
  const env = await modelVariables(project, plan.source);
  const targets = stageTargets(plan, { images, env, labels, made });
  for (const { name } of plan.volumes) await requireScratch(docker, name, plan.id);
  const staged = [files, ...(await stageStores(world, restic, manifest, manifest.stores, targets))];
  const stagedAt = Date.now();
  const isWhole = staged.every(({ differences }) => differences.length === 0);
  const model = scratchModel(plan.source, { ...targets, engine: observed.engine }).model;
  const booted = isWhole
    ? await bootServices(world, plan, { project: plan.project, folder: plan.files.tree, model, env })
    : { services: [], readyAt: undefined };
  const passed = isWhole && booted.readyAt !== undefined;
  return {
    project: project.name,
    set: plan.set,
    ...(manifest.only ? { only: manifest.only } : {}),
    startedAt: new Date(began).toISOString(),
    endedAt: new Date().toISOString(),
    passed,
    stores: staged.map(storeEvidence),
    services: booted.services,
    left: plan.left,
    missing: plan.missing,
    numbers: {
      stores: staged.length,
      bytes: staged.reduce((sum, { store }) => sum + store.bytes, 0),
      stageSeconds: seconds(stagedAt - began),
      rpoSeconds: seconds(began - Math.min(...manifest.stores.map(({ contentAt }) => Date.parse(contentAt)))),
      ...gapOf(world),
      ...(booted.readyAt === undefined
        ? {}
        : { rtoSeconds: seconds(Math.max(booted.readyAt, stagedAt) - began), services: booted.services.length }),
    },
    ...(kept === undefined ? {} : { kept }),
  };
}

const seconds = (ms: number): number => Math.round(ms / 100) / 10;

const storeEvidence = ({ store, seconds: took, differences }: Staged): DrillEvidence['stores'][number] => ({
  id: store.id,
  bytes: store.bytes,
  seconds: Math.round(took * 10) / 10,
  counted: store.facts === undefined ? '' : (describeFacts(store.facts)[0] ?? ''),
  differences,
});

/** The longest time between two of the next scheduled backups: what a loss just before one of them would take. */
function gapOf({ project }: BackupWorld): { gapSeconds?: number } {
  const { schedule, timezone } = project.settings.backup ?? {};
  if (schedule === undefined) return {};
  const runs = new Cron(schedule, { timezone: timezone ?? 'UTC', mode: '5-part', paused: true }).nextRuns(20);
  const gaps = runs.slice(1).map((run, index) => run.getTime() - (runs[index]?.getTime() ?? 0));
  return gaps.length === 0 ? {} : { gapSeconds: Math.max(...gaps) / 1000 };
}

/** What was found, as a failure. Pure. */
export function drillFailure({ set, stores, services, kept }: DrillEvidence): Failure {
  const wrong = stores.filter(({ differences }) => differences.length > 0);
  const failed = services.filter(({ kind }) => kind === 'failed');
  const message =
    wrong.length > 0
      ? `${wrong.map(({ id }) => id).join(', ')} of the set ${set} came back otherwise than ${wrong.length === 1 ? 'it was' : 'they were'} saved`
      : `the application is not well on the set ${set}: ${failed.map(({ service, text }) => `${service} ${text}`).join('; ')}`;
  return new Failure('DRILL_FAILED', message, {
    where: `set ${set}`,
    details: [
      ...wrong.flatMap(({ id, differences }) => differences.map((text) => `${id}: ${text}`)),
      ...failed.flatMap(({ service, text, log }: DrilledService) => [`${service} ${text}`, ...log.map((line) => `  ${line}`)]),
    ],
    next:
      kept === undefined ? 'composure backup drill --keep leaves the containers for a look' : `look at it: docker compose -p ${kept} ps`,
  });
}
