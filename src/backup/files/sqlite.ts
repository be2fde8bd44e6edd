import { closeSync, openSync, readSync, type Stats } from 'node:fs';
import { chmod, lchown, lstat, mkdir, stat, statfs, utimes } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { backup, DatabaseSync } from 'node:sqlite';
import { Failure } from '../../kit/errors.ts';
import type { Facts, TableFact } from '../model.ts';
import { inspectDatabases } from './inspect-databases.ts';
import { type Entry, join as joinBytes, walk } from './walk.ts';

const MAGIC = 'SQLite format 3\0';

/** Beside the database while it is in use, and of no use without it. */
export const BESIDE = ['-wal', '-shm', '-journal'];

/** Whether a file begins as an SQLite database does. Files that cannot be one by their size are not opened. */
export function isDatabase(folder: Buffer, { path, stat: { size }, stat: facts }: Entry): boolean {
  if (!facts.isFile() || size < 512n || size % 512n !== 0n) return false;
  try {
    const file = openSync(joinBytes(folder, path), 'r');
    try {
      const head = Buffer.alloc(16);
      return readSync(file, head, 0, 16, 0) === 16 && head.toString('latin1') === MAGIC;
    } finally {
      closeSync(file);
    }
  } catch {
    return false;
  }
}

/** How long a writer may hold the database before the backup gives up. */
const BUSY_MS = 60_000;
/** Pages copied between two looks at whether to go on. */
const PAGES_AT_ONCE = 8192;

export interface Copied {
  facts: Facts;
  /** The moment that the oldest of the copies is of. */
  contentAt: string;
  vanished: string[];
}

/**
 * Copies databases that may be written to meanwhile, each as it was at one moment, into an empty folder, where they lie as in the source, with owners
 * and modes as they are. Throws BACKUP_FAILED for a damaged one and DISK_FULL before it begins where the copies do not fit.
 */
export async function copyDatabases(
  source: string,
  databases: readonly string[],
  folder: string,
  { store, signal }: { store: string; signal: AbortSignal },
): Promise<Copied> {
  await refuseFullDisk(source, databases, folder);
  const contentAt = new Date().toISOString();
  const copied = new Map<string, Stats>();
  const vanished: string[] = [];
  for (const name of databases) {
    signal.throwIfAborted();
    if (!(await lstat(join(source, name)).catch(() => undefined))) {
      vanished.push(name);
      continue;
    }
    const copy = join(folder, name);
    await makeFolders(source, folder, dirname(name));
    await copyDatabase(join(source, name), copy, { store, name, signal });
    copied.set(name, await stat(join(source, name)));
  }
  const tables = await inspect(folder, [...copied.keys()], { store, check: 'quick_check', signal });
  // Last, because SQLite puts files of its own beside a database that it opens.
  for (const [name, attributes] of copied) await setAttributes(join(folder, name), attributes);
  return { facts: { kind: 'tables', tables }, contentAt, vanished };
}

/** Rows of every table of every database in a folder, each database fully checked: what `copyDatabases` said of it. Throws BACKUP_FAILED for a damaged one. */
export async function databaseFacts(folder: string, store: string): Promise<Facts> {
  const names: string[] = [];
  await walk(folder, (entry) => {
    if (isDatabase(Buffer.from(folder), entry)) names.push(entry.path.toString('utf8'));
    return undefined;
  });
  return { kind: 'tables', tables: await inspect(folder, names.sort(), { store, check: 'integrity_check' }) };
}

/** Copies a database as it is at one moment to a file that does not exist yet. Throws BACKUP_FAILED. */
export async function copyDatabase(
  from: string,
  to: string,
  { store, name, signal }: { store: string; name: string; signal: AbortSignal },
): Promise<void> {
  const database = new DatabaseSync(from, { readOnly: true, timeout: BUSY_MS });
  try {
    // A transaction of our own keeps one moment in sight. Without it, SQLite begins the copy anew at every write of another process.
    database.exec('BEGIN');
    database.prepare('SELECT count(*) FROM sqlite_schema').get();
    await backup(database, to, { rate: PAGES_AT_ONCE, progress: () => signal.throwIfAborted() });
    database.exec('ROLLBACK');
  } catch (error) {
    throw signal.aborted ? error : damaged(store, name, (error as Error).message, error);
  } finally {
    database.close();
  }
}

async function inspect(
  folder: string,
  names: readonly string[],
  { store, check, signal }: { store: string; check: 'quick_check' | 'integrity_check'; signal?: AbortSignal },
): Promise<TableFact[]> {
  const files = names.map((name) => join(folder, name));
  const found = await inspectDatabases(files, check, signal);
  return found.flatMap((one, index) => {
    const name = names[index] ?? '';
    if ('fault' in one) throw damaged(store, name, one.fault);
    return one.tables.map(({ name: table, rows }): TableFact => ({ name: `${name}/${table}`, rows }));
  });
}

const damaged = (store: string, name: string, why: string, cause?: unknown): Failure =>
  new Failure('BACKUP_FAILED', `${store}: the SQLite database ${name} cannot be copied whole: ${why}`, {
    where: name,
    next: 'look at it with: sqlite3 FILE "PRAGMA integrity_check"; if it is no longer needed, remove it or name it under x-backup.exclude',
    cause,
  });

async function refuseFullDisk(source: string, databases: readonly string[], scratch: string): Promise<void> {
  const sizes = await Promise.all(
    databases.flatMap((name) =>
      [name, `${name}-wal`].map(async (file) => (await lstat(join(source, file)).catch(() => undefined))?.size ?? 0),
    ),
  );
  const needed = sizes.reduce((sum, size) => sum + size, 0);
  const { bavail, bsize } = await statfs(scratch);
  if (needed <= bavail * bsize) return;
  throw new Failure('DISK_FULL', `copying ${databases.length} SQLite databases takes ${needed} bytes, and ${bavail * bsize} are free`, {
    where: scratch,
    next: 'free some space there (docker system df shows what Docker holds), then run the command again',
  });
}

async function makeFolders(source: string, target: string, inside: string): Promise<void> {
  if (inside === '.') return;
  await makeFolders(source, target, dirname(inside));
  await mkdir(join(target, inside), { recursive: true });
  await setAttributes(join(target, inside), await stat(join(source, inside)));
}

async function setAttributes(to: string, { mode, uid, gid, atime, mtime }: Stats): Promise<void> {
  await lchown(to, uid, gid);
  await chmod(to, mode & 0o7777);
  await utimes(to, atime, mtime);
}
