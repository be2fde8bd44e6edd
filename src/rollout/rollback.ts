import { EngineError } from '../docker/api.ts';
import { Failure } from '../kit/errors.ts';
import { readFileIfThere } from '../kit/files.ts';
import { loadProject } from '../project/load.ts';
import type { Project, Service } from '../project/model.ts';
import { modelPath, type ReleaseRecord, readReleases } from '../state/releases.ts';
import { listProjectContainers } from './containers.ts';
import { type Rollout, withProjectLock } from './context.ts';
import { type DeployOptions, type Released, release } from './deploy.ts';
import { finishOrUndo } from './recover.ts';

/** The release that a rollback without a number goes to: the one whose content was served before the present content. */
export function previousRelease(releases: ReleaseRecord[]): ReleaseRecord | undefined {
  const current = releases.at(-1);
  const content = current?.of ?? current?.number;
  const earlier = releases.filter((record) => record.kind !== 'rollback' && content !== undefined && record.number < content);
  return earlier.at(-1);
}

/** Goes back to an earlier release: its kept containers are started again, where they are gone they are made again from its model and images. */
export async function rollback(
  rollout: Rollout,
  wanted: number | undefined,
  options: Pick<DeployOptions, 'confirm' | 'ignoreUnhealthy'>,
): Promise<Released> {
  return withProjectLock(rollout, 'rollback', async () => {
    await finishOrUndo(rollout);
    const target = await findTarget(rollout, wanted);
    const { project, reusable } = await rollbackProject(rollout, target);
    await bringImagesBack(rollout, target);
    return release({ ...rollout, project }, { kind: 'rollback', of: target.number, only: [], force: false, reusable }, options);
  });
}

/** The project as the release had it, and the stopped containers of the release that are still there, by service. */
export async function rollbackProject(
  rollout: Rollout,
  target: ReleaseRecord,
): Promise<{ project: Project; reusable: Record<string, string[]> }> {
  const listed = await listProjectContainers(rollout.docker, rollout.project.name);
  const stopped = new Set(listed.filter(({ State }) => State === 'exited' || State === 'created').map(({ Id }) => Id));
  const reusable = Object.fromEntries(
    Object.entries(target.services).map(([service, { containers }]) => [service, containers.filter((id) => stopped.has(id))]),
  );
  const project = await projectOf(rollout, target, reusable);
  const services = Object.values(project.services).map((service) => [service.name, withOldFiles(service, target, reusable)]);
  return { project: { ...project, services: Object.fromEntries(services) }, reusable };
}

/** The identity that the present project was read with, which opens the secrets of the earlier one too. */
const identityOf = ({ compose }: Project): { COMPOSURE_IDENTITY?: string } =>
  compose.env.COMPOSURE_IDENTITY === undefined ? {} : { COMPOSURE_IDENTITY: compose.env.COMPOSURE_IDENTITY };

/** A container that is started again has the secrets that it was made with, whatever they are now; the record has to say so. */
function withOldFiles(service: Service, target: ReleaseRecord, reusable: Record<string, string[]>): Service {
  const recorded = target.services[service.name];
  const isReused = (reusable[service.name]?.length ?? 0) >= service.replicas;
  return service.files && recorded && isReused ? { ...service, contentHash: recorded.contentHash } : service;
}

export async function findTarget(rollout: Rollout, wanted: number | undefined): Promise<ReleaseRecord> {
  const releases = await readReleases(rollout.stateFolder, rollout.project.name);
  const target = wanted === undefined ? previousRelease(releases) : releases.find(({ number }) => number === wanted);
  if (target) return target;
  const { name } = rollout.project;
  const numbers = releases.map(({ number }) => number).join(', ');
  if (wanted === undefined) {
    throw new Failure('NOTHING_TO_ROLL_BACK', `${name} has no release before the present one`, {
      where: name,
      next: numbers ? `composure releases shows what is on record (${numbers})` : 'composure deploy makes the first release',
    });
  }
  throw new Failure('RELEASE_UNKNOWN', `${name} has no release ${wanted}`, {
    where: `release ${wanted}`,
    next: numbers ? `choose one of ${numbers}; composure releases says more about them` : 'composure deploy makes the first release',
  });
}

/** The project as it was at the release. What ran before the first release is known by its containers only. */
async function projectOf(rollout: Rollout, target: ReleaseRecord, reusable: Record<string, string[]>): Promise<Project> {
  const path = modelPath(rollout.stateFolder, rollout.project.name, target.number);
  const model = await readFileIfThere(path);
  if (model) {
    return loadProject({
      cwd: rollout.project.folder,
      files: [path],
      projectName: rollout.project.name,
      projectDirectory: rollout.project.folder,
      ...(rollout.project.environment === undefined ? {} : { secretsOf: rollout.project.environment }),
      environment: { ...process.env, COMPOSURE_STATE_DIR: rollout.stateFolder, ...identityOf(rollout.project) },
    });
  }
  const services: Record<string, Service> = {};
  for (const [name, recorded] of Object.entries(target.services)) {
    const service = rollout.project.services[name];
    if (!service || (reusable[name]?.length ?? 0) < recorded.replicas) {
      throw new Failure(
        'NOTHING_TO_ROLL_BACK',
        `what ran before the first release cannot be brought back: the containers of ${name} are gone`,
        { where: name, next: 'deploy the version that should run' },
      );
    }
    // It had no autoscaler then.
    const { autoscale: _none, ...plain } = service;
    services[name] = { ...plain, configHash: recorded.configHash, image: recorded.imageId, replicas: recorded.replicas };
  }
  return { ...rollout.project, services: { ...rollout.project.services, ...services } };
}

/** A tag that has moved on since the release points at its image again, so that Compose makes what ran then. */
async function bringImagesBack(rollout: Rollout, target: ReleaseRecord): Promise<void> {
  for (const [name, { image, imageId }] of Object.entries(target.services)) {
    const present = await rollout.docker.findImage(image);
    if (present?.Id === imageId || !/^[^@]+$/.test(image) || image.startsWith('sha256:')) continue;
    const colon = image.lastIndexOf(':');
    const tagged = colon > image.lastIndexOf('/');
    try {
      await rollout.docker.tagImage(imageId, tagged ? image.slice(0, colon) : image, tagged ? image.slice(colon + 1) : 'latest');
    } catch (error) {
      if (!(error instanceof EngineError)) throw error;
      throw new Failure('IMAGE_UNAVAILABLE', `the image of ${name} at release ${target.number} is no longer on this machine`, {
        where: `${image} (${imageId.slice(0, 19)})`,
        next: 'deploy that version again from your files',
        cause: error,
      });
    }
  }
}
