import { join, resolve } from 'node:path';
import { Failure } from '../../kit/errors.ts';
import type { ProjectRecord } from '../files/project.ts';
import type { BackupSet, Manifest } from '../model.ts';

/** What a rebuild makes on a machine that has nothing of the project. */
export interface RebuildPlan {
  project: string;
  set: string;
  savedAt: string;
  /** Where the data of the oldest store is of. */
  contentAt: string;
  host: string;
  /** Where the project's files go. */
  folder: string;
  files: PlacedFile[];
  /** Certificates of the edge, by file name. */
  certificates: string[];
  stores: { id: string; bytes: number; to: string }[];
  images: { service: string; reference: string; digest?: string }[];
  /** Volumes that must not exist yet. */
  volumes: string[];
  /** Folders of the host, outside of the project's own, that data goes to. */
  folders: string[];
  /** It needs an identity: the project has encrypted secrets. */
  hasSecrets: boolean;
}

export interface PlacedFile {
  /** In the snapshot. */
  from: string;
  to: string;
}

/** The project whose sets are meant. Throws SET_UNKNOWN where that is not clear. Pure. */
export function chooseProject(sets: readonly BackupSet[], named: string | undefined): string {
  const names = [...new Set(sets.filter(({ complete }) => complete).map(({ project }) => project))].sort();
  if (named !== undefined && names.includes(named)) return named;
  if (named === undefined && names.length === 1 && names[0] !== undefined) return names[0];
  throw new Failure(
    'SET_UNKNOWN',
    named !== undefined
      ? `the repository has no backup of a project ${named}`
      : names.length === 0
        ? 'the repository has no backup'
        : `the repository has backups of ${names.length} projects`,
    { details: names, next: names.length === 0 ? 'is the address right?' : 'name one of them: --project NAME' },
  );
}

/** Where everything of the set goes. `to`: another folder than the one that it was in. Pure. Throws RESTORE_FAILED for a path that leads elsewhere. */
export function planRebuild(manifest: Manifest, record: ProjectRecord, model: SavedVolumes, to: string | undefined): RebuildPlan {
  const folder = to ?? record.folder;
  const moved = (path: string): string =>
    path === record.folder || path.startsWith(`${record.folder}/`) ? join(folder, path.slice(record.folder.length)) : path;
  const stores = manifest.stores.filter(({ kind }) => kind !== 'project');
  const files = record.files.map(({ path }) => ({ from: path, to: placeOfFile(path, folder) }));
  const data = stores.map(({ id, bytes, origin, service }) => ({
    id,
    bytes,
    to: origin ? (origin.volume === undefined ? moved(origin.folder) : `volume ${origin.volume}`) : `the data of ${service}`,
  }));
  return {
    project: record.name,
    set: manifest.set,
    savedAt: manifest.endedAt,
    contentAt: stores.map(({ contentAt }) => contentAt).sort()[0] ?? manifest.endedAt,
    host: manifest.host,
    folder,
    files,
    certificates: record.hosts,
    stores: data,
    images: Object.entries(manifest.images).map(([service, { reference, digest }]) => ({
      service,
      reference,
      ...(digest === undefined ? {} : { digest }),
    })),
    volumes: Object.values(model.volumes)
      .filter(({ external }) => !external)
      .map(({ name }) => name),
    folders: [...new Set(stores.flatMap(({ origin }) => (origin && origin.volume === undefined ? [moved(origin.folder)] : [])))],
    hasSecrets: record.files.some(({ path }) => /^files\/secrets(\..+)?\.age\.yaml$/.test(path)),
  };
}

export interface SavedVolumes {
  volumes: Record<string, { name: string; external: boolean }>;
}

function placeOfFile(path: string, folder: string): string {
  const [top = '', ...rest] = path.split('/');
  const isWhole = rest.length > 0 && rest.every((part) => part !== '' && part !== '.' && part !== '..');
  if (isWhole && top === 'files') return join(folder, ...rest);
  if (isWhole && top === 'outside') return resolve('/', ...rest);
  throw new Failure('RESTORE_FAILED', `a file of the set leads out of its place: ${JSON.stringify(path)}`, {
    next: 'who could write into the repository? Nothing of it was written',
  });
}
