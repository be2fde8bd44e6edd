import { statfs } from 'node:fs/promises';
import type { Docker } from '../../docker/api.ts';
import { formatBytes } from '../../kit/amounts.ts';
import { Failure } from '../../kit/errors.ts';
import type { SavedStore } from '../model.ts';

/** A loaded database is larger than its dump: indexes, and the log of what was written. */
export const SPACE_FACTOR = 1.5;

export const bytesNeeded = (stores: readonly SavedStore[]): number =>
  Math.ceil(stores.reduce((sum, { bytes }) => sum + bytes, 0) * SPACE_FACTOR);

/** Free bytes for anybody, where Docker keeps volumes. Undefined where its folder is not of this file system's view. */
export async function freeBytes(docker: Docker): Promise<number | undefined> {
  const { DockerRootDir } = await docker.info();
  const found = await statfs(DockerRootDir).catch(() => undefined);
  return found === undefined ? undefined : found.bavail * found.bsize;
}

/** Why the stores do not fit, or undefined when they do. Pure. */
export function spaceProblem(needed: number, free: number | undefined): string | undefined {
  if (free === undefined || needed <= free) return undefined;
  return `it takes ${formatBytes(needed)} of disk (${SPACE_FACTOR} times what was saved), and ${formatBytes(free)} are free where Docker keeps its volumes`;
}

/** Throws DISK_FULL before anything is made. */
export async function requireSpace(docker: Docker, stores: readonly SavedStore[]): Promise<void> {
  const problem = spaceProblem(bytesNeeded(stores), await freeBytes(docker));
  if (problem === undefined) return;
  throw new Failure('DISK_FULL', `the set cannot be restored here: ${problem}`, {
    next: 'free some space (docker system df shows what Docker holds), then run the command again; nothing was made',
  });
}
