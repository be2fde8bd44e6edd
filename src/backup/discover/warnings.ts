import type { Project, Service } from '../../project/model.ts';
import { isWithin } from '../files/mounts.ts';
import { databaseOf, detectDatabase } from './detect.ts';
import type { Observed, ObservedService } from './observe.ts';

/** What nobody who restores would expect. Pure. */
export function planWarnings(project: Project, observed: Observed): string[] {
  const services = Object.values(project.services).filter(({ backup }) => !backup?.skip);
  return [
    ...services.flatMap((service) => {
      const seen = observed.services[service.name];
      return seen
        ? [...databaseWarnings(service, seen), ...anonymousVolumes(service, seen), ...singleDatabases(service, seen, observed)]
        : [];
    }),
    ...observed.strays.map(
      ({ wanted, volume, project: other }) =>
        `volume ${wanted} is empty or does not exist, but ${volume} of the project “${other}” has the same name in its compose file: does this project use another name than before?`,
    ),
    ...observed.unread.map(
      (name) =>
        `${name} has a container and is not in the compose files as they are read now, so nothing of it is saved: does it belong to another profile?`,
    ),
    ...observed.project.largeContexts.map(
      ({ service, folder }) =>
        `${service}: the build context ${folder} is larger than 64 MiB or has more than 10000 files and is not saved; keep it in Git`,
    ),
  ];
}

function databaseWarnings(service: Service, seen: ObservedService): string[] {
  const detected = detectDatabase(service, seen);
  if (!detected) {
    const own = service.backup?.type === 'files' && service.backup.consistency === 'none' ? databaseOf(service, seen) : undefined;
    return own
      ? [
          `${service.name}: ${own.type.title} writes while its raw files are read, and such a copy may not start; set x-backup.consistency: stop`,
        ]
      : [];
  }
  const { type } = detected;
  const warnings: string[] = [];
  if (seen.databases === undefined) {
    const why = seen.state === 'none' ? 'it has no container' : (seen.fault ?? `its container is ${seen.state}`);
    warnings.push(`${service.name}: ${type.title} cannot be dumped now, and the backup will fail: ${why}`);
  }
  const data = type.dataPaths(seen.environment)[0];
  const kept = seen.mounts.filter(({ type: how, key }) => how === 'bind' || key !== undefined);
  // A Redis without a volume is a cache more often than not.
  if (data === undefined || type.kind === 'redis' || kept.some(({ target }) => isWithin(data, target))) return warnings;
  const near = kept.find(({ target }) => type.dataPaths(seen.environment).some((path) => isWithin(target, path)));
  warnings.push(
    near
      ? `${service.name}: ${type.title} keeps its data in ${data}, and ${near.volume ?? near.source} at ${near.target} holds nothing of it: it is lost with its container. Mount it at ${parentOf(data, type.kind)}`
      : `${service.name}: no named volume holds ${data}, where ${type.title} keeps its data: it is lost with its container`,
  );
  return warnings;
}

/** PostgreSQL 18 and newer want the folder of all versions mounted. */
const parentOf = (data: string, kind: string): string =>
  kind === 'postgres' && isWithin(data, '/var/lib/postgresql') ? '/var/lib/postgresql' : data;

function anonymousVolumes(service: Service, seen: ObservedService): string[] {
  const detected = detectDatabase(service, seen);
  const raw = detected?.type.dataPaths(seen.environment) ?? [];
  return seen.mounts
    .filter(({ type, key, target }) => type === 'volume' && key === undefined && !raw.some((path) => isWithin(target, path)))
    .map(
      ({ target }) =>
        `${service.name}: ${target} is an anonymous volume: it is not saved, and a new container may begin with an empty one; give it a name in the compose file`,
    );
}

/** SQLite keeps what was written last in files beside the database, which are then not those of the mount. */
function singleDatabases(service: Service, seen: ObservedService, { folders }: Observed): string[] {
  return seen.mounts
    .filter(({ source, writable }) => writable && folders[source]?.kind === 'file' && folders[source].databases.length > 0)
    .map(
      ({ source, target }) =>
        `${service.name}: the SQLite database ${source} is mounted as a single file, and what SQLite writes beside it at ${target} is lost with the container; mount its folder`,
    );
}
