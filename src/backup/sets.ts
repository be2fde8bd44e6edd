import { join } from 'node:path';
import { Failure } from '../kit/errors.ts';
import { readFileIfThere, writeFileDurably } from '../kit/files.ts';
import { second } from '../kit/time.ts';
import { knownSnapshots, rememberSnapshots, type Snapshot } from './known-snapshots.ts';
import type { BackupSet, Manifest, SavedStore } from './model.ts';
import { resticFailure } from './restic/outcome.ts';
import type { Restic } from './restic/program.ts';

/** The one file in a manifest's snapshot. */
export const MANIFEST_FILE = 'manifest.json';

const SAFETY_TAG = 'safety';

/**
 * The tags of a snapshot with these stores, by which a set is found again. A set of chosen services has `only=<service>` besides, on all of them;
 * one that is made before a restore has `safety`.
 */
export const tagsOf = (project: string, set: string, ...stores: string[]): string[] => [
  'composure',
  `project=${project}`,
  `set=${set}`,
  ...stores.map((store) => `store=${store}`),
];

/** The sets in the repository, newest first; those of one project when it is named. Throws what `resticFailure` makes. */
export async function listSets(restic: Restic, project?: string): Promise<BackupSet[]> {
  // A list has to be had also while a prune is at work or a dead one's lock is there: it reads nothing that either could take away.
  const tags = project === undefined ? 'composure' : `composure,project=${project}`;
  const result = await restic.run(['snapshots', '--json', '--no-lock', '--tag', tags]);
  if (result.code !== 0) throw resticFailure(result, 'list the backups', restic.repository);
  const snapshots = JSON.parse(result.stdout) as Snapshot[];
  await rememberSnapshots(restic, snapshots);
  return readSets(snapshots);
}

/**
 * The same without restic, which needs half a second for its key, where this machine knows all snapshots that are there. Not for who has to find out
 * whether the repository answers, or opens with this password.
 */
export async function knownSets(restic: Restic, project?: string): Promise<BackupSet[]> {
  const known = await knownSnapshots(restic);
  if (known === undefined) return listSets(restic, project);
  return readSets(known).filter((set) => project === undefined || set.project === project);
}

/** A finished set of the whole project, as its schedule makes them: neither of chosen services nor of what a restore was about to replace. */
export const isWhole = ({ complete, safety, only }: BackupSet): boolean => complete && !safety && only === undefined;

