import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readFileIfThere } from '../kit/files.ts';
import { isLocal } from './restic/invocation.ts';
import type { Restic } from './restic/program.ts';

/** Of `restic snapshots --json` and `restic forget --json`, what is used here. */
export interface Snapshot {
  id: string;
  /** ISO 8601, to the nanosecond. */
  time: string;
  hostname: string;
  tags?: string[];
}

/** A beginning of an id may come to mean another snapshot. */
export const FULL_ID = /^[0-9a-f]{64}$/;

/**
 * The snapshots of a repository that is a folder, where this machine has saved or listed every one of them before: the ids are the files' names, and
 * an id is the hash of what it stands for. undefined: restic has to be asked. It is not needed here, and neither is the password.
 */
export async function knownSnapshots(restic: Restic): Promise<Snapshot[] | undefined> {
  if (!isLocal(restic.repository)) return undefined;
  try {
    const ids = (await readdir(join(restic.repository, 'snapshots'))).filter((name) => FULL_ID.test(name));
    if (ids.length === 0) return undefined;
    return await Promise.all(ids.map(async (id) => JSON.parse(await readFile(pathOf(restic, id), 'utf8')) as Snapshot));
  } catch {
    return undefined;
  }
}

/** Keeps what was saved or listed. A machine that cannot keep it asks again. */
export async function rememberSnapshots(restic: Restic, snapshots: readonly Snapshot[]): Promise<void> {
  if (!isLocal(restic.repository)) return;
  try {
    await mkdir(join(restic.cache, 'snapshots'), { recursive: true, mode: 0o700 });
    for (const { id, time, hostname, tags = [] } of snapshots) {
      const [path, text] = [pathOf(restic, id), JSON.stringify({ id, time, hostname, tags })];
      if (!FULL_ID.test(id) || (await readFileIfThere(path)) === text) continue;
      // Without waiting for the disk, which restic keeps busy: what a power cut takes is asked for again.
      await writeFile(`${path}.${process.pid}`, text, { mode: 0o600 });
      await rename(`${path}.${process.pid}`, path);
    }
  } catch {
    // Then the next one is slower.
  }
}

/** Drops all that is kept of snapshots that are no more. What another machine removed stays, a few hundred bytes each. */
export async function forgetKnown({ cache }: Restic, snapshots: readonly string[]): Promise<void> {
  const gone = new Set(snapshots);
  for (const folder of ['snapshots', 'manifests', 'within']) {
    const names = await readdir(join(cache, folder)).catch(() => []);
    await Promise.all(names.filter((name) => gone.has(name.slice(0, 64))).map((name) => rm(join(cache, folder, name), { force: true })));
  }
}

const pathOf = ({ cache }: Restic, id: string): string => join(cache, 'snapshots', `${id}.json`);
