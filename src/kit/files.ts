import { randomBytes } from 'node:crypto';
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Failure } from './errors.ts';

/** Replaces a file so that a crash leaves the old or the new content, never a part: temp file, fsync, rename, fsync of the folder. */
export async function writeFileDurably(path: string, content: string, mode = 0o600): Promise<void> {
  const temporary = `${path}.${randomBytes(4).toString('hex')}.tmp`;
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    const file = await open(temporary, 'w', mode);
    try {
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
    await syncFolder(dirname(path));
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {});
    throw storageFailure(error, path);
  }
}

/** As writeFileDurably; a file that has the content already is left alone, which saves its syncs. */
export async function writeFileIfChanged(path: string, content: string, mode = 0o600): Promise<void> {
  if ((await readFileIfThere(path)) !== content) await writeFileDurably(path, content, mode);
}

export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** The file's text, or undefined when there is none. */
export async function readFileIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw storageFailure(error, path);
  }
}

const WORDS = { EACCES: 'permission denied', EPERM: 'not permitted', EROFS: 'the file system is read-only' };

/** Full disk and missing permission are the operator's to solve; anything else passes through as it is. */
export function storageFailure(error: unknown, path: string): unknown {
  const code = (error as NodeJS.ErrnoException).code;
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new Failure('DISK_FULL', `no space left to write ${path}`, {
      where: path,
      next: 'free some space (docker system df shows what Docker holds), then run the command again',
      cause: error,
    });
  }
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') {
    return new Failure('STATE_UNWRITABLE', `cannot use ${path}: ${WORDS[code]}`, {
      where: path,
      next: 'run as a user who may write there, or set COMPOSURE_STATE_DIR to a folder of your own',
      cause: error,
    });
  }
  // What a recursive mkdir says on a file system that takes no new folder.
  if (code === 'ENOENT' && (error as NodeJS.ErrnoException).syscall === 'mkdir') {
    return new Failure('STATE_UNWRITABLE', `cannot use ${path}: its folder cannot be made, as on a read-only file system`, {
      where: path,
      next: 'make that file system writable, or set COMPOSURE_STATE_DIR to a folder of your own',
      cause: error,
    });
  }
  if (code === 'ENOTDIR' || code === 'EEXIST') {
    return new Failure('STATE_UNWRITABLE', `cannot use ${path}: a part of this path is a file and not a folder`, {
      where: path,
      next: 'remove that file, or set COMPOSURE_STATE_DIR to a folder of your own',
      cause: error,
    });
  }
  return error;
}
