import { randomBytes } from 'node:crypto';
import { link, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { dirname } from 'node:path';
import { formatMs } from '../kit/duration.ts';
import { Failure } from '../kit/errors.ts';
import { storageFailure } from '../kit/files.ts';
import { sleep } from '../kit/wait.ts';
import { isAlive, ownIdentity, type ProcessIdentity } from './process.ts';

export interface LockHolder extends ProcessIdentity {
  user: string;
  /** What the holder is doing, for people: "deploy". */
  purpose: string;
  /** ISO 8601. */
  since: string;
}

export interface Lock {
  release(): Promise<void>;
}

/** The live holder of a lock file, or undefined when it is free or left behind by a process that is gone. */
export async function readLock(path: string): Promise<LockHolder | undefined> {
  const holder = await readHolder(path);
  return holder && isAlive(holder) ? holder : undefined;
}

/**
 * Takes a lock file. One that a dead process left is taken over, whatever its age; a live holder is waited for up to `waitMs`,
 * then Failure LOCKED names it. `onWait` is called once, before the waiting begins; `signal` ends it.
 */
export async function takeLock(
  path: string,
  {
    purpose,
    waitMs = 0,
    onWait,
    signal,
  }: { purpose: string; waitMs?: number; onWait?: (holder: LockHolder) => void; signal?: AbortSignal },
): Promise<Lock> {
  const own: LockHolder = { ...ownIdentity(), user: userName(), purpose, since: new Date().toISOString() };
  const deadline = Date.now() + waitMs;
  let told = false;
  for (;;) {
    const holder = await tryTake(path, own);
    if (holder === undefined) return { release: () => releaseLock(path, own) };
    if (!told) {
      told = true;
      if (waitMs > 0) onWait?.(holder);
    }
    if (Date.now() >= deadline) throw lockedBy(holder);
    signal?.throwIfAborted();
    await sleep(100);
  }
}

export function describeHolder(holder: LockHolder): string {
  const age = formatMs(Date.now() - Date.parse(holder.since));
  return `${holder.purpose} by ${holder.user} (pid ${holder.pid}) since ${holder.since}, ${age} ago`;
}

function lockedBy(holder: LockHolder): Failure {
  return new Failure('LOCKED', `another command is at work: ${describeHolder(holder)}`, {
    next: 'wait for it to end, or give --wait 10m to wait for it here',
  });
}

/** Undefined when the lock is ours now, else who has it. The file appears complete or not at all: it is linked into place. */
async function tryTake(path: string, own: LockHolder): Promise<LockHolder | undefined> {
  const draft = `${path}.${own.pid}.${randomBytes(4).toString('hex')}`;
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    await writeFile(draft, JSON.stringify(own), { mode: 0o600, flush: true });
    for (;;) {
      try {
        await link(draft, path);
        return undefined;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      }
      const holder = await readHolder(path);
      if (holder && isAlive(holder)) return holder;
      if (holder) await clearStale(path, holder);
    }
  } catch (error) {
    throw storageFailure(error, path);
  } finally {
    await rm(draft, { force: true }).catch(() => {});
  }
}

/** Moves a dead holder's file away; if another process took the lock in between, its file is put back where it was. */
async function clearStale(path: string, stale: LockHolder): Promise<void> {
  const aside = `${path}.stale.${randomBytes(4).toString('hex')}`;
  try {
    await rename(path, aside);
  } catch {
    return;
  }
  const moved = await readHolder(aside);
  if (moved && !sameHolder(moved, stale) && isAlive(moved)) await link(aside, path).catch(() => {});
  await rm(aside, { force: true });
}

async function releaseLock(path: string, own: LockHolder): Promise<void> {
  const holder = await readHolder(path);
  if (holder && sameHolder(holder, own)) await rm(path, { force: true });
}

async function readHolder(path: string): Promise<LockHolder | undefined> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as LockHolder;
  } catch {
    return undefined;
  }
}

const sameHolder = (a: LockHolder, b: LockHolder): boolean =>
  a.pid === b.pid && a.startTicks === b.startTicks && a.bootId === b.bootId && a.since === b.since;

function userName(): string {
  try {
    return process.env.SUDO_USER || userInfo().username;
  } catch {
    return `uid ${process.getuid?.()}`;
  }
}
