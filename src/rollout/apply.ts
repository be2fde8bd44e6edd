import { COMPOSE } from '../docker/labels.ts';
import { composeCreate, composeRunDetached } from '../docker/release.ts';
import { thawFrozen, unpause } from '../docker/thaw.ts';
import { finishTakeover } from '../edge/takeover-handover.ts';
import { addRedirect, removeRedirect } from '../edge/takeover-redirect.ts';
import { formatMs } from '../kit/duration.ts';
import { Failure } from '../kit/errors.ts';
import { sleep, waitFor } from '../kit/wait.ts';
import type { Journal } from '../state/journal.ts';
import { evidence, listProjectContainers, nameOf, numberOf, putFiles, runHooks, serviceOf, startNamed, stopGently } from './containers.ts';
import { describeDrain, drainContainers } from './drain.ts';
import { gateContainers } from './gate.ts';
import type { Entry } from './journal.ts';
import type { Plan, Ref, Step } from './model.ts';
import { currentServers, joinEdge, routeTo, sessionsOn } from './placement.ts';
import { prepareEdge, restoreEdge } from './prepare-edge.ts';
import { describeStep } from './print.ts';
import { recordRelease } from './record.ts';
import { reloadProxy } from './reload.ts';
import { restoreSnapshot, takeSnapshot } from './snapshot.ts';
import { watchRelease } from './watch.ts';
import type { World } from './world.ts';

/** What a release has brought about so far. */
export interface Progress {
  /** By service: ids of new containers in the order of the plan's "new:<service>:<slot>". */
  created: Record<string, string[]>;
  /** Requests that ran over their drain time and were cut. */
  cutRequests: number;
  /** By service: new containers that did not become ready, which max_failure_ratio allows. They get no requests. */
  tolerated: Record<string, string[]>;
  /** The step that was begun last. */
  step?: string;
  /** Containers that were removed and made again: their new ids by the old ones. */
  replaced: Record<string, string>;
}

export const noProgress = (created: Progress['created'] = {}): Progress => ({
  created,
  cutRequests: 0,
  tolerated: {},
  replaced: {},
});

/** Carries out the plan's steps from the first one that has not ended. Each step is journalled before and after, and each may be repeated. */
export async function applySteps(world: World, plan: Plan, steps: Step[], progress: Progress, journal: Journal<Entry>): Promise<void> {
  for (const step of steps) {
    world.signal.throwIfAborted();
    const began = performance.now();
    progress.step = step.id;
    await journal.append({ kind: 'begin', at: now(), step: step.id });
    world.report({ kind: 'step-start', step: step.id, text: describeStep(step, plan) });
    try {
      const outcome = await applyStep(world, plan, step, progress);
      await journal.append({ kind: 'end', at: now(), step: step.id, ...(outcome.created ? { created: outcome.created } : {}) });
      world.report({ kind: 'step-done', step: step.id, text: outcome.text ?? '', ms: performance.now() - began });
    } catch (error) {
      world.report({
        kind: 'step-failed',
        step: step.id,
        text: error instanceof Error ? error.message : String(error),
        ms: performance.now() - began,
      });
      throw error;
    }
  }
}

const now = (): string => new Date().toISOString();

interface Outcome {
  text?: string;
  created?: Record<string, string[]>;
}

export function resolveRefs(refs: Ref[], created: Record<string, string[]>): string[] {
  return refs.flatMap((ref) => {
    if (!ref.startsWith('new:')) return [ref];
    const [, service = '', slot = ''] = ref.split(':');
    return created[service]?.[Number(slot)] ?? [];
  });
}

