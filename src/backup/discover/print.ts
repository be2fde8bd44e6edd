import { formatBytes } from '../../kit/amounts.ts';
import type { BackupPlan, PlannedStore } from '../model.ts';

/** What is longer than this does not widen its column. */
const WIDEST = 44;

/** The plan as text: what `backup run --dry-run` shows, what `backup init` asks about and what the tests assert. */
export function printBackupPlan(project: string, { stores, leftOut, warnings }: BackupPlan): string {
  const width = Math.min(WIDEST, Math.max(...stores.map(({ id }) => id.length)));
  const lines = [`Backup of ${project}: ${stores.length} ${stores.length === 1 ? 'store' : 'stores'}`, ''];
  const texts = stores.map(describeStore);
  const column = Math.min(WIDEST, Math.max(...texts.map((text) => text.length)));
  for (const [index, { id, why }] of stores.entries()) lines.push(`  ${id.padEnd(width)}  ${texts[index]?.padEnd(column)}  (${why})`);
  if (leftOut.length > 0) lines.push('', 'Not saved:', ...leftOut.map(({ what, why }) => `  - ${what}: ${why}`));
  if (warnings.length > 0) lines.push('', 'Worth knowing:', ...warnings.map((text) => `  - ${text}`));
  return `${lines.join('\n')}\n`;
}

/** What is done for a store, in a few words. */
export function describeStore(store: PlannedStore): string {
  switch (store.kind) {
    case 'project':
      return count(store.files.length, 'file');
    case 'sqlite':
      return `copy ${listed(store.databases ?? [])}`;
    case 'files': {
      const { found, consistency, users } = store;
      const size = found ? `${count(found.files, 'file')}, ${formatBytes(found.bytes)}` : 'files';
      return consistency === 'none' || users.length === 0
        ? size
        : `${size}, with ${users.join(' and ')} ${consistency === 'pause' ? 'paused' : 'stopped'}`;
    }
    case 'postgres-roles':
      return 'dump the roles';
    case 'mysql-accounts':
      return 'dump the accounts';
    default:
      return store.name === '' ? 'dump' : `dump ${store.name}`;
  }
}

const count = (number: number, noun: string): string => `${number} ${noun}${number === 1 ? '' : 's'}`;

const listed = (names: readonly string[]): string =>
  names.length <= 3 ? names.join(', ') : `${names.slice(0, 2).join(', ')} and ${names.length - 2} more`;
