import { type BigIntStats, lstatSync, readdirSync } from 'node:fs';
import { setImmediate as breathe } from 'node:timers/promises';

/** Something in a folder. `path` is relative and, as names on Linux are, bytes that need not be UTF-8. */
export interface Entry {
  path: Buffer;
  stat: BigIntStats;
}

/** The synchronous calls are several times faster than the others; in between, the rest of the process has its turn. */
const ENTRIES_AT_ONCE = 2000;

/**
 * Visits everything below a folder. `visit` answers 'skip' for a folder that is not to be entered and 'stop' to end. What vanishes meanwhile
 * is passed over. Throws what the file system refuses.
 */
export async function walk(folder: string, visit: (entry: Entry) => 'skip' | 'stop' | undefined): Promise<void> {
  const root = Buffer.from(folder);
  const queue: Buffer[] = [Buffer.alloc(0)];
  let seen = 0;
  for (let inside = queue.pop(); inside !== undefined; inside = queue.pop()) {
    for (const name of orNothing(() => readdirSync(join(root, inside as Buffer), { encoding: 'buffer' })) ?? []) {
      const path = inside.length === 0 ? name : join(inside, name);
      const stat = orNothing(() => lstatSync(join(root, path), { bigint: true }));
      if (!stat) continue;
      const answer = visit({ path, stat });
      if (answer === 'stop') return;
      if (answer !== 'skip' && stat.isDirectory()) queue.push(path);
      seen += 1;
      if (seen % ENTRIES_AT_ONCE === 0) await breathe();
    }
  }
}

export const join = (folder: Buffer, name: Buffer): Buffer => Buffer.concat([folder, Buffer.from('/'), name]);

function orNothing<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw error;
  }
}
