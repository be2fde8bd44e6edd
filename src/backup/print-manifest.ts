import { formatBytes } from '../kit/amounts.ts';
import { second } from '../kit/time.ts';
import type { Facts, Manifest, SavedStore } from './model.ts';
import { sharedWith } from './sets.ts';

/** A set for people. `proven` as in "proven 2026-11-24 06:12:00"; `missing`: ids of stores whose snapshots are gone. Pure. */
export function printManifest(manifest: Manifest, { proven, missing }: { proven: string; missing: readonly string[] }): string {
  const { set, project, host, composure, release, only, stores } = manifest;
  const bytes = stores.reduce((sum, store) => sum + store.bytes, 0);
  const added = stores.reduce((sum, store) => sum + store.added, 0);
  return [
    `set ${set} of ${project}: ${proven}`,
    `  saved ${second(manifest.startedAt)} to ${second(manifest.endedAt)} UTC on ${host} by Composure ${composure}${release === undefined ? '' : `, release ${release}`}`,
    ...(only ? [`  of ${only.join(', ')} only: it does not hold the whole project`] : []),
    `  ${stores.length} stores, ${formatBytes(bytes)}, of which ${formatBytes(added)} were new to the repository`,
    '',
    ...stores.flatMap((store) => describeStore(store, missing, sharedWith(stores, store))),
    'images',
    ...Object.entries(manifest.images).map(
      ([service, { reference, id, digest }]) => `  ${service}: ${reference} (${(digest ?? id).replace(/^.*@/, '').slice(0, 19)})`,
    ),
    '',
  ].join('\n');
}

function describeStore(store: SavedStore, missing: readonly string[], shared: string | undefined): string[] {
  return [
    `${store.id}${missing.includes(store.id) ? '   ITS SNAPSHOT IS GONE' : ''}`,
    `  ${formatBytes(store.bytes)}, ${shared === undefined ? `${formatBytes(store.added)} new` : `with ${shared}`}; of ${second(store.contentAt)} UTC; snapshot ${store.snapshot.slice(0, 8)}; ${store.tool}`,
    ...(store.facts ? describeFacts(store.facts).map((line) => `  ${line}`) : []),
    ...(store.vanished?.length ? [`  removed while it was read: ${store.vanished.join(', ')}`] : []),
    '',
  ];
}

/** Most tables that are listed one by one. */
const MOST = 20;

export function describeFacts(facts: Facts): string[] {
  switch (facts.kind) {
    case 'tables': {
      const rows = facts.tables.reduce((sum, table) => sum + table.rows, 0);
      const largest = [...facts.tables].sort((a, b) => b.rows - a.rows || a.name.localeCompare(b.name));
      return [
        `${count(facts.tables.length, 'table')}, ${count(rows, 'row')}`,
        ...largest
          .slice(0, MOST)
          .map(
            ({ name, rows: own, rowsAfter, newest }) =>
              `  ${name}: ${own}${rowsAfter === undefined || rowsAfter === own ? '' : ` to ${rowsAfter}`}${newest ? `, newest ${newest.column} ${newest.value}` : ''}`,
          ),
        ...(largest.length > MOST ? [`  and ${largest.length - MOST} smaller ones`] : []),
      ];
    }
    case 'roles':
    case 'accounts':
      return [`${facts.kind}: ${facts.names.join(', ')}`];
    case 'keys':
      return [`${count(facts.keys, 'key')}, ${facts.expiring} of them with a time to live`];
    case 'collections':
      return [
        `${count(facts.collections.length, 'collection')}`,
        ...facts.collections.slice(0, MOST).map(({ name, documents }) => `  ${name}: ${count(documents, 'document')}`),
      ];
    case 'files':
      return [`${count(facts.files, 'file')} in ${count(facts.folders, 'folder')}, ${formatBytes(facts.bytes)}`];
  }
}

const count = (number: number, what: string): string => `${number} ${what}${number === 1 ? '' : 's'}`;
