import type { Manifest, SavedStore } from '../model.ts';
import { describeFacts } from '../print-manifest.ts';
import { placeOf, rootOf } from './place.ts';

/**
 * What an archive, or a folder that a set was written to, says about itself: how each part is read with the field's own programs. Commands
 * are for a shell in the folder that this file lies in. Pure.
 */
export function exportReadme(manifest: Manifest, form: 'archive' | 'folder'): string {
  const { project, set, startedAt, endedAt, host, composure, images } = manifest;
  const lines = [
    `# ${project}, set ${set}`,
    '',
    `Saved ${startedAt} to ${endedAt} on ${host} by Composure ${composure}. It is read without Composure and restic.`,
    '',
    ...(form === 'archive' ? unpacking(rootOf(manifest)) : []),
    `Who has this ${form} has the project’s env files and the content of its databases, as far as the list goes.`,
    '',
    '| what | where | content of | bytes | counted |',
    '| --- | --- | --- | --- | --- |',
    ...manifest.stores.map(
      (store) =>
        `| ${store.id} | \`${placeOf(store)}\` | ${store.contentAt} | ${store.bytes} | ${store.facts ? describeFacts(store.facts)[0] : ''} |`,
    ),
    '',
    '`manifest.json` has every table and its rows. Images that ran:',
    '',
    ...Object.entries(images).map(([service, image]) => `- ${service}: ${image.reference}${image.digest ? ` (${image.digest})` : ''}`),
    '',
    ...manifest.stores.flatMap(howTo),
  ];
  return `${lines.join('\n').trimEnd()}\n`;
}

const unpacking = (root: string): string[] => [
  'tar and zstd unpack it, age too where it was encrypted; as root, so that files get their owners back:',
  '',
  `    tar --extract --zstd --numeric-owner --file ${root}.tar.zst`,
  `    age --decrypt --identity KEY ${root}.tar.zst.age | tar --extract --zstd --numeric-owner --file -`,
  '',
];

function howTo(store: SavedStore): string[] {
  const place = placeOf(store);
  const by = (title: string, ...commands: string[]): string[] => [`## ${title}`, '', ...commands.map((line) => `    ${line}`), ''];
  switch (store.kind) {
    case 'postgres-roles':
      return by(
        `Roles of ${store.service} (before its databases)`,
        `psql -U postgres -d template1 -f ${word(place)}   # as the server’s superuser; “already exists” of that one is no fault`,
      );
    case 'postgres':
      return by(
        `Database ${store.name} of ${store.service} (${store.tool})`,
        `pg_restore -U postgres --exit-on-error --create -d template1 ${word(place)}   # makes the database, with its owner and settings`,
      );
    case 'mysql':
      return by(
        `Database ${store.name} of ${store.service} (${store.tool})`,
        `mariadb-admin -u root -p create ${word(store.name)}   # MySQL: mysqladmin`,
        `mariadb -u root -p ${word(store.name)} < ${word(place)}   # MySQL: mysql`,
      );
    case 'mysql-accounts':
      return by(
        `Accounts of ${store.service} (after its databases)`,
        `mariadb -u root -p --force < ${word(place)}   # MySQL: mysql; a right to a table that is gone is no fault`,
      );
    case 'mongodb':
      return by(`MongoDB of ${store.service} (${store.tool})`, `mongorestore --drop --archive=${word(place)}`);
    case 'redis':
      return by(
        `Redis of ${store.service} (${store.tool})`,
        `cp ${word(place)} DATA/dump.rdb   # into its empty data folder, started with --appendonly no`,
      );
    case 'sqlite':
      return by(
        `SQLite of ${store.service}: where its files lie in ${store.name || 'the folder'}`,
        `find ${word(place)} -type f`,
        `cp -a ${word(place)}/. TARGET/`,
      );
    case 'files':
      return by(`Files of ${store.service}${store.name ? `: ${store.name}` : ''}`, `cp -a ${word(place)}/. TARGET/`);
    case 'project':
      return by('The project’s own files', `ls -A ${word(place)}`);
  }
}

const word = (text: string): string => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);
