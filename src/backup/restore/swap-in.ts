import { rm } from 'node:fs/promises';
import type { Docker } from '../../docker/api.ts';
import { Failure } from '../../kit/errors.ts';
import { archiveJournal, type Journal, openJournal, readJournal } from '../../state/journal.ts';
import { archivedPath, type Begin, endsIn, type RestoreEntry, restoreJournalPath } from './journal.ts';
import { containerName, containersWith } from './mounted.ts';
import { clear } from './scratch.ts';
import { containersAtWork, type StillWorld, startAll, stopAll } from './stillness.ts';
import { putNew, putOld, type Swap } from './swap.ts';

export interface SwapWorld extends StillWorld {
  docker: Docker;
  stateFolder: string;
}

export const openRestoreJournal = (world: SwapWorld, afterEntry?: (entry: RestoreEntry) => void): Promise<Journal<RestoreEntry>> =>
  openJournal<RestoreEntry>(restoreJournalPath(world.stateFolder, world.project.name), afterEntry);

/**
 * Stops the services, changes the places, starts them and waits until they are well; when they are not, everything goes back. The caller holds
 * the project's lock and has written `begin`. `servers` are started also when they had ended. `whenStill` runs once nothing writes any more. Throws RESTORE_FAILED, and what `whenStill` throws.
 */
export async function swapIn(
  world: SwapWorld,
  journal: Journal<RestoreEntry>,
  begin: Begin,
  { services, servers }: { services: readonly string[]; servers: readonly string[] },
  whenStill: () => Promise<void>,
): Promise<void> {
  const { report } = world;
  const timed = async (step: string, text: string, work: () => Promise<void>): Promise<void> => {
    const began = performance.now();
    report({ kind: 'step-start', step, text });
    try {
      await work();
      report({ kind: 'step-done', step, text: '', ms: performance.now() - began });
    } catch (error) {
      report({ kind: 'step-failed', step, text: (error as Error).message, ms: performance.now() - began });
      throw error;
    }
  };
  const containers = await containersAtWork(world, services, servers);
  const running = containers.filter(({ was }) => was !== 'off');
  const stops = [...new Set(running.map(({ service }) => service))];
  const names = [...new Set(containers.map(({ service }) => service))];
  await journal.append({ kind: 'stop', containers });
  try {
    if (stops.length > 0) await timed('restore:stop', `stop ${stops.join(', ')}`, () => stopAll(world, running));
    await whenStill();
    await requireAlone(world, begin);
    await journal.append({ kind: 'swap' });
    await timed('restore:swap', `put the restored data in place of ${begin.swaps.map(({ what }) => what).join(', ')}`, async () => {
      for (const swap of begin.swaps) await putNew(swap);
    });
    await journal.append({ kind: 'start' });
    if (names.length > 0)
      await timed('restore:start', `start ${[...names].reverse().join(', ')}`, () => startAll(world, containers, 'new'));
    await journal.append({ kind: 'commit' });
  } catch (error) {
    throw await backToOld(world, error);
  }
  await finish(world, await entriesOf(world));
}

/** Who has a folder mounted goes on with it wherever it is moved, and what it writes would be lost. Throws RESTORE_FAILED. */
async function requireAlone({ docker }: SwapWorld, { swaps }: Begin): Promise<void> {
  const found = await containersWith(
    docker,
    swaps.map(({ live }) => live),
  );
  if (found.length === 0) return;
  const what = (folder: string): string => swaps.find(({ live }) => live === folder)?.what ?? folder;
  throw new Failure(
    'RESTORE_FAILED',
    `${found.map(({ container }) => containerName(container)).join(', ')} still has data mounted that is to be replaced`,
    {
      details: found.map(({ container, folder }) => `${containerName(container)} (${container.State}): ${what(folder)}`),
      next: 'stop what is named, and keep it from starting while the restore is at work; then run the restore again',
    },
  );
}

const entriesOf = (world: SwapWorld): Promise<RestoreEntry[]> => readJournal(restoreJournalPath(world.stateFolder, world.project.name));

async function backToOld(world: SwapWorld, error: unknown): Promise<unknown> {
  // Also for who interrupted it: what was begun is taken back first.
  const calm = { ...world, signal: new AbortController().signal };
  try {
    await finish(calm, await entriesOf(world));
  } catch (second) {
    return new Failure(
      'RESTORE_FAILED',
      `the restore failed, and what it had begun could not be taken back: ${(second as Error).message}`,
      {
        where: world.project.name,
        details: [`it failed because: ${(error as Error).message}`, ...(second instanceof Failure ? second.details : [])],
        next: 'solve what is said above; the next command on the project, or composure recover, goes on from here',
        cause: error,
      },
    );
  }
  const outcome = 'the data is as it was before, and the services run on it';
  if (error instanceof Failure) {
    return new Failure(error.code, error.message, {
      ...(error.where === undefined ? {} : { where: error.where }),
      details: [...error.details, outcome],
      next:
        error.next ??
        'look at what the container says about the restored data; composure backup drill tries a set without touching anything',
      cause: error,
    });
  }
  if ((error as Error).name === 'AbortError') return new Failure('INTERRUPTED', 'the restore was interrupted', { details: [outcome] });
  return error;
}

/**
 * Brings what a journal tells of to its end: after `commit` the new data, before it the old. Then what was made for it is removed and the journal
 * put away. Repeating it after a crash is right.
 */
export async function finish(world: SwapWorld, entries: readonly RestoreEntry[]): Promise<'old' | 'new' | 'nothing'> {
  const { docker, stateFolder, project } = world;
  const path = restoreJournalPath(stateFolder, project.name);
  const begin = entries.find((entry) => entry.kind === 'begin');
  if (!begin) {
    await rm(path, { force: true });
    return 'nothing';
  }
  const stopped = entries.find((entry) => entry.kind === 'stop');
  const end = endsIn(entries);
  if (stopped) {
    if (end === 'old' && entries.some(({ kind }) => kind === 'swap')) {
      const services = [...new Set(stopped.containers.map(({ service }) => service))];
      await stopAll(world, await containersAtWork(world, services));
      for (const swap of begin.swaps) await putOldOrSay(world, swap);
    }
    await startAll(world, stopped.containers, end, { isDecided: true });
  }
  await clear(docker, begin);
  await archiveJournal(path, archivedPath(stateFolder, project.name, begin.id));
  return stopped ? end : 'nothing';
}

/** What somebody has removed meanwhile no repetition brings back, and must not keep every other command from its work. */
async function putOldOrSay({ report }: SwapWorld, swap: Swap): Promise<void> {
  try {
    await putOld(swap);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    report({ kind: 'warning', text: [error.message, ...error.details, error.next].join('; ') });
  }
}
