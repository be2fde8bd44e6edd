import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ScenarioProject } from '../../test/support/scenario.ts';
import { must } from '../support/must.ts';

/** One way to back the same data up. Each step has to succeed. */
export interface Method {
  name: string;
  /** An empty place for backups. */
  reset(): Promise<void>;
  run(): Promise<void>;
  /** The newest backup, into this folder, which does not exist yet. */
  restore(folder: string): Promise<void>;
  /** Reads everything that is stored. */
  verify(): Promise<void>;
  storedBytes(): Promise<number>;
}

export interface Subject {
  project: ScenarioProject;
  bin: string;
  /** The volume's folder on this host. */
  files: string;
  /** The container of PostgreSQL. */
  database: string;
  /** For repositories and archives; each method has a folder of its own in it. */
  place: string;
}

export const PASSWORD = 'only for this measurement';
const DUMP = ['pg_dump', '-U', 'postgres', '-Fc', '-Z0', 'shop'];

const sizeOf = async (folder: string): Promise<number> => Number((await must('du', ['-sb', folder])).split('\t')[0]);

/** The package as a process of its own. */
export async function composure({ project, bin }: Pick<Subject, 'project' | 'bin'>, args: string[]): Promise<string> {
  const env = { ...project.env, NO_COLOR: '1', RESTIC_PASSWORD: PASSWORD };
  return must(process.execPath, [bin, ...args], { cwd: project.folder, env });
}

export function ourMethod(subject: Subject): Method {
  const repository = join(subject.place, 'composure');
  return {
    name: 'composure',
    reset: async () => {
      await rm(repository, { recursive: true, force: true });
      await composure(subject, ['backup', 'init', '--yes']);
    },
    run: async () => void (await composure(subject, ['backup', 'run'])),
    restore: async (folder) => void (await composure(subject, ['backup', 'restore', '--to', folder, '--yes'])),
    verify: async () => void (await composure(subject, ['backup', 'verify', '--all'])),
    storedBytes: () => sizeOf(repository),
  };
}

/** What `sqlite3 app.sqlite ".backup copy"` does, by the library that Node has: a file that is written to must not be read as it lies there. */
const COPY_SQLITE = `const { backup, DatabaseSync } = require('node:sqlite');
const from = new DatabaseSync(process.argv[1], { readOnly: true });
backup(from, process.argv[2]).then(() => from.close());`;

/**
 * A script as a careful hand writes it: one call of restic for files (a copy of the SQLite database by its backup command, the server's roles, the
 * project's own folder) and one for the dump.
 */
export function plainRestic({ project, files, database, place }: Subject): Method {
  const repository = join(place, 'restic');
  const copies = join(place, 'restic-copies');
  const restic = (args: string[]) =>
    must('restic', ['--repo', repository, '--quiet', ...args], {
      env: { ...process.env, RESTIC_PASSWORD: PASSWORD } as Record<string, string>,
    });
  return {
    name: 'restic + pg_dump',
    reset: async () => {
      await rm(repository, { recursive: true, force: true });
      await restic(['init']);
    },
    run: async () => {
      await rm(copies, { recursive: true, force: true });
      await mkdir(copies);
      await must(process.execPath, ['-e', COPY_SQLITE, join(files, 'app.sqlite'), join(copies, 'app.sqlite')]);
      await writeFile(join(copies, 'roles.sql'), await must('docker', ['exec', database, 'pg_dumpall', '-U', 'postgres', '--roles-only']));
      await restic(['backup', '--tag', 'files', '--exclude', join(files, 'app.sqlite*'), files, copies, project.folder]);
      await restic([
        'backup',
        '--tag',
        'shop',
        '--stdin-filename',
        'shop.dump',
        '--stdin-from-command',
        '--',
        'docker',
        'exec',
        database,
        ...DUMP,
      ]);
    },
    restore: async (folder) => {
      await mkdir(folder, { recursive: true });
      await restic(['restore', 'latest', '--tag', 'files', '--target', join(folder, 'files')]);
      await restic(['restore', 'latest', '--tag', 'shop', '--target', folder]);
    },
    verify: async () => void (await restic(['check', '--read-data'])),
    storedBytes: () => sizeOf(repository),
  };
}

/** What most scripts do: everything, each time. Fixed shell texts, paths as arguments. */
export function tarZstd({ files, database, place }: Subject): Method {
  const folder = join(place, 'tar');
  const shell = (text: string, args: string[]) => must('bash', ['-o', 'pipefail', '-c', text, 'bash', ...args]);
  return {
    name: 'tar | zstd',
    reset: async () => {
      await rm(folder, { recursive: true, force: true });
      await mkdir(folder, { recursive: true });
    },
    run: async () => {
      const stamp = String(Date.now());
      await shell('tar -C "$1" -c . | zstd -q -3 -T2 -o "$2"', [files, join(folder, `${stamp}.files.tar.zst`)]);
      await shell('docker exec "$1" pg_dump -U postgres shop | zstd -q -3 -T2 -o "$2"', [database, join(folder, `${stamp}.sql.zst`)]);
    },
    restore: async (target) => {
      await mkdir(join(target, 'files'), { recursive: true });
      await shell('zstd -q -dc "$(ls "$1"/*.files.tar.zst | tail -n 1)" | tar -C "$2" -x', [folder, join(target, 'files')]);
      await shell('zstd -q -dc "$(ls "$1"/*.sql.zst | tail -n 1)" > "$2"', [folder, join(target, 'shop.sql')]);
    },
    verify: async () => void (await shell('zstd -q -t "$1"/*.zst', [folder])),
    storedBytes: () => sizeOf(folder),
  };
}
