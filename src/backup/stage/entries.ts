import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Failure } from '../../kit/errors.ts';
import { writeFileDurably } from '../../kit/files.ts';
import { FULL_ID } from '../known-snapshots.ts';
import type { SavedStore } from '../model.ts';
import { resticFailure } from '../restic/outcome.ts';
import type { Restic } from '../restic/program.ts';

export interface SnapshotEntry {
  /** As restic prints it: absolute within the snapshot. */
  path: string;
  type: 'file' | 'dir' | 'symlink' | 'fifo' | 'dev' | 'chardev';
}

/**
 * Whether a list of entries stays within the folder that it is written to, told one by one in restic's order (a folder before what is in it).
 * Answers why not, or undefined. Pure.
 */
export function entryCheck(): (entry: SnapshotEntry) => string | undefined {
  const folders = new Set<string>(['']);
  const links = new Set<string>();
  return ({ path, type }) => {
    if (!path.startsWith('/') || path.includes('\0')) return `${JSON.stringify(path)} is no path within the snapshot`;
    const parts = path.slice(1).split('/');
    if (parts.some((part) => part === '' || part === '.' || part === '..')) return `${JSON.stringify(path)} leads out of its folder`;
    const parent = path.slice(0, path.lastIndexOf('/'));
    if (!folders.has(parent)) return `${JSON.stringify(path)} lies in something that is no folder`;
    // Names that are no UTF-8 are printed alike, so the same path twice is no fault by itself.
    if (type === 'dir' ? links.has(path) : type === 'symlink' && folders.has(path)) return `${JSON.stringify(path)} is a folder and a link`;
    if (type === 'dir') folders.add(path);
    if (type === 'symlink') links.add(path);
    return undefined;
  };
}

type Content = Pick<SavedStore, 'snapshot' | 'path'>;

/**
 * Refuses a snapshot that would be written outside of the folder, also by way of links that lie there already. Its list is read for that, unless
 * this machine knows it and the folder holds nothing. Throws RESTORE_FAILED, REPOSITORY_*.
 */
export async function requireWithin(restic: Restic, store: Content & Pick<SavedStore, 'id'>, folder: string): Promise<void> {
  const { id, snapshot, path: root } = store;
  if (isKnown(restic, store) && (await isEmptyFolder(folder))) return;
  const check = entryCheck();
  let problem: string | undefined;
  const folders: string[] = [''];
  const result = await restic.run(['ls', '--json', '--no-lock', `${snapshot}:${root}`], {
    discardStdout: true,
    onLine: (line, stream) => {
      if (stream !== 'stdout' || problem !== undefined || !line.startsWith('{')) return;
      const node = JSON.parse(line) as SnapshotEntry & { message_type?: string };
      if (node.message_type !== 'node') return;
      problem = check(node);
      if (node.type === 'dir') folders.push(node.path);
    },
  });
  if (result.code !== 0) throw resticFailure(result, `list ${id}`, restic.repository);
  if (problem === undefined) await rememberWithin(restic, store);
  for (const path of folders) {
    if (problem !== undefined) break;
    const there = await lstat(join(folder, path)).catch(() => undefined);
    if (there && !there.isDirectory()) problem = `${JSON.stringify(path)} is a link or file in the target, and a folder in the snapshot`;
  }
  if (problem === undefined) return;
  throw new Failure('RESTORE_FAILED', `${id}: the snapshot does not stay within the folder that it is restored to: ${problem}`, {
    where: `snapshot ${snapshot.slice(0, 8)}`,
    next: 'nothing of it was written; who could write into the repository? restic ls shows what the snapshot holds',
  });
}

/**
 * Keeps that a snapshot's folder, and with it every folder in that, stays within the one it is written to: its id stands for its content. Also of what
 * this machine has just saved, since a folder on a disk holds nothing that lies elsewhere. A machine that cannot keep it reads the list again.
 */
export async function rememberWithin(restic: Restic, { snapshot, path }: Content): Promise<void> {
  if (FULL_ID.test(snapshot)) await writeFileDurably(knownPath(restic, { snapshot, path }), '').catch(() => {});
}

/** By the folder in the snapshot too: what of another one was found says nothing of this one. */
const knownPath = ({ cache }: Restic, { snapshot, path }: Content): string =>
  join(cache, 'within', `${snapshot}-${createHash('sha256').update(path).digest('hex')}`);

const isKnown = (restic: Restic, { snapshot, path }: Content): boolean =>
  FULL_ID.test(snapshot) && ['/', path].some((root) => existsSync(knownPath(restic, { snapshot, path: root })));

async function isEmptyFolder(folder: string): Promise<boolean> {
  const found = await lstat(folder).catch(() => undefined);
  return found?.isDirectory() === true && (await readdir(folder)).length === 0;
}
