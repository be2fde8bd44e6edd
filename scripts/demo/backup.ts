import type { DrillEvidence } from '../../src/backup/drill/model.ts';
import type { Manifest } from '../../src/backup/model.ts';
import { formatBytes } from '../../src/kit/amounts.ts';

/** What `composure backup run --json` answers, as far as the demo shows it. */
export interface SavedSet {
  stores: number;
  bytes: number;
  manifest: Pick<Manifest, 'stores'>;
}

/** What was saved and what a drill made of it: rows of the last screen. */
export interface Proof {
  stores: number;
  bytes: number;
  /** Between what was counted when it was saved and what came back. */
  differences: number;
  rtoSeconds: number;
  rpoSeconds: number;
}

/** "4 stores, 1.5 MiB: 31,234 rows in PostgreSQL, 12 keys in Redis, and the project itself". Pure. */
export function savedText({ stores, bytes, manifest }: SavedSet): string {
  let [rows, keys] = [0, 0];
  for (const { facts } of manifest.stores) {
    if (facts?.kind === 'tables') for (const table of facts.tables) rows += table.rows;
    if (facts?.kind === 'keys') keys += facts.keys;
  }
  const count = (value: number): string => value.toLocaleString('en-US');
  return `one set, ${stores} stores, ${formatBytes(bytes)}: ${count(rows)} rows of PostgreSQL, ${count(keys)} keys of Redis, the project’s own files`;
}

/** A drill that did not pass has no proof to show: then its differences, or what was not well, are in the command's own error. Pure. */
export function proofOf({ stores, bytes }: SavedSet, { stores: restored, numbers }: DrillEvidence): Proof {
  return {
    stores,
    bytes,
    differences: restored.reduce((sum, { differences }) => sum + differences.length, 0),
    rtoSeconds: numbers.rtoSeconds ?? Number.NaN,
    rpoSeconds: numbers.rpoSeconds ?? Number.NaN,
  };
}

/** Pure. */
export const drillText = ({ services }: DrillEvidence, { differences, rtoSeconds }: Proof): string =>
  `compared, ${differences} differences; ${services.length} services well on the restored data after ${rtoSeconds.toFixed(1)} s; all of it removed again`;
