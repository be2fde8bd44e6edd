import { lstat, mkdir, readdir, rename, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Failure } from '../../kit/errors.ts';
import { syncFolder } from '../../kit/files.ts';

/** One folder that changes places with another. All three lie on one file system, so that each step is a rename and takes no time. */
export interface Swap {
  /** For people: "volume shop_uploads". */
  what: string;
  live: string;
  /** The new content. Afterwards it is gone. */
  staged: string;
  /** Where the old content goes: nothing is there, or an empty folder. */
  kept: string;
  /** The live folder held nothing before: then an empty `kept` is what was there. */
  wasEmpty: boolean;
}

/** Which of both is in place. `between`: the old content was put aside, and a crash came before the new one was in. */
export type SwapState = 'old' | 'between' | 'new';

/**
 * Told by which folders there are, so that a crash at any moment leaves a state that is known, also when somebody has removed the scratch
 * meanwhile. Throws RESTORE_FAILED when nothing is anywhere.
 */
export async function swapState({ what, live, staged, kept, wasEmpty }: Swap): Promise<SwapState> {
  const [hasLive, hasStaged, isPutAside] = [await isThere(live), await isThere(staged), await hasEntries(kept)];
  if (hasStaged && hasLive && !(isPutAside && !(await hasEntries(live)))) return 'old';
  // Docker makes an empty folder in the place of a bind mount's source that is missing.
  if (hasStaged) return 'between';
  // Without anything put aside, the live content is the old one, wherever the new one went.
  if (hasLive) return isPutAside || wasEmpty ? 'new' : 'old';
  if (await isThere(kept)) return 'between';
  throw new Failure('RESTORE_FAILED', `${what}: neither its old nor its new content is in place`, {
    where: live,
    details: [`the old content belongs into ${live}; ${kept}, where it was to be kept, does not exist`],
    next: 'composure backup restore brings the content back from a set, also from the one saved before',
  });
}

/** Puts the new content in place. Repeating it after a crash is right. */
export async function putNew(swap: Swap): Promise<void> {
  const state = await swapState(swap);
  if (state === 'new') return;
  if (state === 'old') {
    await mkdir(dirname(swap.kept), { recursive: true });
    await move(swap.live, swap.kept);
  }
  await move(swap.staged, swap.live);
}

/** Puts the old content back. Repeating it after a crash is right. */
export async function putOld(swap: Swap): Promise<void> {
  const state = await swapState(swap);
  if (state === 'old') return;
  if (state === 'new') {
    // Without what was put aside there is nothing to go back to.
    if (!(await isThere(swap.kept))) return;
    await mkdir(dirname(swap.staged), { recursive: true });
    await move(swap.live, swap.staged);
  }
  await move(swap.kept, swap.live);
}

async function move(from: string, to: string): Promise<void> {
  // A rename takes the place of an empty folder, and of nothing else.
  await rename(from, to);
  await syncFolder(dirname(to));
  if (dirname(from) !== dirname(to)) await syncFolder(dirname(from));
}

/** Why these two folders cannot change places by a rename; undefined when they can. */
export async function whyNoSwap(live: string, beside: string): Promise<string | undefined> {
  const own = await lstat(live).catch(() => undefined);
  if (!own) return `${live} does not exist`;
  if (!own.isDirectory()) return `${live} is ${own.isSymbolicLink() ? 'a symbolic link' : 'no folder'}`;
  if ((await stat(dirname(live))).dev !== own.dev) return `${live} is where a file system is mounted`;
  if ((await stat(beside)).dev !== own.dev) return `${live} and ${beside} lie on different file systems`;
  return undefined;
}

const isThere = async (path: string): Promise<boolean> => (await lstat(path).catch(() => undefined)) !== undefined;

const hasEntries = async (path: string): Promise<boolean> => (await readdir(path).catch(() => [])).length > 0;
