import { Failure } from '../../kit/errors.ts';
import { waitFor } from '../../kit/wait.ts';
import { DUMP_TYPES } from '../dumps/list.ts';
import type { DumpType, SavedStore } from '../model.ts';
import type { Restic } from '../restic/program.ts';
import { differences } from './compare.ts';
import type { Staged, StageWorld } from './model.ts';

/** A server on empty volumes makes its database first, which on a busy machine takes a while. */
const READY_MS = 180_000;

/** Roles before what they own, accounts after what their rights name. */
const ORDER = ({ kind }: SavedStore): number => (kind === 'postgres-roles' ? 0 : kind === 'mysql-accounts' ? 2 : 1);

export const isDump = ({ kind }: SavedStore): boolean => kind !== 'project' && kind !== 'files' && kind !== 'sqlite';

/** Loads the dumps of one service into its fresh server, counts, and ends the server in good order. Throws RESTORE_FAILED, REPOSITORY_*. */
export async function loadDumps(world: StageWorld, restic: Restic, stores: readonly SavedStore[], container: string): Promise<Staged[]> {
  const staged: Staged[] = [];
  for (const store of [...stores].sort((a, b) => ORDER(a) - ORDER(b))) {
    world.signal.throwIfAborted();
    staged.push(await inStep(world, store, () => loadDump(world, restic, store, container)));
  }
  await world.docker.stopContainer(container, 300);
  const { State, Name } = await world.docker.inspectContainer(container);
  if (State.ExitCode !== 0) {
    throw new Failure('RESTORE_FAILED', `${stores[0]?.service}: the server did not end in good order (exit code ${State.ExitCode})`, {
      where: Name.slice(1),
      details: (await world.docker.logTail(container, 8)).slice(-8),
      next: 'its last words are above; what it has on its disk is not to be trusted',
    });
  }
  return staged;
}

async function loadDump(world: StageWorld, restic: Restic, store: SavedStore, id: string): Promise<string[]> {
  const type = dumpTypeOf(store);
  const { docker, report } = world;
  const context = { docker, container: await docker.inspectContainer(id), service: store.service, name: store.name, report };
  await waitUntilReady(world, type, store, id);
  await type.load(context, restic.read(['dump', store.snapshot, store.path], `read ${store.id}`, { signal: world.signal }));
  await waitUntilReady(world, type, store, id);
  return differences(store.facts, await type.count(context));
}

function dumpTypeOf({ kind, id }: SavedStore): DumpType {
  const type = DUMP_TYPES.find((one) => one.kind === kind);
  if (type) return type;
  throw new Failure('RESTORE_FAILED', `${id}: this Composure knows no ${kind}`, {
    next: 'use the version that made the backup, or a newer one',
  });
}

async function waitUntilReady({ docker, signal }: StageWorld, type: DumpType, store: SavedStore, id: string): Promise<void> {
  const { service } = store;
  const end = (why: string, details: string[]): Failure =>
    new Failure('RESTORE_FAILED', `${service}: ${why}`, { where: store.id, details, next: 'its last words are above' });
  const isReady = await waitFor(
    async () => {
      const container = await docker.findContainer(id);
      if (!container?.State.Running) throw end(`the ${type.title} server ended at once`, container ? await docker.logTail(id, 8) : []);
      return (await type.ready({ docker, container, service, report: () => {} })) ? true : undefined;
    },
    { everyMs: 250, timeoutMs: READY_MS, signal },
  );
  if (!isReady) throw end(`the ${type.title} server is not ready after ${READY_MS / 1000} s`, await docker.logTail(id, 8));
}

/** Tells of a store's step, and measures it. */
export async function inStep({ report }: StageWorld, store: SavedStore, act: () => Promise<string[]>): Promise<Staged> {
  const began = performance.now();
  const step = `stage:${store.id}`;
  report({ kind: 'step-start', step, text: `restore ${store.id}` });
  try {
    const found = await act();
    const ms = performance.now() - began;
    report({ kind: found.length === 0 ? 'step-done' : 'step-failed', step, text: found[0] ?? '', ms });
    return { store, seconds: ms / 1000, differences: found };
  } catch (error) {
    report({ kind: 'step-failed', step, text: (error as Error).message, ms: performance.now() - began });
    throw error;
  }
}
