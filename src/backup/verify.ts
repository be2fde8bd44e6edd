import { Failure } from '../kit/errors.ts';
import type { BackupResult, BackupSet, BackupWorld } from './model.ts';
import { complaints, readMessages, resticFailure } from './restic/outcome.ts';
import type { Restic } from './restic/program.ts';
import type { Outcome } from './run/record.ts';
import { knownManifest, knownSets, missingStores } from './sets.ts';
import { removeLocks } from './unlock.ts';

/** In as many runs everything has been read once. */
export const DEFAULT_PARTS = 7;

/** Which part of the repository's data is read. */
export type Reading = { all: true } | { all: false; part: number; parts: number };

/** The part after the one that was read last; the first one when the count of parts is another now. Pure. */
export function nextPart(history: readonly BackupResult[], parts: number): number {
  const last = history.findLast(({ kind, numbers }) => kind === 'verify' && numbers.part !== undefined);
  return last?.numbers.parts === parts ? ((last.numbers.part ?? 0) % parts) + 1 : 1;
}

export interface Verified {
  reading: Reading;
  /** The part that was read, and how many sets and snapshots were found to be there. */
  numbers: Record<string, number>;
}

/**
 * The repository's structure, a part of its data (every pack of that part is read and its content compared with its hash), and whether every
 * snapshot that a manifest names is there. A failure leaves in `known` which part was read. Throws REPOSITORY_DAMAGED, or what hinders the reading.
 */
export async function verify(
  restic: Restic,
  { project, report, signal }: Pick<BackupWorld, 'project' | 'report' | 'signal'>,
  reading: Reading,
  known: Partial<Outcome>,
  { waitMs = 0 } = {},
): Promise<Verified> {
  await removeLocks(restic);
  const what = reading.all ? 'all data' : `part ${reading.part} of ${reading.parts} of the data`;
  const began = performance.now();
  const step = 'check';
  report({ kind: 'step-start', step, text: `check the repository and read ${what}` });
  // Asked meanwhile; what hinders it is told after what is wrong with the repository itself.
  const listing = knownSets(restic, project.name).catch((error: unknown) => ({ error }));
  const result = await restic.run(
    [
      'check',
      '--json',
      ...(waitMs > 0 ? ['--retry-lock', `${Math.ceil(waitMs / 1000)}s`] : []),
      ...(reading.all ? ['--read-data'] : [`--read-data-subset=${reading.part}/${reading.parts}`]),
    ],
    { signal },
  );
  const ended = (kind: 'step-done' | 'step-failed', text: string): void => report({ kind, step, text, ms: performance.now() - began });
  const summary = readMessages(result.stdout).find(({ message_type }) => message_type === 'summary');
  // Data that is at fault is exit code 1, with a summary; restic also writes one when the password is not the repository's.
  if (!summary || ![0, 1].includes(result.code)) {
    ended('step-failed', 'not checked');
    throw resticFailure(result, 'check the repository', restic.repository);
  }
  const read: Record<string, number> = reading.all ? { all: 1 } : { part: reading.part, parts: reading.parts };
  known.numbers = read;
  if (result.code !== 0) {
    ended('step-failed', 'damaged');
    throw damaged(restic, `the repository is damaged`, complaints(result));
  }
  ended('step-done', '');
  const sets = await listing;
  if ('error' in sets) throw sets.error;
  const complete = sets.filter((set) => set.complete);
  await checkSets(restic, complete);
  const snapshots = complete.reduce((sum, set) => sum + set.snapshots.length, 0);
  return { reading, numbers: { ...read, sets: complete.length, snapshots } };
}

async function checkSets(restic: Restic, sets: readonly BackupSet[]): Promise<void> {
  const faults: string[] = [];
  for (const set of sets) {
    for (const store of missingStores(await knownManifest(restic, set), set))
      faults.push(`${set.set}: the snapshot of ${store.id} is gone (${store.snapshot.slice(0, 8)})`);
  }
  if (faults.length > 0) throw damaged(restic, 'sets are not whole any more', faults);
}

const damaged = (restic: Restic, message: string, details: string[]): Failure =>
  new Failure('REPOSITORY_DAMAGED', message, {
    where: restic.repository,
    details,
    next: 'composure backup run saves anew what is still there; composure backup drill --set ID tells whether a set can be restored; mend the rest as restic’s manual says under “Troubleshooting”, and look for the disk or memory that did it',
  });
