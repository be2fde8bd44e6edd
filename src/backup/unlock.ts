import { readdirSync, readFileSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { formatMs } from '../kit/duration.ts';
import { isLocal } from './restic/invocation.ts';
import { resticFailure } from './restic/outcome.ts';
import type { Restic } from './restic/program.ts';

/** A lock as restic wrote it. */
export interface RepositoryLock {
  id: string;
  /** ISO 8601; restic writes its lock anew every five minutes. */
  time: string;
  exclusive: boolean;
  hostname: string;
  pid: number;
}

export interface JudgedLock extends RepositoryLock {
  isDead: boolean;
  why: string;
}

/** A living restic has refreshed its lock within this. restic's own unlock waits for 30 minutes. */
export const DEAD_AFTER_MS = 6 * 60_000;

/** What there is to know about this machine. */
export interface LockWitness {
  host: string;
  now: number;
  /** A process of this host, or of a container on it, is a restic and has this pid. */
  isRestic: (pid: number) => boolean;
}

export const ownWitness = (): LockWitness => ({ host: hostname(), now: Date.now(), isRestic: isResticProcess });

/**
 * Which locks have a living restic behind them. A container that was made anew has another host name, so the name alone proves nothing: only
 * the age does, and for this host the process itself, which may also be one that stands still. Pure.
 */
export function judgeLocks(locks: readonly RepositoryLock[], { host, now, isRestic }: LockWitness): JudgedLock[] {
  return locks.map((lock) => {
    const ageMs = now - Date.parse(lock.time);
    const isHere = lock.hostname === host;
    if (isHere && isRestic(lock.pid)) return { ...lock, isDead: false, why: 'that restic runs on this host' };
    if (isHere) return { ...lock, isDead: true, why: `no restic has pid ${lock.pid} on this host any more` };
    if (ageMs > DEAD_AFTER_MS) return { ...lock, isDead: true, why: 'a living restic refreshes its lock every 5 minutes' };
    return { ...lock, isDead: false, why: `not older than ${formatMs(DEAD_AFTER_MS).replace(' 00 s', '')}` };
  });
}

/** The locks in the repository. Takes none itself. */
export async function readLocks(restic: Restic): Promise<RepositoryLock[]> {
  if (await hasNone(restic.repository)) return [];
  const listed = await restic.run(['list', 'locks', '--no-lock']);
  if (listed.code !== 0) throw resticFailure(listed, 'list the locks', restic.repository);
  const ids = listed.stdout.split('\n').filter((line) => /^[0-9a-f]{64}$/.test(line));
  const locks = await Promise.all(
    ids.map(async (id): Promise<RepositoryLock[]> => {
      const shown = await restic.run(['cat', 'lock', id, '--no-lock']);
      // One that is gone by now was released or refreshed meanwhile.
      if (shown.code !== 0) return [];
      const { time, exclusive = false, hostname: host, pid } = JSON.parse(shown.stdout) as Record<string, unknown>;
      return [{ id, time: new Date(String(time)).toISOString(), exclusive: exclusive === true, hostname: String(host), pid: Number(pid) }];
    }),
  );
  return locks.flat().sort((a, b) => a.time.localeCompare(b.time));
}

/** A folder can be looked into without restic, which needs half a second for its key. */
async function hasNone(repository: string): Promise<boolean> {
  if (!isLocal(repository)) return false;
  const found = await readdir(join(repository, 'locks')).catch(() => undefined);
  return found?.length === 0;
}

export interface Unlocked {
  removed: JudgedLock[];
  /** Living ones, and dead ones that could not be told from living ones by any command of restic. */
  left: JudgedLock[];
}

/**
 * Removes the locks of dead processes; living ones only with `all`. restic can remove what it holds for stale, or everything: so while
 * somebody lives, a dead lock of another host in a repository that is not a folder stays until restic itself holds it for stale.
 */
export async function removeLocks(
  restic: Restic,
  { all = false, witness = ownWitness }: { all?: boolean; witness?: () => LockWitness } = {},
): Promise<Unlocked> {
  const before = judgeLocks(await readLocks(restic), witness());
  const wanted = before.filter((lock) => all || lock.isDead);
  if (wanted.length === 0) return { removed: [], left: before };
  if (isLocal(restic.repository)) {
    for (const { id } of wanted) await rm(join(restic.repository, 'locks', id), { force: true });
  } else if (wanted.length === before.length && (all || (await isUnchanged(restic, before)))) {
    await unlock(restic, ['--remove-all']);
  } else {
    await unlock(restic, []);
  }
  const after = new Set((await readLocks(restic)).map(({ id }) => id));
  return { removed: wanted.filter(({ id }) => !after.has(id)), left: before.filter(({ id }) => after.has(id)) };
}

async function isUnchanged(restic: Restic, before: readonly RepositoryLock[]): Promise<boolean> {
  const now = await readLocks(restic);
  return now.length === before.length && now.every(({ id }) => before.some((lock) => lock.id === id));
}

async function unlock(restic: Restic, args: string[]): Promise<void> {
  const result = await restic.run(['unlock', ...args]);
  if (result.code !== 0) throw resticFailure(result, 'remove the locks', restic.repository);
}

/** Also by the pid that a restic has in a container: one on the host's network has the host's name too. */
function isResticProcess(pid: number): boolean {
  const read = (file: string): string => {
    try {
      return readFileSync(file, 'utf8');
    } catch {
      return '';
    }
  };
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && read(`/proc/${name}/comm`).startsWith('restic'))
    .some((name) =>
      /^NSpid:\s+(.*)$/m
        .exec(read(`/proc/${name}/status`))?.[1]
        ?.split(/\s+/)
        .includes(`${pid}`),
    );
}
