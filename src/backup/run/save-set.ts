import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { performance } from 'node:perf_hooks';
import { atOnce, closedAtOnce } from '../../kit/at-once.ts';
import { Failure } from '../../kit/errors.ts';
import { readFileIfThere, writeFileDurably } from '../../kit/files.ts';
import type { RunResult } from '../../kit/spawn.ts';
import { lockPath } from '../../rollout/journal.ts';
import { describeHolder, takeLock } from '../../state/lock.ts';
import { isFolder } from '../export/place.ts';
import type { BackupSet, BackupWorld, Manifest, PlannedStore, SavedStore } from '../model.ts';
import { runningPath } from '../places.ts';
import { LOCKED_CODE, resticFailure } from '../restic/outcome.ts';
import type { Restic } from '../restic/program.ts';
import { listSets, rememberManifest } from '../sets.ts';
import { rememberWithin } from '../stage/entries.ts';
import { removeLocks } from '../unlock.ts';
import { hold } from './hold.ts';
import { hookedServices, runHook } from './hooks.ts';
import { type Batch, type FreeBatch, inOrder } from './order.ts';
import { saveManifest } from './save-manifest.ts';
import { RETRY_LOCK, type SetRequest, saveTogether } from './save-together.ts';

/** How long a backup waits for a deploy before it pauses or stops containers. */
const DEPLOY_MS = 15 * 60_000;

/** "20261124T061200Z-9f3a" */
export const newSetId = (now: Date): string =>
  `${now.toISOString().slice(0, 19).replaceAll(/[-:]/g, '')}Z-${randomBytes(2).toString('hex')}`;

/**
 * Saves the stores, and last the manifest that makes them a set. When anything fails, what was saved of it is taken back.
 * The caller holds the backup lock. Throws BACKUP_FAILED, REPOSITORY_*, INTERRUPTED, LOCKED.
 */
export async function saveSet(world: BackupWorld, restic: Restic, request: SetRequest): Promise<Manifest> {
  const { project, stateFolder, host, signal, version } = world;
  const { set, stores, about } = request;
  const running = runningPath(stateFolder, project.name);
  const startedAt = new Date().toISOString();
  // Before the first snapshot: whoever comes after a kill knows what to take back.
  await writeFileDurably(running, JSON.stringify({ set }));
  try {
    const { first, last } = inOrder(stores, hookedServices(project));
    const saved: SavedStore[] = [];
    for (const batch of first) saved.push(...(await saveBatch(world, restic, request, batch)));
    const order = new Map(stores.map(({ id }, index) => [id, index]));
    const manifestOf = (others: readonly SavedStore[]): Manifest => ({
      version: 1,
      project: project.name,
      set,
      startedAt,
      endedAt: new Date().toISOString(),
      composure: version,
      host,
      ...about,
      stores: [...saved, ...others].sort((a, b) => (order.get(a.id) ?? 0) - (order.get(b.id) ?? 0)),
    });
    const { parts, save } = savingFree(world, restic, request, last);
    const { manifest, snapshot } = await closedAtOnce(restic.atOnce, parts, signal, save, async (others, ending) => {
      const made = others.then((found) => manifestOf(found.flat()));
      const id = await saveManifest({ ...world, signal: ending }, restic, request, made);
      return { manifest: await made, snapshot: id };
    });
    await rm(running, { force: true });
    await rememberManifest(restic, snapshot, manifest);
    const folders = new Set(manifest.stores.filter(isFolder).map((store) => store.snapshot));
    await Promise.all([...folders].map((id) => rememberWithin(restic, { snapshot: id, path: '/' })));
    return manifest;
  } catch (error) {
    const kept = await takeBack(world, restic, set);
    if (!kept) await rm(running, { force: true });
    throw signal.aborted ? interrupted(set, kept) : error;
  }
}

const interrupted = (set: string, kept: boolean): Failure =>
  new Failure(
    'INTERRUPTED',
    `the backup was interrupted; ${kept ? `the next one removes what there is of set ${set}` : 'nothing of it was kept'}`,
  );

/** Ends what a run that was killed left in the repository. The caller holds the backup lock. */
export async function takeBackKilled(world: BackupWorld, restic: Restic): Promise<void> {
  const path = runningPath(world.stateFolder, world.project.name);
  const text = await readFileIfThere(path);
  if (text === undefined) return;
  const { set } = JSON.parse(text) as { set: string };
  if (await takeBack(world, restic, set)) return;
  await rm(path, { force: true });
}

