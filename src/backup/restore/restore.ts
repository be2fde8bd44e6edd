import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { Failure } from '../../kit/errors.ts';
import { lockPath } from '../../rollout/journal.ts';
import { archiveJournal, type Journal } from '../../state/journal.ts';
import { describeHolder, type Lock, takeLock } from '../../state/lock.ts';
import { observeImages } from '../discover/images.ts';
import type { BackupWorld, Manifest } from '../model.ts';
import type { Restic } from '../restic/program.ts';
import { withBackupLock } from '../run/lock.ts';
import { type Outcome, recorded } from '../run/record.ts';
import type { ComposeModel } from '../stage/model.ts';
import { removeLeftOvers, scratchLabels } from '../stage/scratch.ts';
import { stageStores } from '../stage/stage.ts';
import { archivedPath, type RestoreEntry, restoreJournalPath } from './journal.ts';
import type { RestorePlan } from './model.ts';
import { observeRestore, runningServices } from './observe.ts';
import { planRestore, stopsOf } from './plan.ts';
import { keptName } from './print.ts';
import { planSafety, type SafetyPlan, saveSafety } from './safety.ts';
import { clear, clearForgotten, type Prepared, prepare } from './scratch.ts';
import { openRestoreJournal, swapIn } from './swap-in.ts';
import { requireSame } from './to-project.ts';
import { chooseUnits, unitsOf } from './units.ts';
import { modelVariables } from './variables.ts';

/** How long a restore waits for a deploy before it stops the services. */
const DEPLOY_MS = 15 * 60_000;

export interface RestoreRequest {
  manifest: Manifest;
  /** Names of what to restore; empty: all data of the set. */
  only: readonly string[];
  /** When the set was last proven. */
  provenAt?: string;
  /** How long to wait for another command on the project. */
  waitMs: number;
  /** Shown the plan; false stops before anything is touched. */
  confirm: (plan: RestorePlan) => Promise<boolean>;
  /** Called after each entry of the journal is on the disk. */
  afterEntry?: (entry: RestoreEntry) => void;
}

export interface RestoreDone extends Outcome {
  set: string;
  plan: RestorePlan;
  /** Sets with what was there before. */
  safety: string[];
  /** Volumes and folders with the old content. */
  kept: string[];
  numbers: { bytes: number; stores: number; seconds: number; downSeconds: number };
}

/** What a restore of the set would do. Touches nothing. Throws STORE_UNKNOWN, RESTORE_REFUSED. */
export async function planOf(
  { project, docker, host }: Pick<BackupWorld, 'project' | 'docker' | 'host'>,
  { manifest, only, provenAt }: Pick<RestoreRequest, 'manifest' | 'only' | 'provenAt'>,
): Promise<RestorePlan> {
  const { units, running } = await observeRestore(docker, project, unitsOf(manifest, project));
  const chosen = chooseUnits(units, only, manifest);
  if (chosen.length === 0) {
    throw new Failure('RESTORE_REFUSED', `nothing of the set ${manifest.set} can be replaced in ${project.name}`, {
      details: units.map(({ title, refused }) => `${title}: ${refused ?? 'it is not in the set'}`),
      next: 'composure backup restore --to FOLDER writes it out as files',
    });
  }
  const id = randomBytes(3).toString('hex');
  return planRestore({ id, project, manifest, host, ...(provenAt === undefined ? {} : { provenAt }), units, chosen, running });
}

/**
 * Replaces data of the running project by a set's: proven in scratch first, what was there saved and kept, and taken back when the services are
 * not well with it. Throws DECLINED, RESTORE_FAILED, RESTORE_REFUSED, STORE_UNKNOWN, BACKUP_FAILED, LOCKED, REPOSITORY_*.
 */
