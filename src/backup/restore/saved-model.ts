import { Failure } from '../../kit/errors.ts';
import type { Project, Service } from '../../project/model.ts';
import { RESOLVED_MODEL, readSavedFile } from '../files/project.ts';
import type { Manifest } from '../model.ts';
import type { Restic } from '../restic/program.ts';
import type { ComposeModel } from '../stage/model.ts';

/** Compose's resolved model as it was when the set was saved. It holds secrets. Throws REPOSITORY_*, RESTORE_FAILED. */
export async function readSavedModel(restic: Restic, { set, stores }: Manifest): Promise<ComposeModel> {
  return JSON.parse(await readProjectFile(restic, { set, stores }, RESOLVED_MODEL)) as ComposeModel;
}

/** A file of the set's project store. Throws REPOSITORY_*, RESTORE_FAILED. */
export async function readProjectFile(restic: Restic, { set, stores }: Pick<Manifest, 'set' | 'stores'>, name: string): Promise<string> {
  const own = stores.find(({ kind }) => kind === 'project');
  if (!own) {
    throw new Failure('RESTORE_FAILED', `the set ${set} does not hold the project’s own files`, {
      next: 'take a set of the whole project: composure backup list',
    });
  }
  return readSavedFile(restic, own, set, name);
}

type Mapping = Record<string, unknown>;
const mapping = (value: unknown): Mapping =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Mapping) : {};

/** The part of a model that says where data lies, in the form that a loaded project has it. Pure. */
export function placesOfModel(model: ComposeModel): {
  services: Record<string, Pick<Service, 'mounts' | 'environment'>>;
  volumes: Project['volumes'];
} {
  const services = Object.entries(mapping(model.services)).map(([name, service]) => {
    const mounts = Array.isArray(mapping(service).volumes) ? (mapping(service).volumes as unknown[]).map(mapping) : [];
    return [
      name,
      {
        mounts: mounts.map(({ type, source, target, read_only: readOnly }): Service['mounts'][number] => ({
          type: type === 'volume' || type === 'bind' || type === 'tmpfs' ? type : 'other',
          source: String(source ?? ''),
          target: String(target ?? ''),
          readOnly: readOnly === true,
        })),
        environment: Object.fromEntries(
          Object.entries(mapping(mapping(service).environment)).map(([key, value]) => [key, String(value ?? '')]),
        ),
      },
    ] as const;
  });
  const volumes = Object.entries(mapping(model.volumes)).map(([key, volume]) => {
    const { name, external } = mapping(volume);
    return [key, { name: String(name ?? key), external: external === true }] as const;
  });
  return { services: Object.fromEntries(services), volumes: Object.fromEntries(volumes) };
}
