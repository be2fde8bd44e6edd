import { join } from 'node:path';
import { isWithin } from '../files/mounts.ts';
import { type ProjectRecord, savedPath } from '../files/project.ts';
import type { Manifest } from '../model.ts';
import { isDump } from '../stage/load-dumps.ts';
import { list, mapping } from '../stage/mapping.ts';
import type { ComposeModel } from '../stage/model.ts';
import { isHarmless } from '../stage/scratch-mounts.ts';
import type { DrillObserved, DrillPlan, DrillVolume } from './model.ts';

/** How the name of a volume begins that only an image declares: no volume of Docker can be called so. */
const DECLARED = 'what ';

/** A dump of it is in the set. */
export const isDumped = ({ stores }: Manifest, service: string): boolean =>
  stores.some((store) => store.service === service && isDump(store));

/** Databases keep what they load also where only their image declares a volume: without a name it would go with the loading server. */
export function withDeclared(model: ComposeModel, manifest: Manifest, { images }: DrillObserved): ComposeModel {
  const volumes: Record<string, unknown> = {};
  const services = Object.fromEntries(
    Object.entries(mapping(model.services)).map(([name, value]) => {
      const service = mapping(value);
      if (!isDumped(manifest, name)) return [name, service];
      const mounts = list(service.volumes);
      const added = (images[name]?.volumes ?? [])
        .filter((target) => !mounts.some((mount) => mount.target === target && mount.source !== undefined))
        .map((target, index) => {
          const key = `${name}-declared-${index}`;
          volumes[key] = { name: `${DECLARED}${name} keeps in ${target}` };
          return { type: 'volume', source: key, target };
        });
      const kept = mounts.filter((mount) => !added.some(({ target }) => target === mount.target));
      return [name, { ...service, volumes: [...kept, ...added] }];
    }),
  );
  return { ...model, services, volumes: { ...mapping(model.volumes), ...volumes } };
}

export interface Places {
  volumes: DrillVolume[];
  places: DrillPlan['places'];
  missing: DrillPlan['missing'];
}

/** A new volume for each volume of the model, each folder that a store was read from, and each other folder of the services that are drilled. Pure. */
export function placesOf(
  project: string,
  manifest: Manifest,
  source: ComposeModel,
  record: ProjectRecord,
  services: readonly string[],
): Places {
  const volumes: DrillVolume[] = [];
  const places: DrillPlan['places'] = { volumes: {}, folders: {} };
  const missing: DrillPlan['missing'] = [];
  const add = (name: string, of: string, store?: string): string => {
    volumes.push({ name, of, ...(store === undefined ? {} : { store }) });
    return name;
  };
  const addFolder = (folder: string, store?: string): void => {
    places.folders[folder] ??= add(`${project}_folder-${volumes.length}`, `folder ${folder}`, store);
  };
  for (const [key, value] of byName(source.volumes)) {
    const name = String(mapping(value).name ?? key);
    const store = manifest.stores.find(({ origin }) => origin?.volume === name)?.id;
    places.volumes[name] = add(`${project}_${key}`, name.startsWith(DECLARED) ? name : `volume ${name}`, store);
  }
  for (const { id, origin } of manifest.stores) if (origin !== undefined && origin.volume === undefined) addFolder(origin.folder, id);
  for (const [service, value] of byName(source.services).filter(([name]) => services.includes(name))) {
    for (const { type, source: path } of list(mapping(value).volumes)) {
      if (type !== 'bind' || typeof path !== 'string' || isHarmless(path) || isInRecord(path, record)) continue;
      if (Object.keys(places.folders).some((folder) => isWithin(path, folder))) continue;
      if (!isDumped(manifest, service)) missing.push({ service, path });
      addFolder(path);
    }
  }
  return { volumes, places, missing };
}

const byName = (value: unknown): [string, unknown][] => Object.entries(mapping(value)).sort(([a], [b]) => (a < b ? -1 : 1));

const isInRecord = (path: string, { files }: ProjectRecord): boolean => files.some(({ original }) => isWithin(original, path));

/** Paths of the project's own files, to where the set's copy will lie. Pure. */
export function fileFolders(
  record: ProjectRecord,
  source: ComposeModel,
  tree: string,
  data: Record<string, string>,
): Record<string, string> {
  const bound = Object.values(mapping(source.services)).flatMap((service) =>
    list(mapping(service).volumes).flatMap(({ type, source: path }) => (type === 'bind' && typeof path === 'string' ? [path] : [])),
  );
  const named = [
    ...bound.filter((path) => isInRecord(path, record) && data[path] === undefined),
    ...record.files.map(({ original }) => original),
  ];
  const outside = named.filter((path) => !isWithin(path, record.folder));
  return {
    [record.folder]: join(tree, 'files'),
    ...Object.fromEntries(outside.map((path) => [path, join(tree, savedPath(path, record.folder))])),
  };
}
