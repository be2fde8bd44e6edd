import { type ContainerInfo, type ContainerSummary, type Docker, EngineError } from '../../docker/api.ts';
import { COMPOSE } from '../../docker/labels.ts';
import { formatMs } from '../../kit/duration.ts';
import { Failure } from '../../kit/errors.ts';
import type { Report } from '../../kit/events.ts';
import { waitFor } from '../../kit/wait.ts';
import type { Project } from '../../project/model.ts';
import { evidence, listProjectContainers, nameOf, startNamed, stopGently } from '../../rollout/containers.ts';
import { judgeContainer } from '../../rollout/gate.ts';
import type { StoppedContainer } from './journal.ts';

export interface StillWorld {
  docker: Docker;
  /** Services only for their health checks' patience: whoever ends a killed restore need not know them. */
  project: Pick<Project, 'name'> & Partial<Pick<Project, 'services'>>;
  report: Report;
  signal: AbortSignal;
}

const AT_WORK: readonly ContainerSummary['State'][] = ['running', 'paused', 'restarting'];

/**
 * Containers of these services that are at work, in the order of the services, and of `servers` that have none the newest one that ended. What
 * a release keeps stopped beside a running container is none of them.
 */
export async function containersAtWork(
  { docker, project }: StillWorld,
  services: readonly string[],
  servers: readonly string[] = [],
): Promise<StoppedContainer[]> {
  const all = await listProjectContainers(docker, project.name);
  const found = await Promise.all(
    [...new Set([...services, ...servers])].map(async (service): Promise<StoppedContainer[]> => {
      const own = all.filter(({ Labels }) => Labels[COMPOSE.service] === service);
      const atWork = own.filter(({ State }) => AT_WORK.includes(State));
      const ended = own.filter(({ State }) => State === 'exited' || State === 'created').sort((a, b) => b.Created - a.Created)[0];
      if (atWork.length === 0) return ended && servers.includes(service) ? [{ ...nameOfSummary(ended), was: 'off' }] : [];
      return Promise.all(
        atWork.map(async (one) => ({ ...nameOfSummary(one), was: isWell(await docker.findContainer(one.Id)) ? 'well' : 'ill' })),
      );
    }),
  );
  return found.flat();
}

const nameOfSummary = ({ Id, Labels }: ContainerSummary): Omit<StoppedContainer, 'was'> => ({
  id: Id,
  service: Labels[COMPOSE.service] ?? '',
  number: Labels[COMPOSE.number] ?? '1',
});

/** One that was restarted once, long ago, is not ill. */
const isWell = (info: ContainerInfo | undefined): boolean =>
  info?.State.Running === true && !info.State.Restarting && info.State.Health?.Status !== 'unhealthy';

/** Stops them, service by service, each by its own signal and grace. */
export async function stopAll({ docker }: StillWorld, containers: readonly StoppedContainer[]): Promise<void> {
  for (const service of new Set(containers.map((one) => one.service)))
    await Promise.all(containers.filter((one) => one.service === service).map(({ id }) => stopGently(docker, id)));
}

/**
 * Starts them in the order opposite to the list's, in which they stop, service by service, and waits until each is healthy, or steady where it has no health check. Throws RESTORE_FAILED with the
 * container's own words. With the old data back (`end` old), and once the new data is there to stay (`isDecided`), nothing better is to be had:
 * what is not well then is a warning.
 */
export async function startAll(
  world: StillWorld,
  containers: readonly StoppedContainer[],
  end: 'old' | 'new',
  { isDecided = end === 'old' } = {},
): Promise<void> {
  const { docker, project, report } = world;
  const present = await listProjectContainers(docker, project.name);
  for (const service of [...new Set(containers.map((one) => one.service))].reverse()) {
    const meant = containers.filter((one) => one.service === service && !(end === 'old' && one.was === 'off'));
    try {
      const ids = meant.flatMap((one) => idNow(present, one, report));
      for (const id of ids) await startNamed(docker, id);
      if (end === 'new' || meant.every(({ was }) => was === 'well')) await Promise.all(ids.map((id) => untilGood(world, service, id)));
    } catch (error) {
      if (!isDecided || !(error instanceof Failure)) throw error;
      report({ kind: 'warning', text: `${service} does not run as it should: ${[error.message, ...error.details].join('; ')}` });
    }
  }
}

/** The container itself, or the newest that took its place. */
function idNow(present: readonly ContainerSummary[], { id, service, number }: StoppedContainer, report: Report): string[] {
  if (present.some(({ Id }) => Id === id)) return [id];
  const replaced = present
    .filter(({ Labels }) => Labels[COMPOSE.service] === service && Labels[COMPOSE.number] === number)
    .sort((a, b) => b.Created - a.Created)[0];
  if (replaced) return [replaced.Id];
  report({ kind: 'warning', text: `${service}-${number} is gone since it was stopped; docker compose up -d brings it back` });
  return [];
}

async function untilGood({ docker, project, signal }: StillWorld, service: string, id: string): Promise<void> {
  const check = project.services?.[service]?.healthcheck;
  const timeoutMs = 60_000 + (check ? check.startPeriodMs + check.retries * (check.intervalMs + check.timeoutMs) : 0);
  const bad = await waitFor(
    async () => {
      const info = await docker.findContainer(id);
      const verdict = info ? judgeContainer(info, Date.now()) : { bad: 'it is gone' };
      return verdict === 'wait' ? undefined : verdict;
    },
    { everyMs: 100, timeoutMs, signal },
  );
  if (bad === 'good') return;
  const why = bad === undefined ? `it was not healthy within ${formatMs(timeoutMs)}` : bad.bad;
  const info = await docker.findContainer(id);
  throw new Failure('RESTORE_FAILED', `${info ? nameOf(info) : service} is not well with the restored data: ${why}`, {
    where: service,
    details: await evidence(docker, id).catch((error: unknown) => [error instanceof EngineError ? error.message : String(error)]),
  });
}