/** Forgets the snapshots of a set that is not complete. True: some may still be there, because restic could not. */
async function takeBack({ project, report }: BackupWorld, restic: Restic, set: string): Promise<boolean> {
  try {
    const found = (await listSets(restic, project.name)).find((one) => one.set === set);
    if (!found || found.complete) return false;
    if (restic.appendOnly) {
      report({ kind: 'note', text: `set ${set} is not finished: what was saved of it stays in the repository and does not count` });
      return false;
    }
    const result = await forget(restic, found);
    if (result.code !== 0) throw resticFailure(result, `take back the unfinished set ${set}`, restic.repository);
    report({ kind: 'note', text: `set ${set} is not finished: what was saved of it is taken back` });
    return false;
  } catch (error) {
    report({
      kind: 'warning',
      text: `what there is of the unfinished set ${set} could not be taken back, and does not count: ${(error as Error).message}`,
    });
    return true;
  }
}

/** restic that was at work for a run outlives the one who was killed, by seconds: only then is its lock known for dead. */
async function forget(restic: Restic, { snapshots }: BackupSet): Promise<RunResult> {
  const ids = snapshots.map(({ id }) => id);
  const result = await restic.run(['--retry-lock', '10s', 'forget', ...ids]);
  if (result.code !== LOCKED_CODE) return result;
  await removeLocks(restic);
  return restic.run([...RETRY_LOCK, 'forget', ...ids]);
}

async function saveBatch(
  world: BackupWorld,
  restic: Restic,
  request: SetRequest,
  { service, groups, files, held }: Batch,
): Promise<SavedStore[]> {
  const hooks = service === undefined ? undefined : world.project.services[service]?.backup;
  const saved: SavedStore[] = [];
  let fault: { error: unknown } | undefined;
  try {
    if (service !== undefined && hooks?.pre) await runHook(world, service, 'pre', hooks.pre);
    const { parts, save } = savingFree(world, restic, request, { groups, files });
    saved.push(...(await atOnce(restic.atOnce, parts, world.signal, save)).flat());
    for (const group of held) saved.push(...(await saveHeld(world, restic, request, group)));
  } catch (error) {
    fault = { error };
  }
  // It undoes what `pre` did, so it runs in any case, and also when somebody wants to leave.
  if (service !== undefined && hooks?.post) {
    const calm = { ...world, signal: new AbortController().signal };
    await runHook(calm, service, 'post', hooks.post).catch((error: unknown) => {
      if (fault) world.report({ kind: 'warning', text: (error as Error).message });
      else fault = { error };
    });
  }
  if (fault) throw fault.error;
  return saved;
}

/**
 * How what needs no standstill is saved, a few at a time. Files are read when the content of every group is settled, and not only when it is saved.
 */
function savingFree(
  world: BackupWorld,
  restic: Restic,
  request: SetRequest,
  { groups, files }: FreeBatch,
): { parts: PlannedStore[][]; save: (stores: PlannedStore[], signal: AbortSignal) => Promise<SavedStore[]> } {
  const settled = new Map(groups.map((stores) => [stores, Promise.withResolvers<void>()]));
  return {
    parts: [...groups, ...files.map((store) => [store])],
    async save(stores, signal) {
      const own = settled.get(stores);
      if (own === undefined) await Promise.all([...settled.values()].map(({ promise }) => promise));
      try {
        return await saveTogether({ ...world, signal }, restic, request, stores, own?.resolve);
      } finally {
        own?.resolve();
      }
    },
  };
}

/** Saves files while nobody writes to them. The project's lock is held meanwhile, so that no release moves the containers. */
async function saveHeld(
  world: BackupWorld,
  restic: Restic,
  request: SetRequest,
  { consistency, users, stores }: Batch['held'][number],
): Promise<SavedStore[]> {
  const { stateFolder, project, report, signal } = world;
  const lock = await takeLock(lockPath(stateFolder, project.name), {
    purpose: `backup, ${consistency === 'pause' ? 'pausing' : 'stopping'} ${users.join(', ')}`,
    waitMs: DEPLOY_MS,
    signal,
    onWait: (holder) => report({ kind: 'note', text: `waiting for ${describeHolder(holder)}` }),
  });
  try {
    const began = performance.now();
    const step = `hold:${stores[0]?.id}`;
    report({ kind: 'step-start', step, text: `${consistency} ${users.join(', ')}` });
    const still = await hold(world, project.name, users, consistency);
    report({ kind: 'step-done', step, text: '', ms: performance.now() - began });
    const saved: SavedStore[] = [];
    try {
      for (const store of stores) saved.push(...(await saveTogether(world, restic, request, [store])));
      const awake = await still.disturbed();
      if (awake !== undefined) {
        throw new Failure('BACKUP_FAILED', `${awake} ran while its files were read`, {
          where: stores.map(({ id }) => id).join(', '),
          next: 'somebody started it by hand meanwhile: run the backup again',
        });
      }
    } finally {
      await still.release();
    }
    report({ kind: 'note', text: `${users.join(', ')} stood still for ${Math.round(performance.now() - began)} ms` });
    return saved;
  } finally {
    await lock.release();
  }
}
