import { Failure } from '../../kit/errors.ts';
import type { Project } from '../../project/model.ts';
import { DUMP_TYPES } from '../dumps/list.ts';
import type { Manifest, SavedStore } from '../model.ts';
import { type Place, type Spot, spotName, type Unit } from './model.ts';

/** Of Compose's resolved model, as the set has it, what is read here. */
export interface SavedModel {
  services: Record<
    string,
    {
      environment?: Record<string, string | null>;
      volumes?: { type: string; source?: string; target: string; read_only?: boolean }[];
    }
  >;
  volumes?: Record<string, { name: string }>;
}

/** The set's data in parts that can be replaced one without the other, and what of today's project they replace. Pure. */
export function unitsOf(manifest: Manifest, model: SavedModel, project: Pick<Project, 'services' | 'volumes'>): Unit[] {
  const units = new Map<string, Unit>();
  for (const store of manifest.stores) {
    if (store.kind === 'project') continue;
    const origin = store.origin;
    const key = origin ? `files ${spotName(spotOf(origin))}` : `database ${store.service}`;
    const unit = units.get(key);
    if (unit) unit.stores.push(store);
    else units.set(key, origin ? filesUnit(store, origin, project) : databaseUnit(store, model, project));
  }
  return [...units.values()].map((unit) => ({ ...unit, ...refusal(unit) }));
}

const spotOf = ({ volume, folder }: { volume?: string; folder: string }): Spot => (volume === undefined ? { folder } : { volume });

function filesUnit(store: SavedStore, origin: NonNullable<SavedStore['origin']>, project: Pick<Project, 'services' | 'volumes'>): Unit {
  const { service } = store;
  const place = placeAt(service, origin.target, spotOf(origin), project);
  return { kind: 'files', service, title: `files of ${service} at ${origin.target}`, stores: [store], places: [place] };
}

function databaseUnit(store: SavedStore, model: SavedModel, project: Pick<Project, 'services' | 'volumes'>): Unit {
  const { service } = store;
  const kind = store.kind === 'postgres-roles' ? 'postgres' : store.kind;
  const type = DUMP_TYPES.find((one) => one.kind === kind);
  const saved = model.services[service];
  const environment = Object.fromEntries(Object.entries(saved?.environment ?? {}).map(([name, value]) => [name, value ?? '']));
  const paths = type?.dataPaths(environment) ?? [];
  const places = (saved?.volumes ?? []).flatMap(({ type: how, source = '', target, read_only: readOnly }): Place[] => {
    if (readOnly || !paths.some((path) => isWithin(path, target) || isWithin(target, path))) return [];
    if (how === 'volume') return [placeAt(service, target, { volume: model.volumes?.[source]?.name ?? source }, project)];
    return how === 'bind' ? [placeAt(service, target, { folder: source }, project)] : [];
  });
  return { kind: 'database', service, title: `${type?.title ?? store.kind} of ${service}`, stores: [store], places };
}

function placeAt(service: string, target: string, saved: Spot, { services, volumes }: Pick<Project, 'services' | 'volumes'>): Place {
  const mount = services[service]?.mounts.find((one) => one.target === target && one.source !== '');
  if (!mount) return { service, target, saved };
  const live = mount.type === 'volume' ? { volume: volumes[mount.source]?.name ?? mount.source } : { folder: mount.source };
  return { service, target, saved, live };
}

function refusal({ kind, service, places }: Unit): Pick<Unit, 'refused'> {
  if (places.length === 0) return { refused: `${service} has no volume that holds its data` };
  const lost = places.find(({ live }) => !live);
  if (lost) return { refused: `the project mounts nothing at ${lost.target} of ${service} any more` };
  return kind === 'files' || places.length > 0 ? {} : {};
}

/**
 * The units that are meant by names: a store's id, a service, a volume (by either name), a path in the container or a folder of the host. All of
 * them where nothing is named. Throws STORE_UNKNOWN with what there is, RESTORE_REFUSED where a name means less or more than can be replaced.
 */
export function chooseUnits(units: readonly Unit[], only: readonly string[], manifest: Manifest): Unit[] {
  if (only.length === 0) return units.filter(({ refused }) => refused === undefined);
  const chosen = new Set<Unit>();
  for (const name of only) {
    const meant = units.filter((unit) => namesOf(unit).includes(name));
    if (meant.length === 0) throw unknownStore(name, units, manifest);
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

/** A server's databases share its data folder: one of several cannot be exchanged without the others. */
function refusePart({ kind, stores, title, service }: Unit, name: string): void {
  const databases = stores.filter((store) => store.kind !== 'postgres-roles');
  const named = stores.find(({ id }) => id === name);
  if (kind !== 'database' || !named || databases.length < 2) return;
  throw new Failure('RESTORE_REFUSED', `${name} is one of ${databases.length} databases of ${title}, which are replaced together`, {
    where: name,
    details: databases.map(({ id }) => id),
    next: `take all of them: --only ${service}; or this one as a file: --only ${name} --to FOLDER`,
  });
}

export function namesOf({ service, stores, places }: Unit): string[] {
  const spots = places.flatMap(({ saved, live, target }) => [target, ...names(saved), ...(live ? names(live) : [])]);
  return [service, ...stores.map(({ id }) => id), ...spots];
}

const names = (spot: Spot): string[] => ('volume' in spot ? [spot.volume] : [spot.folder]);

export function unknownStore(name: string, units: readonly Unit[], manifest: Manifest): Failure {
  return new Failure('STORE_UNKNOWN', `the set ${manifest.set} has nothing that is called ${name}`, {
    where: name,
    details: [
      ...units.flatMap((unit) => unit.stores.map(({ id }) => `${id}${unit.places.map(({ saved }) => `  ${spotName(saved)}`).join('')}`)),
      ...manifest.stores.filter(({ kind }) => kind === 'project').map(({ id }) => `${id}  the project’s own files`),
    ],
    next: 'name a store, a service, a volume, or a path in the container',
  });
}

const isWithin = (path: string, folder: string): boolean =>
  path === folder || path.startsWith(folder.endsWith('/') ? folder : `${folder}/`);
