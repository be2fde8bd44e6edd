import { performance } from 'node:perf_hooks';
import { formatBytes } from '../../kit/amounts.ts';
import type { BackupWorld, Manifest, PlannedStore, SavedStore } from '../model.ts';
import type { Restic } from '../restic/program.ts';
import { isMade, type MadeOptions, saveMade } from '../save-made.ts';
import { saveStore } from '../save-store.ts';
import { sharedWith, tagsOf } from '../sets.ts';

export interface SetRequest {
  set: string;
  stores: readonly PlannedStore[];
  scratch: string;
  safety?: boolean;
  /** Everything of the manifest that is known before the first store is saved. */
  about: Omit<Manifest, 'version' | 'stores' | 'startedAt' | 'endedAt' | 'set' | 'project' | 'host' | 'composure'>;
  /** The stores of the last set, for comparing. Who disturbs nobody begins before they are known. */
  previous?: Promise<readonly SavedStore[]>;
}

/** Another host may prune the repository, or read it while a snapshot has to go. */
export const RETRY_LOCK = ['--retry-lock', '2m'];

export const tagsFor = ({ project }: BackupWorld, { set, about: { only = [] }, safety }: SetRequest, ...stores: string[]): string[] => [
  ...tagsOf(project.name, set, ...stores),
  ...only.map((service) => `only=${service}`),
  ...(safety ? ['safety'] : []),
];

/** Saves stores that are made as one snapshot, or a single other one. Each says how far it is by the lines of its own step. */
export async function saveTogether(
  world: BackupWorld,
  restic: Restic,
  request: SetRequest,
  stores: readonly PlannedStore[],
  onSettled?: () => void,
): Promise<SavedStore[]> {
  const { host, report, signal } = world;
  signal.throwIfAborted();
  const began = performance.now();
  const steps = stores.map(({ id }) => ({ id, step: `store:${id}` }));
  for (const { id, step } of steps) report({ kind: 'step-start', step, text: `save ${id}` });
  const quiet: BackupWorld = { ...world, report: (event) => void (event.kind === 'warning' && report(event)) };
  const progress = (done: number, total: number | undefined): void =>
    report({
      kind: 'step-progress',
      step: steps[0]?.step ?? '',
      text: total === undefined ? formatBytes(done) : `${formatBytes(done)} of ${formatBytes(total)}`,
    });
  const options = { tags: tagsFor(world, request, ...stores.map(({ id }) => id)), scratch: request.scratch, host, onSettled };
  try {
    const saved = await saveStores(quiet, watched(restic, signal, progress), stores, request.previous, options);
    for (const store of saved) {
      const shared = sharedWith(saved, store);
      const text = shared === undefined ? doneText(store) : `${formatBytes(store.bytes)}, with ${shared}`;
      report({ kind: 'step-done', step: `store:${store.id}`, text, ms: performance.now() - began });
    }
    return saved;
  } catch (error) {
    for (const { step } of steps) report({ kind: 'step-failed', step, text: '', ms: performance.now() - began });
    throw error;
  }
}

async function saveStores(
  world: BackupWorld,
  restic: Restic,
  stores: readonly PlannedStore[],
  previous: SetRequest['previous'],
  options: Omit<MadeOptions, 'previous'>,
): Promise<SavedStore[]> {
  // A dump has nothing that it could be compared with.
  const isFolder = stores.some(({ kind }) => kind === 'files' || kind === 'sqlite');
  const before = isFolder ? await previous : undefined;
  const [store] = stores;
  if (!store || isMade(store)) return saveMade(world, restic, stores, { ...options, previous: before });
  return [await saveStore(world, restic, store, { ...options, previous: before?.find(({ id }) => id === store.id) })];
}

function doneText({ bytes, added, vanished = [] }: SavedStore): string {
  const gone = vanished.length > 0 ? `, ${vanished.length} files vanished while they were read` : '';
  return `${formatBytes(bytes)}, ${formatBytes(added)} new${gone}`;
}

/** restic that ends with the command, and that says how far it is. */
export function watched(
  restic: Restic,
  signal: AbortSignal,
  progress: (done: number, total: number | undefined) => void = () => {},
): Restic {
  return {
    ...restic,
    run: (args, options = {}) =>
      restic.run([...RETRY_LOCK, ...args], {
        signal,
        ...options,
        onLine(line, stream) {
          options.onLine?.(line, stream);
          if (!line.startsWith('{"message_type":"status"')) return;
          const status = JSON.parse(line) as { bytes_done?: number; total_bytes?: number };
          progress(status.bytes_done ?? 0, (status.total_bytes ?? 0) > 0 ? status.total_bytes : undefined);
        },
      }),
  };
}
