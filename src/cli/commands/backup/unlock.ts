import { type JudgedLock, judgeLocks, ownWitness, readLocks, removeLocks } from '../../../backup/unlock.ts';
import { formatMs } from '../../../kit/duration.ts';
import { Failure } from '../../../kit/errors.ts';
import type { Project } from '../../../project/model.ts';
import { ask } from '../../context.ts';
import type { ProjectFlags } from '../../flags.ts';
import type { Io } from '../../io.ts';
import { table } from '../../render/table.ts';
import { openBackup } from './open.ts';

export interface UnlockFlags extends ProjectFlags {
  all?: boolean;
  yes?: boolean;
  dryRun?: boolean;
}

export async function backupUnlockCommand(io: Io, flags: UnlockFlags, loading: Promise<Project>): Promise<void> {
  const { restic } = await openBackup(io, flags, loading);
  const locks = judgeLocks(await readLocks(restic), ownWitness());
  const alive = locks.filter(({ isDead }) => !isDead);
  if (!flags.json) io.stdout(locks.length === 0 ? `nothing holds ${restic.repository}\n` : describe(locks));
  if (flags.dryRun || locks.length === 0) {
    if (flags.json) io.stdout(`${JSON.stringify({ repository: restic.repository, dryRun: flags.dryRun ?? false, locks, removed: [] })}\n`);
    return;
  }
  if (flags.all && alive.length > 0) {
    if (!flags.json) io.stdout('Whoever holds a living lock may write a damaged repository once it is gone.\n');
    if (!(await ask(io, 'Remove them all?', flags.yes))) throw new Failure('DECLINED', 'not confirmed; nothing was touched');
  }
  const { removed, left } = await removeLocks(restic, { all: flags.all ?? false });
  if (flags.json) {
    io.stdout(`${JSON.stringify({ repository: restic.repository, dryRun: false, locks, removed: removed.map(({ id }) => id) })}\n`);
    return;
  }
  io.stdout(`${removed.length} of ${locks.length} removed\n`);
  if (left.some(({ isDead }) => isDead))
    io.stdout('a dead one stays while somebody lives; restic takes it away when it is 30 minutes old\n');
}

const describe = (locks: readonly JudgedLock[]): string =>
  table(
    ['LOCK', 'HOST', 'PID', 'AGE', 'KIND', 'STATE'],
    locks.map((lock) => [
      lock.id.slice(0, 8),
      lock.hostname,
      `${lock.pid}`,
      formatMs(Math.max(0, Date.now() - Date.parse(lock.time))),
      lock.exclusive ? 'exclusive' : 'shared',
      `${lock.isDead ? 'dead' : 'alive'}: ${lock.why}`,
    ]),
  );