async function applyStep(world: World, plan: Plan, step: Step, progress: Progress): Promise<Outcome> {
  const ids = (refs: Ref[]): string[] => resolveRefs(refs, progress.created).map((id) => progress.replaced[id] ?? id);
  switch (step.kind) {
    case 'prepare-edge':
      return { text: await prepareEdge(world, plan) };
    case 'thaw':
      await thawFrozen(world.docker, world.stateFolder, world.project.name);
      // One that a person has paused stands in Compose's way as well.
      await Promise.all(step.containers.flatMap((entry) => entry.ids).map((id) => unpause(world.docker, id)));
      return {};
    case 'take-over-port':
      if (step.redirect) await addRedirect(world.edge.name, step.port, step.temporary);
      return {};
    case 'give-port':
      await finishTakeover(world.edge, step.port);
      return {};
    case 'leave-port':
      await removeRedirect(world.edge.name, step.port);
      return {};
    case 'restore':
      for (const id of step.containers) progress.replaced[id] = await restoreSnapshot(world, id);
      return {};
    case 'restore-edge':
      await restoreEdge(world, plan, progress.replaced);
      return {};
    case 'create': {
      const created = await createContainers(world, step.totals);
      for (const [service, fresh] of Object.entries(created)) progress.created[service] = [...(progress.created[service] ?? []), ...fresh];
      return {
        created,
        text: Object.values(created)
          .flat()
          .map((id) => id.slice(0, 12))
          .join(', '),
      };
    }
    case 'run-job':
      return { text: await runJob(world, plan, step, progress) };
    case 'start':
      return { text: await startContainers(world, step.service, ids(step.containers)) };
    case 'gate': {
      const routed = (world.project.services[step.service]?.edge.length ?? 0) > 0;
      const earlier = progress.tolerated[step.service] ?? [];
      const mayFail = Math.min(Math.floor(step.of * step.maxFailureRatio), step.of - 1) - earlier.length;
      const wanted = ids(step.containers);
      const good = await gateContainers(world, wanted, { timeoutMs: step.timeoutMs, mayFail, routed });
      progress.tolerated[step.service] = [...earlier, ...wanted.filter((id) => !good.includes(id))];
      if (good.length < wanted.length)
        world.report({
          kind: 'warning',
          text: `${step.service}: ${wanted.length - good.length} of ${step.of} did not become ready and get no requests; max_failure_ratio ${step.maxFailureRatio} allows it`,
        });
      return { text: `${good.length} of ${step.containers.length} ready` };
    }
    case 'route': {
      const lists = Object.fromEntries(
        step.routings.map(({ service, ready, drain, hold }) => [
          service,
          { ready: ids(ready).filter((id) => !progress.tolerated[service]?.includes(id)), drain: ids(drain), hold },
        ]),
      );
      await routeTo(world, lists);
      return {};
    }
    case 'drain': {
      const drained = await drainContainers(world, { ...step, containers: ids(step.containers) });
      progress.cutRequests += drained.requestsLeft;
      return { text: describeDrain(drained) };
    }
    case 'watch': {
      const drains = step.drains.map((drain) => ({ ...drain, containers: ids(drain.containers) }));
      const outcome = await watchRelease(world, plan, step.ms, drains, progress);
      progress.cutRequests += outcome.requestsLeft;
      return { text: outcome.text };
    }
    case 'wait':
      await sleep(step.ms, undefined, { signal: world.signal });
      return {};
    case 'stop':
      return { text: await stopContainers(world, step.service, ids(step.containers)) };
    case 'remove':
      for (const id of ids(step.containers)) {
        if (step.snapshot) await takeSnapshot(world, id);
        await world.docker.removeContainer(id);
      }
      return {};
    case 'reload-proxy':
      for (const id of ids(step.containers)) await reloadProxy(world, step.service, id, step.command);
      return {};
    case 'commit':
      return {};
    case 'record':
      return { text: await recordRelease(world, plan) };
    default:
      return step satisfies never;
  }
}

/** Compose makes the containers; what is new afterwards is ours to start. Repeating it makes only what is missing. */
async function createContainers(world: World, totals: { service: string; add: number }[]): Promise<Record<string, string[]>> {
  await thawFrozen(world.docker, world.stateFolder, world.project.name);
  const before = await listProjectContainers(world.docker, world.project.name);
  const count = (service: string): number => before.filter(({ Labels }) => serviceOf(Labels) === service).length;
  const services = totals.filter(({ add }) => add > 0);
  // Compose tries to start a paused container when it makes another one beside it, and the engine refuses that.
  for (const { Id, State, Labels } of before)
    if (State === 'paused' && services.some(({ service }) => service === serviceOf(Labels))) await unpause(world.docker, Id);
  await composeCreate(world.project.compose, Object.fromEntries(services.map(({ service, add }) => [service, count(service) + add])));
  const known = new Set(before.map(({ Id }) => Id));
  const after = (await listProjectContainers(world.docker, world.project.name))
    .filter(({ Id }) => !known.has(Id))
    .sort((a, b) => numberOf(a.Labels) - numberOf(b.Labels));
  const created: Record<string, string[]> = {};
  for (const { service, add } of services) {
    const fresh = after.filter(({ Labels }) => serviceOf(Labels) === service);
    created[service] = fresh.map(({ Id }) => Id);
    if (fresh.length !== add) {
      throw new Failure('RELEASE_FAILED', `Compose made ${fresh.length} containers of ${service} instead of ${add}`, {
        where: service,
        next: 'look for a command that changed the project at the same time (docker compose up), then deploy again',
      });
    }
    await putFiles(world.docker, created[service], world.project.services[service]?.files);
  }
  return created;
}