export function restoreInPlace(world: BackupWorld, restic: Restic, request: RestoreRequest): Promise<RestoreDone> {
  return recorded(world, { kind: 'restore', scheduled: false }, (known) =>
    withBackupLock(world, 'restore', request.waitMs, async (scratch) => {
      const plan = await planOf(world, request);
      if (!(await request.confirm(plan))) throw new Failure('DECLINED', 'not confirmed; nothing was touched');
      known.set = plan.set;
      const began = performance.now();
      await removeLeftOvers(world.docker);
      await clearForgotten(world.docker, plan);
      const prepared = await prepare(world.docker, plan);
      const journal = await openRestoreJournal(world, request.afterEntry);
      try {
        const { safety, downSeconds } = await carryOut(world, restic, scratch, { ...request, plan, prepared, journal });
        const stores = plan.units.flatMap((unit) => unit.stores);
        return {
          set: plan.set,
          plan,
          safety,
          kept: await keptOf(world, plan),
          numbers: {
            bytes: stores.reduce((sum, { bytes }) => sum + bytes, 0),
            stores: stores.length,
            seconds: tenths(performance.now() - began),
            downSeconds,
          },
        };
      } finally {
        await journal.close();
      }
    }),
  );
}

interface Restoring {
  manifest: Manifest;
  plan: RestorePlan;
  prepared: Prepared;
  journal: Journal<RestoreEntry>;
}

async function carryOut(
  world: BackupWorld,
  restic: Restic,
  scratch: string,
  { manifest, plan, prepared, journal }: Restoring,
): Promise<{ safety: string[]; downSeconds: number }> {
  const safety: string[] = [];
  const save = async (parts: SafetyPlan, which: 'alive' | 'still'): Promise<void> => {
    const set = await saveSafety(world, restic, scratch, parts, which);
    if (set !== undefined) safety.push(set);
  };
  let lock: Lock;
  let parts: SafetyPlan;
  try {
    await journal.append(prepared.begin);
    await prove(world, restic, manifest, plan, prepared);
    parts = await planSafety(world, plan.units);
    await save(parts, 'alive');
    lock = await takeLock(lockPath(world.stateFolder, world.project.name), {
      purpose: 'restore',
      waitMs: DEPLOY_MS,
      signal: world.signal,
      onWait: (holder) => world.report({ kind: 'note', text: `waiting for ${describeHolder(holder)}` }),
    });
  } catch (error) {
    // Nothing live was touched yet.
    await clear(world.docker, prepared.begin);
    await archiveJournal(restoreJournalPath(world.stateFolder, plan.project), archivedPath(world.stateFolder, plan.project, plan.id));
    if (world.signal.aborted) throw new Failure('INTERRUPTED', 'the restore was interrupted; nothing live was touched');
    throw error;
  }
  const stoppedAt = performance.now();
  try {
    // While the set was proven, a release or the autoscaler may have started more than the plan knew of.
    const running = await runningServices(world.docker, world.project);
    const services = stopsOf(world.project, plan.units, running).map(({ service }) => service);
    const servers = plan.units.filter(({ kind }) => kind === 'database').map(({ service }) => service);
    await swapIn(world, journal, prepared.begin, { services, servers }, () => save(parts, 'still'));
    return { safety, downSeconds: services.length > 0 ? tenths(performance.now() - stoppedAt) : 0 };
  } finally {
    await lock.release();
  }
}

/** The set in scratch places, compared with what was counted when it was saved. */
async function prove(world: BackupWorld, restic: Restic, manifest: Manifest, plan: RestorePlan, prepared: Prepared): Promise<void> {
  const { project, docker } = world;
  const stores = plan.units.flatMap((unit) => unit.stores);
  const model = JSON.parse(project.resolved) as ComposeModel;
  const images = await observeImages(docker, project);
  const staged = await stageStores(world, restic, manifest, stores, {
    project: `composure-restore-${plan.id}`,
    labels: scratchLabels(plan.id),
    model,
    images: Object.fromEntries(Object.entries(images).map(([service, { id }]) => [service, id])),
    env: await modelVariables(project, model),
    volumes: prepared.volumes,
    folders: prepared.folders,
  });
  requireSame(manifest.set, staged);
}

/** Volumes and folders that hold old content now; one that was empty is not kept. */
async function keptOf({ docker }: BackupWorld, { id, units }: RestorePlan): Promise<string[]> {
  const spots = units.flatMap(({ places }) => places.flatMap(({ live }) => (live ? [live] : [])));
  const kept = await Promise.all(
    spots.map(async (live) => {
      const name = keptName('volume' in live ? live.volume : live.folder, id);
      const isThere = 'volume' in live ? (await docker.findVolume(name)) !== undefined : existsSync(name);
      return isThere ? ['volume' in live ? `volume ${name}` : name] : [];
    }),
  );
  return [...new Set(kept.flat())];
}

const tenths = (ms: number): number => Math.round(ms / 100) / 10;