/** Snapshots to sets, newest first; those without our tags belong to somebody else and are left out. Pure. */
export function readSets(snapshots: readonly Snapshot[]): BackupSet[] {
  const sets = new Map<string, BackupSet>();
  const inTime = snapshots.map((snapshot) => ({ ...snapshot, at: new Date(snapshot.time).toISOString() }));
  for (const { id, at, hostname: host, tags = [] } of inTime.sort((a, b) => compare(a.at, b.at) || compare(a.id, b.id))) {
    const all = (name: string): string[] => tags.flatMap((tag) => (tag.startsWith(`${name}=`) ? [tag.slice(name.length + 1)] : []));
    const [[project], [name], stores] = [all('project'), all('set'), all('store')];
    if (!tags.includes('composure') || project === undefined || name === undefined || stores.length === 0) continue;
    const key = `${project} ${name}`;
    const set = sets.get(key) ?? { project, set: name, at, complete: false, safety: tags.includes(SAFETY_TAG), host, snapshots: [] };
    sets.set(key, set);
    const only = all('only');
    if (only.length > 0) set.only = only.sort();
    set.snapshots.push({ id, stores, at });
    if (stores.includes('manifest')) Object.assign(set, { complete: true, manifest: id, at });
  }
  return [...sets.values()].sort((a, b) => compare(b.at, a.at) || compare(b.set, a.set));
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

export interface Which {
  set?: string;
  at?: string;
  /** What alone is wanted: services, or stores by their ids. */
  only?: readonly string[];
}

/** A set of chosen services that has everything that is wanted, by its service or its id. */
const holdsAll = ({ complete, safety, only: services = [] }: BackupSet, wanted: readonly string[]): boolean =>
  complete && !safety && wanted.every((name) => services.some((service) => name === service || name.startsWith(`${service}/`)));

/**
 * The set that is meant: by its id (or a beginning of it that only one has), or the latest at or before a time, or the latest one: of the whole
 * project, or of chosen services where nothing else is wanted. A set without a manifest is never found. `sets` newest first. Throws SET_UNKNOWN.
 */
export function findSet(sets: readonly BackupSet[], { set, at, only = [] }: Which): BackupSet {
  const complete = sets.filter((one) => one.complete);
  if (set !== undefined) {
    const exact = complete.find((one) => one.set === set);
    const alike = complete.filter((one) => one.set.startsWith(set));
    if (exact) return exact;
    if (alike.length === 1 && alike[0]) return alike[0];
    const isIncomplete = sets.some((one) => !one.complete && one.set.startsWith(set));
    throw unknown(
      alike.length > 1
        ? `several sets begin with ${set}`
        : isIncomplete
          ? `the set ${set} has no manifest: its backup failed, was killed, or is still at work`
          : `there is no set ${set}`,
      alike.length > 1 ? alike : complete,
    );
  }
  const regular = sets.filter((one) => isWhole(one) || (only.length > 0 && holdsAll(one, only)));
  if (at === undefined) {
    if (regular[0]) return regular[0];
    throw unknown('there is no backup yet', complete);
  }
  const time = Date.parse(at);
  if (Number.isNaN(time)) throw new Failure('USAGE', `"${at}" is no time`, { next: 'write it as 2026-11-24T06:00:00Z' });
  const found = regular.find((one) => Date.parse(one.at) <= time);
  if (found) return found;
  throw unknown(`no backup is as old as ${second(new Date(time).toISOString())} UTC`, complete);
}

/** `findSet` among a project's sets in the repository. Throws SET_UNKNOWN, REPOSITORY_*. */
export async function readSet(
  restic: Restic,
  project: string,
  which: Which,
  list: (restic: Restic) => Promise<BackupSet[]> = listSets,
): Promise<BackupSet> {
  const all = await list(restic);
  const own = all.filter((one) => one.project === project);
  if (own.length > 0 || all.length === 0) return findSet(own, which);
  throw new Failure('SET_UNKNOWN', `the repository has no backup of ${project}, but of ${projectsOf(all).join(', ')}`, {
    where: restic.repository,
    next: 'composure backup run makes one; what the project saved under another name is to be had by --project-name NAME',
  });
}

export const projectsOf = (sets: readonly BackupSet[]): string[] => [...new Set(sets.map(({ project }) => project))].sort();

function unknown(message: string, there: readonly BackupSet[]): Failure {
  const shown = there.slice(0, 10).map((one) => `${one.set}  saved ${second(one.at)} UTC${noteOf(one)}`);
  return new Failure('SET_UNKNOWN', message, {
    details: [...shown, ...(there.length > shown.length ? [`and ${there.length - shown.length} older ones`] : [])],
    next: there.length > 0 ? 'take one of these; composure backup list shows them all' : 'composure backup run makes one',
  });
}

const noteOf = ({ safety, only }: BackupSet): string => `${safety ? '  before a restore' : ''}${only ? `  only ${only.join(', ')}` : ''}`;

/** What a complete set holds. Throws SET_UNKNOWN, REPOSITORY_*. */
export async function readManifest(restic: Restic, { set, manifest }: Pick<BackupSet, 'set' | 'manifest'>): Promise<Manifest> {
  if (manifest === undefined) throw unknown(`the set ${set} has no manifest: its backup failed, was killed, or is still at work`, []);
  const result = await restic.run(['dump', '--no-lock', manifest, `/${MANIFEST_FILE}`]);
  if (result.code !== 0) throw resticFailure(result, `read the manifest of set ${set}`, restic.repository);
  return parseManifest(result.stdout, set);
}

/**
 * The same from this machine's cache, where the snapshot was read before: its id stands for its content. What cannot be used there is read from the
 * repository. Who proves a set reads what is in the repository in any case: with readManifest.
 */
export async function knownManifest(restic: Restic, found: Pick<BackupSet, 'set' | 'manifest'>): Promise<Manifest> {
  const known = found.manifest === undefined ? undefined : await recall(restic, found.manifest, found.set);
  if (known !== undefined) return known;
  const manifest = await readManifest(restic, found);
  if (found.manifest !== undefined) await rememberManifest(restic, found.manifest, manifest);
  return manifest;
}

async function recall(restic: Restic, snapshot: string, set: string): Promise<Manifest | undefined> {
  try {
    const text = await readFileIfThere(cachePath(restic, snapshot));
    return text === undefined ? undefined : parseManifest(text, set);
  } catch {
    return undefined;
  }
}

/** A machine that cannot keep it reads it again. */
export const rememberManifest = (restic: Restic, snapshot: string, manifest: Manifest): Promise<void> =>
  writeFileDurably(cachePath(restic, snapshot), JSON.stringify(manifest)).catch(() => {});

const cachePath = ({ cache }: Restic, snapshot: string): string => join(cache, 'manifests', `${snapshot}.json`);

function parseManifest(text: string, set: string): Manifest {
  const bad = (why: string): Failure =>
    new Failure('REPOSITORY_FAILED', `the manifest of set ${set} cannot be used: ${why}`, {
      next: 'take another set (composure backup list), and run: composure backup verify --all',
    });
  let manifest: Manifest;
  try {
    manifest = JSON.parse(text) as Manifest;
  } catch {
    throw bad('it is no JSON');
  }
  if (manifest.version !== 1) throw bad(`it has version ${String(manifest.version)}; this Composure reads version 1`);
  if (manifest.set !== set || !Array.isArray(manifest.stores)) throw bad('it is of another set, or has no stores');
  return manifest;
}

/** Stores of a manifest whose snapshots are gone. Pure. */
export const missingStores = ({ stores }: Manifest, { snapshots }: BackupSet): SavedStore[] =>
  stores.filter((store) => !snapshots.some(({ id }) => id === store.snapshot || id.startsWith(store.snapshot)));

/** The store that says what the snapshot added that both share; undefined for that one itself. Pure. */
export function sharedWith(stores: readonly SavedStore[], { id, snapshot }: SavedStore): string | undefined {
  const alike = stores.filter((store) => store.snapshot === snapshot);
  const largest = alike.reduce((a, b) => (b.bytes > a.bytes ? b : a), alike[0] as SavedStore);
  return largest.id === id ? undefined : largest.id;
}