async function startContainers(world: World, service: string, ids: string[]): Promise<string> {
  const definition = world.project.services[service];
  await Promise.all(
    ids.map(async (id) => {
      await startNamed(world.docker, id);
      if (definition && definition.postStart.length > 0)
        await runHooks(world.docker, await world.docker.inspectContainer(id), definition.postStart, 'post_start', world.report);
    }),
  );
  if (definition && definition.edge.length > 0) {
    // While the application boots, the engine has time for a second network. The edge may know a container that is not ready: it gets no
    // request until the switch, and its check begins.
    await joinEdge(world, ids);
    await addDraining(world, service, ids);
  }
  const infos = await Promise.all(ids.map((id) => world.docker.findContainer(id)));
  return infos.flatMap((info) => (info ? nameOf(info) : [])).join(', ');
}

async function addDraining(world: World, service: string, ids: string[]): Promise<void> {
  const present = await currentServers(world, service);
  const fresh = ids.filter((id) => !present.ready.includes(id) && !present.drain.includes(id));
  if (fresh.length > 0) await routeTo(world, { [service]: { ...present, drain: [...present.drain, ...fresh] } });
}

/** Hooks, then the container's own stop signal and grace. What the edge still had open at that moment is said, never hidden. */
async function stopContainers(world: World, service: string, ids: string[]): Promise<string> {
  const hooks = world.project.services[service]?.preStop ?? [];
  const routed = (world.project.services[service]?.edge.length ?? 0) > 0;
  const open = routed ? await sessionsOn(world, ids) : 0;
  await Promise.all(
    ids.map(async (id) => {
      const info = await world.docker.findContainer(id);
      if (info?.State.Running && hooks.length > 0) {
        await runHooks(world.docker, info, hooks, 'pre_stop', world.report).catch((error: Error) =>
          world.report({ kind: 'warning', text: `${error.message}; stopping it all the same` }),
        );
      }
      await stopGently(world.docker, id);
    }),
  );
  return open > 0 ? `${open} sessions were still open and were asked to end` : '';
}

const oneOffName = (plan: Plan, service: string): string => `${plan.project}-${service}-release-${plan.release}`;

/** Removes a release command's one-off container that a dead command left behind, only when it is this project's. */
export async function removeOneOffJob(world: World, plan: Plan, service: string): Promise<void> {
  const left = await world.docker.findContainer(oneOffName(plan, service));
  if (left?.Config.Labels[COMPOSE.project] !== plan.project) return;
  await stopGently(world.docker, left.Id);
  await world.docker.removeContainer(left.Id, { force: true });
}

/** The job's container runs once to its end. A job that was left running by a crash is not taken over: its outcome would be a guess. */
async function runJob(world: World, plan: Plan, step: Step & { kind: 'run-job' }, progress: Progress): Promise<string> {
  const began = performance.now();
  const command = world.project.services[step.service]?.release?.command;
  if (step.oneOff) {
    await removeOneOffJob(world, plan, step.service);
    await thawFrozen(world.docker, world.stateFolder, world.project.name);
  }
  const id = step.oneOff
    ? await composeRunDetached(world.project.compose, step.service, oneOffName(plan, step.service), command ?? [])
    : resolveRefs([step.container], progress.created)[0];
  if (id === undefined) throw new Failure('RELEASE_JOB_FAILED', `the job ${step.service} has no container`, { where: step.service });
  if (!step.oneOff) await startNamed(world.docker, id);
  const ended = await waitFor(
    async () => {
      const info = await world.docker.findContainer(id);
      if (!info) throw new Failure('RELEASE_JOB_FAILED', `the job ${step.service} was removed while it ran`, { where: step.service });
      return info.State.Status === 'exited' || info.State.Status === 'dead' ? info.State : undefined;
    },
    { everyMs: 50, timeoutMs: step.timeoutMs, signal: world.signal },
  );
  for (const line of await world.docker.logTail(id, 200).catch(() => []))
    world.report({ kind: 'output', source: step.service, text: line });
  const details = ended?.ExitCode === 0 ? [] : await evidence(world.docker, id);
  if (!ended) await stopGently(world.docker, id);
  if (step.oneOff) await world.docker.removeContainer(id, { force: true });
  if (ended?.ExitCode === 0) return `exit code 0 after ${formatMs(performance.now() - began)}`;
  throw new Failure(
    'RELEASE_JOB_FAILED',
    ended
      ? `the release job ${step.service} ended with code ${ended.ExitCode}`
      : `the release job ${step.service} did not end within ${formatMs(step.timeoutMs)}`,
    {
      where: step.service,
      details,
      next: 'nothing running was touched; mend the job and deploy again',
    },
  );
}
