import type { Service } from '../../project/model.ts';
import { DUMP_TYPES, dumpTypeOf } from '../dumps/list.ts';
import type { DumpType } from '../model.ts';

/** What of a service's image and container tells what it is. */
export interface Traits {
  /** Variables of the container, else of the image. They hold secrets: never print them. */
  environment: Record<string, string>;
  /** Paths that the image declares as volumes. */
  imageVolumes: string[];
}

export interface Detected {
  type: DumpType;
  why: string;
}

/** Variables that the official images set, and images made from them keep, and where their data lies. */
const MARKS: Partial<Record<DumpType['kind'], { variables: readonly string[]; volume: string }>> = {
  postgres: { variables: ['PG_MAJOR', 'PG_VERSION'], volume: '/var/lib/postgresql' },
  mysql: { variables: ['MYSQL_MAJOR', 'MYSQL_VERSION', 'MARIADB_VERSION'], volume: '/var/lib/mysql' },
  mongodb: { variables: ['MONGO_MAJOR', 'MONGO_VERSION'], volume: '/data/db' },
  redis: { variables: ['REDIS_VERSION', 'REDIS_DOWNLOAD_URL', 'VALKEY_VERSION', 'VALKEY_DOWNLOAD_URL'], volume: '/data' },
};

/** Which database is to be dumped of a service: by x-backup, else what it is. Undefined: none, or its volumes are to be saved as they are. Pure. */
export function detectDatabase(service: Service, traits: Traits): Detected | undefined {
  const said = service.backup?.type;
  if (said === 'files') return undefined;
  if (said === undefined) return databaseOf(service, traits);
  const type = DUMP_TYPES.find(({ kind }) => kind === said);
  return type && { type, why: `x-backup.type: ${said}` };
}

/** Which database a service is, by its image's name or by what the image says of itself. Pure. */
export function databaseOf({ image, release }: Service, { environment, imageVolumes }: Traits): Detected | undefined {
  // A job that others wait for to end: it has the image for its client programs.
  if (release) return undefined;
  const named = dumpTypeOf(image);
  if (named) return { type: named, why: `image ${image}` };
  const type = DUMP_TYPES.find(({ kind }) => {
    const marks = MARKS[kind];
    if (!marks?.variables.some((name) => environment[name])) return false;
    return imageVolumes.some((path) => path === marks.volume || path.startsWith(`${marks.volume}/`));
  });
  return type && { type, why: `variables and volume of the image ${image}` };
}
