import { constants } from 'node:fs';
import { chmod, chown, copyFile, lstat, mkdir, rm, rmdir, utimes } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Failure } from '../../kit/errors.ts';
import { readFileIfThere, storageFailure, writeFileDurably } from '../../kit/files.ts';
import { edgeFolder } from '../../state/folder.ts';
import { isWithin } from '../files/mounts.ts';
import type { PlacedFile } from './plan.ts';

/** What a rebuild has made and takes away again when it fails before anything runs. The last comes first. */
export type Undo = (() => Promise<unknown>)[];

/** Copies files out of a restored project store to their places, with owner, mode and time; never over one that is there. */
export async function placeFiles(from: string, files: readonly PlacedFile[], undo: Undo): Promise<void> {
  for (const file of files) {
    const source = join(from, file.from);
    const found = await lstat(source).catch(() => undefined);
    if (!found?.isFile()) throw new Failure('RESTORE_FAILED', `the set lacks the file ${file.from} that it names`, { where: file.to });
    await makeFolder(dirname(file.to), undo);
    await copyFile(source, file.to, constants.COPYFILE_EXCL).catch((error: unknown) => {
      throw storageFailure(error, file.to);
    });
    undo.push(() => rm(file.to, { force: true }));
    await chown(file.to, found.uid, found.gid);
    await chmod(file.to, found.mode & 0o7777);
    await utimes(file.to, found.atime, found.mtime);
  }
}

/** Removes what `placeFiles` put into a folder, and the folders in it that are empty then. */
export async function takeAway(files: readonly PlacedFile[], folder: string): Promise<void> {
  const inside = files.filter(({ to }) => isWithin(to, folder));
  for (const { to } of inside) await rm(to, { force: true });
  const folders = new Set(inside.flatMap(({ to }) => foldersBetween(to, folder)));
  for (const path of [...folders].sort((a, b) => b.length - a.length)) await rmdir(path).catch(() => {});
}

function foldersBetween(file: string, folder: string): string[] {
  const found: string[] = [];
  for (let path = dirname(file); path !== folder && isWithin(path, folder); path = dirname(path)) found.push(path);
  return found;
}

/** A folder with those above it. Of what was made, only what is empty again is taken away. */
export async function makeFolder(folder: string, undo: Undo): Promise<void> {
  const first = await mkdir(folder, { recursive: true }).catch((error: unknown) => {
    throw storageFailure(error, folder);
  });
  if (first === undefined) return;
  for (let path = first; ; path = join(path, folder.slice(path.length + 1).split('/')[0] ?? '')) {
    const made = path;
    undo.push(() => rmdir(made).catch(() => {}));
    if (path === folder) return;
  }
}

/** Certificates that the edge held, where it has none of that host. */
export async function placeCertificates(from: string, stateFolder: string, names: readonly string[], undo: Undo): Promise<void> {
  for (const name of names) {
    const to = join(edgeFolder(stateFolder), 'certs', name);
    const text = await readFileIfThere(join(from, 'edge', 'certs', name));
    if (text === undefined || (await readFileIfThere(to)) !== undefined) continue;
    await writeFileDurably(to, text);
    undo.push(() => rm(to, { force: true }));
  }
}

/** Adds keys to this machine's identity, which may have some already. */
export async function placeIdentity(file: string, keys: readonly string[], undo: Undo): Promise<void> {
  const before = await readFileIfThere(file);
  const missing = keys.filter((key) => !before?.split(/\r?\n/).some((line) => line.trim() === key));
  if (missing.length === 0) return;
  const added = ['# From a recovery kit. Opens the secrets of the projects that were rebuilt here.', ...missing].join('\n');
  await writeFileDurably(file, `${before === undefined ? '' : `${before.trimEnd()}\n`}${added}\n`);
  undo.push(() => (before === undefined ? rm(file, { force: true }) : writeFileDurably(file, before)));
}
