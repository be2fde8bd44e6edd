import { createHash } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import { Failure } from '../../kit/errors.ts';
import { readCurrentRelease } from '../../state/releases.ts';
import { observeImages } from '../discover/images.ts';
import { observeStores } from '../discover/observe.ts';
import { planBackup } from '../discover/plan.ts';
import type { BackupPlan, BackupWorld, Manifest } from '../model.ts';
import type { Restic } from '../restic/program.ts';
import { didBreakOff, indexLoosePacks } from '../resume.ts';
import { listSets } from '../sets.ts';
import { removeLeftOvers } from '../stage/scratch.ts';
import { removeLocks } from '../unlock.ts';
import { endHoldsOfDead } from './hold.ts';
import { hookedServices } from './hooks.ts';
import { lastStores, rememberLast } from './last-set.ts';
import { withBackupLock } from './lock.ts';
import { disturbsSomebody } from './order.ts';
import { type Outcome, recorded } from './record.ts';
import { newSetId, saveSet, takeBackKilled } from './save-set.ts';

export interface RunRequest {
  /** Services; empty: the whole project. */
  only: readonly string[];
  scheduled: boolean;
  /** How long to wait for another command on the project's backups. */
  waitMs: number;
  /** Asked while no other command changes the project's backups. */
  open: () => Promise<Restic>;
}

export interface RunDone extends Outcome {
  set: string;
  numbers: { bytes: number; addedBytes: number; stores: number; seconds: number };
  manifest: Manifest;
}

/**
 * Makes a backup: everything that the plan names as one set, or nothing. What a killed run left is cleared away first. How it ended is noted and told.
 * Throws BACKUP_FAILED, BACKUP_NOT_SET_UP, SERVICE_UNKNOWN, LOCKED, REPOSITORY_*, RESTIC_MISSING, DISK_FULL, INTERRUPTED.
 */
export function runBackup(world: BackupWorld, request: RunRequest): Promise<RunDone> {
  return recorded(world, { kind: 'run', scheduled: request.scheduled }, (outcome) => {
    const only = request.only.length > 0 ? { only: [...request.only].sort() } : {};
    Object.assign(outcome, only);
    return withBackupLock(world, 'backup', request.waitMs, async (scratch) => {
      const began = performance.now();
      const { project, stateFolder, report } = world;
      await endHoldsOfDead(world, { project: project.name, waitMs: 10_000 });
      await removeLeftOvers(world.docker);
      const restic = await request.open();
      // Each call of restic costs half a second for its key alone, so what can be asked at once is.
      const previous = lastStores(world, restic);
      const [brokeOff, plan, images, release] = await Promise.all([
        didBreakOff(stateFolder, project.name),
        observeStores(world).then((observed) => planBackup(project, observed)),
        observeImages(world.docker, project),
        readCurrentRelease(stateFolder, project.name),
        clearDeadLocks(world, restic),
      ]);
      await takeBackKilled(world, restic);
      if (brokeOff) await indexLoosePacks(world, restic);
      for (const text of plan.warnings) report({ kind: 'warning', text });
      const stores = chosenStores(plan, request.only, Object.keys(project.services));
      const set = newSetId(new Date());
      outcome.set = set;
      // A repository that does not answer must not have cost anybody a standstill.
      if (disturbsSomebody(stores, hookedServices(project))) await listSets(restic, project.name);
      const manifest = await saveSet(world, restic, {
        set,
        stores,
        scratch,
        previous,
        about: {
          ...(release === undefined ? {} : { release: release.number }),
          images,
          composeHash: createHash('sha256').update(project.resolved).digest('hex'),
          ...only,
        },
      });
      if (manifest.only === undefined) await rememberLast(world, manifest);
      const sum = (field: 'bytes' | 'added'): number => manifest.stores.reduce((total, store) => total + store[field], 0);
      const seconds = Math.round((performance.now() - began) / 100) / 10;
      return {
        set,
        ...only,
        manifest,
        numbers: { bytes: sum('bytes'), addedBytes: sum('added'), stores: manifest.stores.length, seconds },
      };
    });
  });
}

/** The plan's stores, or those of the services that were asked for. Throws SERVICE_UNKNOWN, BACKUP_FAILED. */
export function chosenStores({ stores }: BackupPlan, only: readonly string[], services: readonly string[]): BackupPlan['stores'] {
  const unknown = only.find((service) => !services.includes(service));
  if (unknown !== undefined) {
    throw new Failure('SERVICE_UNKNOWN', `there is no service ${unknown}`, {
      next: `services of this project: ${[...services].sort().join(', ')}`,
    });
  }
  const chosen = only.length === 0 ? stores : stores.filter(({ service }) => only.includes(service));
  if (chosen.length > 0) return chosen;
  throw new Failure('BACKUP_FAILED', only.length === 0 ? 'there is nothing to save' : `there is nothing to save of ${only.join(', ')}`, {
    next: 'composure backup run --dry-run says what is found and what is left out',
  });
}

async function clearDeadLocks({ report }: BackupWorld, restic: Restic): Promise<void> {
  const { removed } = await removeLocks(restic);
  for (const { hostname, pid, why } of removed) report({ kind: 'note', text: `removed a dead lock of ${hostname} (pid ${pid}): ${why}` });
}
