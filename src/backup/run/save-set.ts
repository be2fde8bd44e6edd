import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { performance } from 'node:perf_hooks';
import { atOnce } from '../../kit/at-once.ts';
import { Failure } from '../../kit/errors.ts';
import { readFileIfThere, writeFileDurably } from '../../kit/files.ts';
import { lockPath } from '../../rollout/journal.ts';
import { describeHolder, takeLock } from '../../state/lock.ts';
import { isFolder } from '../export/place.ts';
import type { BackupWorld, Manifest, PlannedStore, SavedStore } from '../model.ts';
import { runningPath } from '../places.ts';
import { resticFailure } from '../restic/outcome.ts';
import type { Restic } from '../restic/program.ts';
import { saveStream } from '../restic/save.ts';
import { listSets, MANIFEST_FILE, rememberManifest } from '../sets.ts';
import { rememberWithin } from '../stage/entries.ts';
import { hold } from './hold.ts';
import { hookedServices, runHook } from './hooks.ts';
import { type Batch, inOrder } from './order.ts';
import { RETRY_LOCK, type SetRequest, saveTogether, tagsFor, watched } from './save-together.ts';

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
  const { set, stores, scratch, about } = request;
  const running = runningPath(stateFolder, project.name);
  const startedAt = new Date().toISOString();
  // Before the first snapshot: whoever comes after a kill knows what to take back.
  await writeFileDurably(running, JSON.stringify({ set }));
  try {
    const saved: SavedStore[] = [];
    for (const batch of inOrder(stores, hookedServices(project))) saved.push(...(await saveBatch(world, restic, request, batch)));
    signal.throwIfAborted();
    const order = new Map(stores.map(({ id }, index) => [id, index]));
    const manifest: Manifest = {
      version: 1,
      project: project.name,
      set,
      startedAt,
      endedAt: new Date().toISOString(),
      composure: version,
      host,
      ...about,
      stores: saved.sort((a, b) => (order.get(a.id) ?? 0) - (order.get(b.id) ?? 0)),
    };
    const { snapshot } = await saveStream(watched(restic, signal), {
      file: MANIFEST_FILE,
      tags: tagsFor(world, request, 'manifest'),
      scratch,
      host,
      stream: oneChunk(`${JSON.stringify(manifest, null, 2)}\n`),
      verdict: async () => undefined,
    });
    await rm(running, { force: true });
    await rememberManifest(restic, snapshot, manifest);
    const folders = new Set(saved.filter(isFolder).map((store) => store.snapshot));
    await Promise.all([...folders].map((id) => rememberWithin(restic, { snapshot: id, path: '/' })));
    return manifest;
  } catch (error) {
    const kept = await takeBack(world, restic, set);
    if (!kept) await rm(running, { force: true });
    throw signal.aborted ? interrupted(set, kept) : error;
  }
}

async function* oneChunk(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text);
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
    const result = await restic.run([...RETRY_LOCK, 'forget', ...found.snapshots.map(({ id }) => id)]);
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
    saved.push(...(await saveFree(world, restic, request, groups, files)));
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

/** Saves what needs no standstill, a few at a time. Files are read when the content of every group is settled, and not only when it is saved. */
async function saveFree(
  world: BackupWorld,
  restic: Restic,
  request: SetRequest,
  groups: readonly PlannedStore[][],
  files: readonly PlannedStore[],
): Promise<SavedStore[]> {
  const settled = new Map(groups.map((stores) => [stores, Promise.withResolvers<void>()]));
  const saved = await atOnce(restic.atOnce, [...groups, ...files.map((store) => [store])], world.signal, async (stores, signal) => {
    const own = settled.get(stores);
    if (own === undefined) await Promise.all([...settled.values()].map(({ promise }) => promise));
    try {
      return await saveTogether({ ...world, signal }, restic, request, stores, own?.resolve);
    } finally {
      own?.resolve();
    }
  });
  return saved.flat();
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
