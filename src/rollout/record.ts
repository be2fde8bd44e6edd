import { userInfo } from 'node:os';
import type { ContainerSummary } from '../docker/api.ts';
import { COMPOSE } from '../docker/labels.ts';
import { pruneReleases, type ReleasedService, type ReleaseRecord, readReleases, writeRelease } from '../state/releases.ts';
import { readWorkerMarks } from '../state/workers.ts';
import { listProjectContainers, serviceOf } from './containers.ts';
import type { Plan } from './model.ts';
import { networkHashes } from './networks.ts';
import { scaledRecord } from './scaled.ts';
import type { World } from './world.ts';

/** How many releases stay on record; only the newest few keep containers. */
const RECORDS_KEPT = 50;

/** Writes down the release and removes stopped containers that no kept release needs. Says what it removed. */
export async function recordRelease(world: World, plan: Plan): Promise<string> {
  const { project, stateFolder } = world;
  const releases = await readReleases(stateFolder, project.name);
  const number = plan.release;
  if (!releases.some((release) => release.number === number)) {
    if (releases.length === 0 && Object.keys(plan.before).length > 0 && number > 1) {
      await writeRelease(stateFolder, project.name, await foundRecord(world, plan, number - 1), '');
    }
    const record: ReleaseRecord = {
      number,
      at: new Date().toISOString(),
      by: process.env.SUDO_USER || userInfo().username,
      kind: plan.kind,
      ...(plan.of === undefined ? {} : { of: plan.of }),
      services: await releasedServices(world, plan, releases.at(-1)),
      networks: networkHashes(project),
    };
    await writeRelease(stateFolder, project.name, record, project.resolved);
  }
  await warnOfDifferences(world);
  await pruneReleases(stateFolder, project.name, RECORDS_KEPT);
  const removed = await removeOldContainers(world, plan);
  return removed > 0 ? `${removed} stopped containers of older releases removed` : '';
}

/** `docker compose up -d` with the same files must find nothing to change: Compose would replace what has another hash, or make what is missing. */
async function warnOfDifferences(world: World): Promise<void> {
  const running = (await listProjectContainers(world.docker, world.project.name)).filter(({ State }) => State === 'running');
  const leaving = await leavingContainers(world);
  for (const service of Object.values(world.project.services)) {
    if (service.release && !service.release.command) continue;
    const own = running.filter(({ Id, Labels }) => serviceOf(Labels) === service.name && !leaving.has(Id));
    const different = own.filter(({ Labels }) => Labels[COMPOSE.configHash] !== service.configHash).length;
    if ((!service.autoscale && own.length !== service.replicas) || different > 0) {
      world.report({
        kind: 'warning',
        text: `${service.name}: ${own.length}${service.autoscale ? '' : ` of ${service.replicas}`} run${different > 0 ? `, ${different} with another configuration` : ''}; docker compose up -d would change that`,
      });
    }
  }
}

/** Containers that the autoscaler has asked to end, or is asking just now. */
async function leavingContainers({ stateFolder, project }: World): Promise<Set<string>> {
  const marks = await readWorkerMarks(stateFolder, project.name);
  return new Set([...marks].flatMap(([id, { kind }]) => (kind === 'draining' ? [id] : [])));
}

async function releasedServices(world: World, plan: Plan, before: ReleaseRecord | undefined): Promise<Record<string, ReleasedService>> {
  const leaving = await leavingContainers(world);
  const running = (await listProjectContainers(world.docker, world.project.name)).filter(
    ({ Id, State }) => (State === 'running' || State === 'restarting' || State === 'paused') && !leaving.has(Id),
  );
  const services: Record<string, ReleasedService> = {};
  for (const service of Object.values(world.project.services)) {
    const containers = running.filter(({ Labels }) => serviceOf(Labels) === service.name);
    const present = before?.services[service.name];
    const entry = plan.services.find((one) => one.service === service.name);
    if (containers.length === 0 && !service.autoscale) continue;
    // A scaled service may stand at 0: its next container is of this release, if the release was about it.
    if (containers.length === 0 && !entry) {
      if (present) services[service.name] = present;
      continue;
    }
    if (entry?.left !== undefined) {
      if (present) services[service.name] = present;
      continue;
    }
    const image = await world.docker.findImage(containers[0]?.ImageID ?? service.image);
    services[service.name] = {
      image: service.image,
      imageId: containers[0]?.ImageID ?? image?.Id ?? '',
      ...(image?.RepoDigests?.[0] ? { digest: image.RepoDigests[0] } : {}),
      configHash: service.configHash,
      contentHash: service.contentHash,
      replicas: containers.length,
      ...scaledRecord(service),
      containers: containers.map(({ Id }) => Id),
    };
  }
  return services;
}

