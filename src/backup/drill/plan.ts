import { join } from 'node:path';
import { formatBytes } from '../../autoscale/amounts.ts';
import { parseSize } from '../../kit/fields.ts';
import { isWithin } from '../files/mounts.ts';
import { type ProjectRecord, savedPath } from '../files/project.ts';
import type { Manifest } from '../model.ts';
import type { ComposeModel } from '../stage/model.ts';
import { isHarmless, scratchModel } from '../stage/scratch-model.ts';
import { bytesNeeded, spaceProblem } from '../stage/space.ts';
import type { DrillObserved, DrillPlan, DrillVolume } from './model.ts';

type Mapping = Record<string, unknown>;

const mapping = (value: unknown): Mapping =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Mapping) : {};
const list = (value: unknown): Mapping[] => (Array.isArray(value) ? value.map(mapping) : []);

export const drillProject = (id: string): string => `composure-drill-${id}`;

/** What a service without a limit is taken to need. */
const UNLIMITED_BYTES = 128 * 1024 * 1024;
/** Of the memory that is available, what a drill leaves to the live services. */
const MEMORY_LEFT_BYTES = 128 * 1024 * 1024;

export interface DrillAsked {
  id: string;
  manifest: Manifest;
  /** Compose's resolved model in the set, and what the set says of the project. */
  model: ComposeModel;
  record: ProjectRecord;
  /** Folder for the set's copy of the project's files. */
  tree: string;
}

/** What a drill of a set would make, start and leave out. Pure. */
export function planDrill({ id, manifest, model, record, tree }: DrillAsked, observed: DrillObserved): DrillPlan {
  const project = drillProject(id);
  const images = Object.fromEntries(Object.entries(observed.images).map(([service, image]) => [service, image.id]));
  const { source, volumes, places, missing } = place(project, manifest, withDeclared(model, manifest, observed), record);
  const files = { tree, folders: fileFolders(record, source, tree, places.folders) };
  const scratch = scratchModel(source, {
    project,
    labels: {},
    images,
    volumes: places.volumes,
    folders: { ...files.folders, ...places.folders },
    engine: observed.engine,
  });
  const services = Object.keys(mapping(scratch.model.services)).sort();
  const memoryBytes = services.reduce((sum, name) => sum + (memoryOf(mapping(mapping(source.services)[name])) ?? UNLIMITED_BYTES), 0);
  const diskBytes = bytesNeeded(manifest.stores);
  return {
    id,
    project,
    set: manifest.set,
    stores: manifest.stores,
    volumes,
    places,
    files,
    source,
    services,
    jobs: services.filter((name) => isAwaitedToEnd(source, name)),
    mayEnd: services.filter((name) => ['no', ''].includes(String(mapping(mapping(source.services)[name]).restart ?? ''))),
    left: scratch.left,
    missing: missing.filter(({ service }) => services.includes(service)),
    memoryBytes,
    diskBytes,
    obstacles: obstaclesOf({ project, volumes, services, memoryBytes, diskBytes, left: scratch.left, manifest }, observed),
  };
}

function obstaclesOf(
  plan: Pick<DrillPlan, 'project' | 'volumes' | 'services' | 'memoryBytes' | 'diskBytes' | 'left'> & { manifest: Manifest },
  { taken, freeBytes, availableBytes }: DrillObserved,
): string[] {
  const name = [plan.project, ...plan.volumes.map(({ name: volume }) => volume)].find((one) => taken.includes(one));
  const space = spaceProblem(plan.diskBytes, freeBytes);
  const dumped = new Set(plan.manifest.stores.map(({ service }) => service));
  return [
    ...(name === undefined ? [] : [`${name} exists already and is not of this drill`]),
    ...(plan.services.length === 0 ? ['none of the set’s services can be started closed in'] : []),
    ...plan.left
      .filter(({ service }) => dumped.has(service) && isDumped(plan.manifest, service))
      .map(({ service, why }) => `${service} holds a database and cannot be started closed in: ${why}`),
    ...(space === undefined ? [] : [space]),
    ...(plan.memoryBytes + MEMORY_LEFT_BYTES > availableBytes
      ? [
          `the services may take ${formatBytes(plan.memoryBytes)} of memory, and ${formatBytes(availableBytes)} are available beside what runs`,
        ]
      : []),
  ];
}

