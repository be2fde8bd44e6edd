import { createHash } from 'node:crypto';
import type { FileFacts } from '../model.ts';
import { resticFailure } from '../restic/outcome.ts';
import type { Restic } from '../restic/program.ts';
import { excluder } from './exclude.ts';
import { walk } from './walk.ts';

/** Facts of an empty folder. */
export const NO_FILES: FileFacts = { kind: 'files', files: 0, folders: 0, bytes: 0, listing: '0'.repeat(64) };

/** What both sides know of one entry. */
interface Listed {
  kind: 'f' | 'd' | 'l' | 'p' | 'b' | 'c';
  path: string;
  mode: number;
  uid: number;
  gid: number;
  size: number;
  /** Seconds since 1970. */
  mtime: number;
}

/**
 * Facts of a folder on disk. Of an unchanged folder they equal those of its snapshot; `exclude` are the store's patterns (files/exclude.ts).
 * Sockets do not count: restic does not save them.
 */
export const folderFacts = async (folder: string, exclude: readonly string[] = []): Promise<FileFacts> =>
  (await factsUpTo(Number.POSITIVE_INFINITY, folder, exclude)) ?? NO_FILES;

/** The same of a folder with at most so many entries; undefined when it has more. */
export async function factsUpTo(entries: number, folder: string, exclude: readonly string[]): Promise<FileFacts | undefined> {
  const isOut = excluder(exclude);
  const count = counter();
  let seen = 0;
  await walk(folder, ({ path, stat }) => {
    seen += 1;
    if (seen > entries) return 'stop';
    const text = path.toString('utf8');
    if (isOut(text)) return 'skip';
    const kind = kindOf(stat);
    if (kind === undefined) return undefined;
    const { mode, uid, gid, size, mtimeNs } = stat;
    const seconds = Number((mtimeNs - (((mtimeNs % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n)) / 1_000_000_000n);
    count.add({ kind, path: text, mode: Number(mode & 0o7777n), uid: Number(uid), gid: Number(gid), size: Number(size), mtime: seconds });
    return undefined;
  });
  return seen > entries ? undefined : count.facts();
}

/** Facts of what a snapshot of a folder holds. Throws REPOSITORY_*. */
export async function snapshotFacts(restic: Restic, snapshot: string): Promise<FileFacts> {
  const count = counter();
  const result = await restic.run(['ls', '--json', '--no-lock', snapshot], {
    discardStdout: true,
    onLine: (line, stream) => {
      if (stream !== 'stdout' || !line.startsWith('{')) return;
      const node = JSON.parse(line) as Node;
      if (node.message_type === 'node') count.add(listed(node));
    },
  });
  if (result.code !== 0) throw resticFailure(result, `list the snapshot ${snapshot.slice(0, 8)}`, restic.repository);
  return count.facts();
}

/** A line of `restic ls --json`. */
interface Node {
  message_type: string;
  type: 'file' | 'dir' | 'symlink' | 'fifo' | 'dev' | 'chardev';
  path: string;
  /** Go's: permissions in the lowest 9 bits, setuid, setgid and sticky far above. */
  mode: number;
  uid: number;
  gid: number;
  size?: number;
  mtime: string;
}

const KINDS = { file: 'f', dir: 'd', symlink: 'l', fifo: 'p', dev: 'b', chardev: 'c' } as const;

function listed({ type, path, mode, uid, gid, size = 0, mtime }: Node): Listed {
  const special = (mode & (1 << 23) ? 0o4000 : 0) | (mode & (1 << 22) ? 0o2000 : 0) | (mode & (1 << 20) ? 0o1000 : 0);
  return {
    kind: KINDS[type],
    path: path.slice(1),
    mode: (mode & 0o777) | special,
    uid,
    gid,
    size,
    mtime: Date.parse(mtime.replace(/\.\d+/, '')) / 1000,
  };
}

function kindOf(stat: {
  isFile(): boolean;
  isDirectory(): boolean;
  isSymbolicLink(): boolean;
  isFIFO(): boolean;
  isBlockDevice(): boolean;
  isCharacterDevice(): boolean;
}): Listed['kind'] | undefined {
  if (stat.isFile()) return 'f';
  if (stat.isDirectory()) return 'd';
  if (stat.isSymbolicLink()) return 'l';
  if (stat.isFIFO()) return 'p';
  if (stat.isBlockDevice()) return 'b';
  return stat.isCharacterDevice() ? 'c' : undefined;
}

const MODULUS = 1n << 256n;

/**
 * Counts entries in any order and in little memory: the digest is the sum of the lines' SHA-256. Times only of files, because those of folders
 * change with what is restored into them.
 */
function counter(): { add(entry: Listed): void; facts(): FileFacts } {
  let [files, folders, bytes, sum] = [0, 0, 0, 0n];
  return {
    add({ kind, path, mode, uid, gid, size, mtime }) {
      // restic prints U+FFFD for each byte that is no UTF-8, Node for each group of them.
      const name = JSON.stringify(path.replace(/\ufffd+/g, '\ufffd'));
      const parts = [kind, name, `${uid}:${gid}`, ...(kind === 'l' ? [] : [mode.toString(8)]), ...(kind === 'f' ? [size, mtime] : [])];
      sum = (sum + BigInt(`0x${createHash('sha256').update(parts.join(' ')).digest('hex')}`)) % MODULUS;
      if (kind === 'f') files += 1;
      if (kind === 'd') folders += 1;
      if (kind === 'f') bytes += size;
    },
    facts: () => ({ kind: 'files', files, folders, bytes, listing: sum.toString(16).padStart(64, '0') }),
  };
}