/** What ran before Composure's first release, so that there is something to go back to. Its containers are all that is known of it. */
async function foundRecord(world: World, plan: Plan, number: number): Promise<ReleaseRecord> {
  const services: Record<string, ReleasedService> = {};
  for (const [service, ids] of Object.entries(plan.before)) {
    const infos = (await Promise.all(ids.map((id) => world.docker.findContainer(id)))).flatMap((info) => info ?? []);
    const first = infos[0];
    if (!first) continue;
    services[service] = {
      image: first.Config.Image,
      imageId: first.Image,
      configHash: first.Config.Labels['com.docker.compose.config-hash'] ?? '',
      contentHash: '',
      replicas: infos.length,
      containers: infos.map(({ Id }) => Id),
    };
  }
  return { number, at: new Date().toISOString(), by: 'found running', kind: 'found', services };
}

/** Only stopped containers of this project's services go, and only those that neither this release nor the kept ones before it name. */
async function removeOldContainers(world: World, plan: Plan): Promise<number> {
  const releases = await readReleases(world.stateFolder, world.project.name);
  const current = releases.at(-1);
  const others = releases.slice(0, -1).filter((release) => release.number !== current?.of);
  const keep = world.project.settings.release.keep;
  const kept = new Set(
    [...(current ? [current] : []), ...(keep > 0 ? others.slice(-keep) : [])].flatMap((release) =>
      Object.values(release.services).flatMap(({ containers }) => containers),
    ),
  );
  const jobs = new Set(plan.steps.flatMap((step) => (step.kind === 'run-job' && !step.oneOff ? [step.service] : [])));
  const ours = new Set(releases.flatMap((release) => Object.values(release.services).flatMap(({ containers }) => containers)));
  const listed = await listProjectContainers(world.docker, world.project.name);
  const stopped = listed.filter(({ State }) => State === 'exited' || State === 'created' || State === 'dead');
  // To Compose a stopped container of the same configuration and image is as good as the one that runs: `up -d` might start it instead.
  const leaving = await leavingContainers(world);
  const twins = new Set(listed.filter(({ Id, State }) => State === 'running' && !leaving.has(Id)).map(identityOf));
  const warm = await warmContainers(world, plan, stopped);
  let removed = 0;
  for (const container of stopped) {
    const service = serviceOf(container.Labels);
    const isOldJob = jobs.has(service) && plan.known.includes(container.Id);
    const isNeeded = kept.has(container.Id) && !twins.has(identityOf(container));
    const isOld = !world.project.services[service]?.release && ours.has(container.Id) && !isNeeded;
    if (warm.has(container.Id) || (!isOldJob && !isOld)) continue;
    await world.docker.removeContainer(container.Id);
    removed += 1;
  }
  return removed;
}

/** Stopped containers of scaled services in the present configuration that this release did not stop itself: the autoscaler starts them again. */
async function warmContainers(world: World, plan: Plan, stopped: ContainerSummary[]): Promise<Set<string>> {
  const retired = new Set(plan.services.flatMap(({ old }) => old));
  const warm = new Set<string>();
  for (const service of Object.values(world.project.services)) {
    if (!service.autoscale) continue;
    const image = await world.docker.findImage(service.image);
    for (const { Id, Labels, ImageID } of stopped)
      if (
        serviceOf(Labels) === service.name &&
        Labels[COMPOSE.configHash] === service.configHash &&
        ImageID === image?.Id &&
        !retired.has(Id)
      )
        warm.add(Id);
  }
  return warm;
}

/** What Compose compares to tell whether a container is what the project wants. */
const identityOf = ({ Labels, ImageID }: ContainerSummary): string => `${serviceOf(Labels)} ${Labels[COMPOSE.configHash]} ${ImageID}`;
