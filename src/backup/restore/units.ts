import { Failure } from '../../kit/errors.ts';
import type { Project, Service } from '../../project/model.ts';
import { isServerWide, serverTypeOf } from '../dumps/list.ts';
import type { Manifest, SavedStore } from '../model.ts';
import { type Place, type Spot, spotName, type Unit } from './model.ts';

/** Where the services of a project have their data. */
export interface Today {
  services: Record<string, Pick<Service, 'mounts' | 'environment'>>;
  volumes: Project['volumes'];
}

/** The set's data in parts that can be replaced one without the other, and what of today's project they replace. Pure. */
export function unitsOf(manifest: Manifest, project: Today): Unit[] {
  const units = new Map<string, Unit>();
  for (const store of manifest.stores) {
    if (store.kind === 'project') continue;
    const key = store.origin ? `files ${spotName(spotOf(store.origin))}` : `database ${store.service}`;
    const unit = units.get(key);
    if (unit) unit.stores.push(store);
    else units.set(key, store.origin ? filesUnit(store, store.origin, project) : databaseUnit(store, project));
  }
  return [...units.values()].map((unit) => ({ ...unit, ...refusal(unit, project) }));
}

const spotOf = ({ volume, folder }: { volume?: string; folder: string }): Spot => (volume === undefined ? { folder } : { volume });

function filesUnit(store: SavedStore, origin: NonNullable<SavedStore['origin']>, { services, volumes }: Today): Unit {
  const { service } = store;
  const { target } = origin;
  const mount = services[service]?.mounts.find((one) => one.target === target && (one.type === 'volume' || one.type === 'bind'));
  const live = mount && placeOf(service, mount, volumes);
  const place: Place = { service, target, ...live, saved: spotOf(origin) };
  return { kind: 'files', service, title: `files of ${service} at ${target}`, stores: [store], places: [place] };
}

/** The data folder is that of today's server, which may be another image than the one that was saved: its dump is loaded into it anew. */
function databaseUnit(store: SavedStore, { services, volumes }: Today): Unit {
  const { service } = store;
  const type = serverTypeOf(store.kind);
  const paths = type?.dataPaths(services[service]?.environment ?? {}) ?? [];
  const places = (services[service]?.mounts ?? [])
    .filter(({ readOnly, target }) => !readOnly && paths.some((path) => isWithin(path, target) || isWithin(target, path)))
    .filter(({ type: how }) => how === 'volume' || how === 'bind')
    .map((mount) => placeOf(service, mount, volumes));
  return { kind: 'database', service, title: `${type?.title ?? store.kind} of ${service}`, stores: [store], places };
}

function placeOf(service: string, { type, source, target }: Service['mounts'][number], volumes: Project['volumes']): Place {
  if (type === 'bind') return { service, target, saved: { folder: source }, live: { folder: source } };
  // A volume without a name is gone with its container.
  if (source === '') return { service, target, saved: { volume: '' } };
  const live = { volume: volumes[source]?.name ?? source };
  return { service, target, saved: live, live, key: source };
}

function refusal({ kind, service, places }: Unit, { services }: Today): Pick<Unit, 'refused'> {
  if (!services[service]) return { refused: `the project has no service ${service} any more` };
  if (places.length === 0) return { refused: `${service} has no volume that holds its data` };
  const lost = places.find(({ live }) => !live);
  const other = places.find(({ live, saved }) => live && 'volume' in live !== 'volume' in saved);
  if (other)
    return { refused: `${spotName(other.saved)} was saved, and the project has ${other.live ? spotName(other.live) : ''} there now` };
  if (!lost) return {};
  return {
    refused:
      kind === 'files'
        ? `the project mounts nothing at ${lost.target} of ${service} any more`
        : `${service} keeps its data in a volume without a name`,
  };
}

/**
 * The units that are meant by names: a store's id, a service, a volume (by either name), a path in the container or a folder of the host. All of
 * them where nothing is named. Throws STORE_UNKNOWN with what there is, RESTORE_REFUSED where a name means less or more than can be replaced.
 */
export function chooseUnits(units: readonly Unit[], only: readonly string[], manifest: Manifest): Unit[] {
  if (only.length === 0) return units.filter(({ refused }) => refused === undefined);
  const chosen = new Set<Unit>();
  for (const name of only) {
    if (name === 'project') throw ownFiles(name);
    const meant = units.filter((unit) => namesOf(unit).includes(name));
    if (meant.length === 0) throw unknownStore(name, manifest);
    for (const unit of meant) {
      if (unit.refused !== undefined) {
        throw new Failure('RESTORE_REFUSED', `${unit.title} cannot be replaced where it is: ${unit.refused}`, {
          where: name,
          next: `composure backup restore --only ${name} --to FOLDER writes it out as files`,
        });
      }
      refusePart(unit, name);
      chosen.add(unit);
    }
  }
  return units.filter((unit) => chosen.has(unit));
}

const ownFiles = (name: string): Failure =>
  new Failure('RESTORE_REFUSED', 'the project’s own files are yours: they are never written over', {
    where: name,
    next: 'composure backup restore --only project --to FOLDER writes them out',
  });

/** A server's databases share its data folder: one of several cannot be exchanged without the others. */
function refusePart({ kind, stores, title, service }: Unit, name: string): void {
  const databases = stores.filter((store) => !isServerWide(store.kind));
  const named = stores.find(({ id }) => id === name);
  if (kind !== 'database' || !named || databases.length < 2) return;
  throw new Failure('RESTORE_REFUSED', `${name} is one of ${databases.length} databases of ${title}, which are replaced together`, {
    where: name,
    details: databases.map(({ id }) => id),
    next: `take all of them: --only ${service}; or this one as a file: --only ${name} --to FOLDER`,
  });
}

export function namesOf({ service, stores, places }: Unit): string[] {
  const spots = places.flatMap(({ saved, live, target, key }) => [
    target,
    ...names(saved),
    ...(live ? names(live) : []),
    ...(key === undefined ? [] : [key]),
  ]);
  return [service, ...stores.map(({ id }) => id), ...spots];
}

const names = (spot: Spot): string[] => ('volume' in spot ? [spot.volume] : [spot.folder]);

/** Names what the set has. Pure. */
export function unknownStore(name: string, { set, stores }: Manifest): Failure {
  return new Failure('STORE_UNKNOWN', `the set ${set} has nothing that is called ${name}`, {
    where: name,
    details: stores.map(({ id, origin }) => {
      if (origin) return `${id}  ${origin.volume === undefined ? origin.folder : `volume ${origin.volume}`}, at ${origin.target}`;
      return id === 'project' ? 'project  the project’s own files' : id;
    }),
    next: 'name a store, a service, a volume, or a path in the container',
  });
}

const isWithin = (path: string, folder: string): boolean =>
  path === folder || path.startsWith(folder.endsWith('/') ? folder : `${folder}/`);
