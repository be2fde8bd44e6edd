import { userInfo } from 'node:os';
import { join } from 'node:path';
import { readFileIfThere, writeFileDurably } from '../kit/files.ts';
import { projectFolder } from './folder.ts';
import { takeLock } from './lock.ts';

/** Who asked, and when (ISO 8601). */
interface Asked {
  by: string;
  at: string;
}

/** KEDA's pause annotations, as `composure autoscale pause` sets them. */
export interface PauseWish extends Asked {
  paused: boolean;
  pausedReplicas?: number;
  pausedScaleIn: boolean;
  pausedScaleOut: boolean;
}

/**
 * What people have asked of the autoscaler for one project's services, until they take it back. Commands write it, the agent's loop follows
 * the file; it outlives both.
 */
export interface Wishes {
  /** `composure scale`: a floor for the service's count. */
  scale: Record<string, Asked & { replicas: number }>;
  /** `composure autoscale pause`. It goes before what the compose file says about pausing. */
  pause: Record<string, PauseWish>;
}

/** The file appears whole or not at all, by a rename: follow its folder, not the file. */
export const wishesPath = (state: string, project: string): string => join(projectFolder(state, project), 'autoscale.wishes.json');

export async function readWishes(state: string, project: string): Promise<Wishes> {
  const text = await readFileIfThere(wishesPath(state, project));
  const found = text === undefined ? {} : (JSON.parse(text) as Partial<Wishes>);
  return { scale: found.scale ?? {}, pause: found.pause ?? {} };
}

/** Changes the wishes of a project; commands that do so at once take turns. */
export async function changeWishes(state: string, project: string, change: (wishes: Wishes) => Wishes): Promise<Wishes> {
  const path = wishesPath(state, project);
  const lock = await takeLock(`${path}.lock`, { purpose: 'autoscale', waitMs: 5000 });
  try {
    const wishes = change(await readWishes(state, project));
    await writeFileDurably(path, `${JSON.stringify(wishes, null, 2)}\n`);
    return wishes;
  } finally {
    await lock.release();
  }
}

/** The user whom a wish is noted for, and the time. */
export const asked = (): Asked => ({ by: process.env.SUDO_USER || userInfo().username, at: new Date().toISOString() });
