import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import { Failure } from '../../kit/errors.ts';
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

/**
 * Reads the list of a snapshot and refuses one that would be written outside of the folder, also by way of links that lie there already.
 * Throws RESTORE_FAILED, REPOSITORY_*.
 */
export async function requireWithin(restic: Restic, snapshot: string, folder: string, store: string): Promise<void> {
  const check = entryCheck();
  let problem: string | undefined;
  const folders: string[] = [''];
  const result = await restic.run(['ls', '--json', '--no-lock', snapshot], {
    discardStdout: true,
    onLine: (line, stream) => {
      if (stream !== 'stdout' || problem !== undefined || !line.startsWith('{')) return;
      const node = JSON.parse(line) as SnapshotEntry & { message_type?: string };
      if (node.message_type !== 'node') return;
      problem = check(node);
      if (node.type === 'dir') folders.push(node.path);
    },
  });
  if (result.code !== 0) throw resticFailure(result, `list ${store}`, restic.repository);
  for (const path of folders) {
    if (problem !== undefined) break;
    const there = await lstat(join(folder, path)).catch(() => undefined);
    if (there && !there.isDirectory()) problem = `${JSON.stringify(path)} is a link or file in the target, and a folder in the snapshot`;
  }
  if (problem === undefined) return;
  throw new Failure('RESTORE_FAILED', `${store}: the snapshot does not stay within the folder that it is restored to: ${problem}`, {
    where: `snapshot ${snapshot.slice(0, 8)}`,
    next: 'nothing of it was written; who could write into the repository? restic ls shows what the snapshot holds',
  });
}