const isDumped = ({ stores }: Manifest, service: string): boolean =>
  stores.some((store) => store.service === service && !['project', 'files', 'sqlite'].includes(store.kind));

/** Databases keep what they load also where only their image declares a volume: without a name it would go with the loading server. */
function withDeclared(model: ComposeModel, manifest: Manifest, { images }: DrillObserved): ComposeModel {
  const volumes: Mapping = {};
  const services = Object.fromEntries(
    Object.entries(mapping(model.services)).map(([name, value]) => {
      const service = mapping(value);
      if (!isDumped(manifest, name)) return [name, service];
      const mounts = list(service.volumes);
      const added = (images[name]?.volumes ?? [])
        .filter((target) => !mounts.some((mount) => mount.target === target && mount.source !== undefined))
        .map((target, index) => {
          const key = `${name}-declared-${index}`;
          volumes[key] = { name: `${name}: ${target}` };
          return { type: 'volume', source: key, target };
        });
      const kept = mounts.filter((mount) => !added.some(({ target }) => target === mount.target));
      return [name, { ...service, volumes: [...kept, ...added] }];
    }),
  );
  return { ...model, services, volumes: { ...mapping(model.volumes), ...volumes } };
}

function place(project: string, manifest: Manifest, source: ComposeModel, record: ProjectRecord) {
  const volumes: DrillVolume[] = [];
  const places: DrillPlan['places'] = { volumes: {}, folders: {} };
  const missing: DrillPlan['missing'] = [];
  const storeAt = (matches: (origin: { volume?: string; folder: string }) => boolean): string | undefined =>
    manifest.stores.find(({ origin }) => origin !== undefined && matches(origin))?.id;
  const add = (name: string, of: string, store: string | undefined): string => {
    volumes.push({ name, of, ...(store === undefined ? {} : { store }) });
    return name;
  };
  for (const [key, value] of Object.entries(mapping(source.volumes)).sort(([a], [b]) => (a < b ? -1 : 1))) {
    const name = String(mapping(value).name ?? key);
    places.volumes[name] = add(
      `${project}_${key}`,
      `volume ${name}`,
      storeAt(({ volume }) => volume === name),
    );
  }
  for (const [service, value] of Object.entries(mapping(source.services)).sort(([a], [b]) => (a < b ? -1 : 1))) {
    for (const { type, source: path } of list(mapping(value).volumes)) {
      if (type !== 'bind' || typeof path !== 'string' || isHarmless(path)) continue;
      const store = manifest.stores.find(
        ({ origin }) => origin !== undefined && origin.volume === undefined && isWithin(path, origin.folder),
      );
      if (store === undefined && isInRecord(path, record)) continue;
      const folder = store?.origin?.folder ?? path;
      if (store === undefined && !isDumped(manifest, service)) missing.push({ service, path });
      if (places.folders[folder] === undefined)
        places.folders[folder] = add(`${project}_folder-${volumes.length}`, `folder ${folder}`, store?.id);
    }
  }
  return { source, volumes, places, missing };
}

const isInRecord = (path: string, { files }: ProjectRecord): boolean => files.some(({ original }) => isWithin(original, path));

/** Paths of the project's own files, to where the set's copy will lie. */
function fileFolders(record: ProjectRecord, source: ComposeModel, tree: string, data: Record<string, string>): Record<string, string> {
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

const isAwaitedToEnd = (source: ComposeModel, name: string): boolean =>
  Object.values(mapping(source.services)).some(
    (service) => mapping(mapping(mapping(service).depends_on)[name]).condition === 'service_completed_successfully',
  );

function memoryOf(service: Mapping): number | undefined {
  const written = mapping(mapping(mapping(service.deploy).resources).limits).memory ?? service.mem_limit;
  const bytes = written === undefined || written === null ? undefined : parseSize(String(written));
  return bytes === undefined || bytes === 0 ? undefined : bytes;
}
