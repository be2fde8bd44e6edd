import type { ContainerSummary } from '../../docker/api.ts';
import { composeGiven, type GivenModel } from '../../docker/given-model.ts';
import { COMPOSE } from '../../docker/labels.ts';
import { sleep } from '../../kit/wait.ts';
import type { StageWorld } from '../stage/model.ts';
import { judge } from './judge.ts';
import type { DrilledService, DrillPlan } from './model.ts';

/** An application that has said neither yes nor no until then is not healthy. */
const BOOT_MS = 900_000;
const LOG_LINES = 12;

export interface Booted {
  services: DrilledService[];
  /** When the last one served its purpose, ms since 1970; undefined when one did not. */
  readyAt: number | undefined;
}

/** Starts the application in the order of its dependencies and waits until every service has said what it is. */
export async function bootServices(world: StageWorld, plan: DrillPlan, given: GivenModel): Promise<Booted> {
  const { signal, report } = world;
  const began = performance.now();
  report({ kind: 'step-start', step: 'boot', text: `start ${plan.services.length} services on it` });
  const up = await composeGiven(given, ['up', '--detach', '--no-build', '--quiet-pull'], signal);
  signal.throwIfAborted();
  const booted = await watch(world, plan, up.code === 0 ? [] : up.words);
  const failed = booted.services.filter(({ kind }) => kind === 'failed');
  report({
    kind: failed.length === 0 ? 'step-done' : 'step-failed',
    step: 'boot',
    text: failed.map(({ service, text }) => `${service} ${text}`).join('; '),
    ms: performance.now() - began,
  });
  return booted;
}

async function watch({ docker, signal }: StageWorld, plan: DrillPlan, refusal: string[]): Promise<Booted> {
  const deadline = Date.now() + BOOT_MS;
  const done = new Map<string, { service: DrilledService; readyAt: number | undefined }>();
  for (;;) {
    signal.throwIfAborted();
    const containers = await docker.listContainers([`${COMPOSE.project}=${plan.project}`]);
    const now = Date.now();
    for (const name of plan.services.filter((one) => !done.has(one))) {
      const found = containers.find(({ Labels }) => Labels[COMPOSE.service] === name);
      const container = found === undefined ? undefined : await docker.findContainer(found.Id);
      const isStarted = container !== undefined && container.State.Status !== 'created';
      const judged = container && judge(name, container, { isJob: plan.jobs.includes(name), mayEnd: plan.mayEnd.includes(name), now });
      const end = async (text: string): Promise<void> => {
        const log = isStarted ? await docker.logTail(container.Id, LOG_LINES).catch(() => []) : refusal;
        done.set(name, { service: { service: name, kind: 'failed', text, log }, readyAt: undefined });
      };
      if (judged?.done) {
        if (judged.service.kind === 'failed') await end(judged.service.text);
        else done.set(name, { service: { ...judged.service, log: [] }, readyAt: judged.readyAt });
      } else if (!isStarted && refusal.length > 0) await end('was not started');
      else if (now > deadline) await end(`has neither become healthy nor failed in ${BOOT_MS / 60_000} minutes`);
    }
    if (done.size === plan.services.length) {
      const fallen = await fallenSince(docker, containers, done);
      if (fallen.length === 0) break;
      for (const name of fallen) done.delete(name);
    }
    await sleep(250);
  }
  const all = plan.services.flatMap((name) => done.get(name) ?? []);
  const times = all.map(({ readyAt }) => readyAt);
  return {
    services: all.map(({ service }) => service),
    readyAt: times.includes(undefined) ? undefined : Math.max(...times.map((time) => time ?? 0)),
  };
}

/** Services that were well and are not any more: they are looked at again. */
async function fallenSince(
  docker: StageWorld['docker'],
  containers: readonly ContainerSummary[],
  done: ReadonlyMap<string, { service: DrilledService }>,
): Promise<string[]> {
  const well = [...done.values()].filter(({ service }) => service.kind === 'healthy' || service.kind === 'running');
  const looked = await Promise.all(
    well.map(async ({ service: { service } }) => {
      const id = containers.find(({ Labels }) => Labels[COMPOSE.service] === service)?.Id ?? '';
      return (await docker.findContainer(id))?.State.Running ? [] : [service];
    }),
  );
  return looked.flat();
}
