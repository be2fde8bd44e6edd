import { formatBytes } from '../../kit/amounts.ts';
import { parseSize } from '../../kit/fields.ts';
import type { ProjectRecord } from '../files/project.ts';
import type { Manifest } from '../model.ts';
import { mapping } from '../stage/mapping.ts';
import type { ComposeModel } from '../stage/model.ts';
import { scratchModel } from '../stage/scratch-model.ts';
import { bytesNeeded, spaceProblem } from '../stage/space.ts';
import type { DrillObserved, DrillPlan } from './model.ts';
import { fileFolders, isDumped, placesOf, withDeclared } from './places.ts';

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
  const source = withDeclared(model, manifest, observed);
  const scratch = scratchModel(source, { project, labels: {}, images, volumes: {}, folders: {}, engine: observed.engine });
  const services = Object.keys(mapping(scratch.model.services)).sort();
  const { volumes, places, missing } = placesOf(project, manifest, source, record, services);
  const files = { tree, folders: fileFolders(record, source, tree, places.folders) };
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
    mayEnd: services.filter((name) => isNotRestarted(mapping(mapping(source.services)[name]))),
    left: scratch.left,
    missing,
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

const isAwaitedToEnd = (source: ComposeModel, name: string): boolean =>
  Object.values(mapping(source.services)).some(
    (service) => mapping(mapping(mapping(service).depends_on)[name]).condition === 'service_completed_successfully',
  );

function isNotRestarted(service: Record<string, unknown>): boolean {
  const policy = mapping(mapping(service.deploy).restart_policy).condition;
  return ['no', ''].includes(String(service.restart ?? '')) && (policy === undefined || policy === 'none');
}

function memoryOf(service: Record<string, unknown>): number | undefined {
  const written = mapping(mapping(mapping(service.deploy).resources).limits).memory ?? service.mem_limit;
  const bytes = written === undefined || written === null ? undefined : parseSize(String(written));
  return bytes === undefined || bytes === 0 ? undefined : bytes;
}
