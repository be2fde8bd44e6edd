import { readFileIfThere } from '../kit/files.ts';
import { loadProject } from '../project/load.ts';
import type { Project } from '../project/model.ts';
import { applySteps, noProgress, removeOneOffJob } from './apply.ts';
import { isUp } from './changes.ts';
import { listProjectContainers } from './containers.ts';
import { pendingModelPath, putAway, type Rollout } from './context.ts';
import { keepForInspection } from './inspect.ts';
import { isCommitted, openReleaseJournal, readUnfinished, type Unfinished } from './journal.ts';
import { describeContainer } from './observe.ts';
import { routeTo } from './placement.ts';
import { gateTimeoutMs } from './plan-start.ts';
import { snapshotIds } from './snapshot.ts';
import { planUndo, type UndoSituation } from './undo.ts';
import type { World } from './world.ts';

/**
 * Ends what a command that died left half done: a committed release is finished, any other is taken back.
 * Answers in words what it did, or undefined when there was nothing to do. The caller holds the project's lock.
 */
export async function finishOrUndo(rollout: Rollout): Promise<string | undefined> {
  const unfinished = await readUnfinished(rollout.stateFolder, rollout.project.name);
  if (!unfinished) return undefined;
  const { plan } = unfinished;
  rollout.report({
    kind: 'note',
    text: `release ${plan.release}, begun ${unfinished.startedAt}, was left unfinished: ${isCommitted(unfinished) ? 'finishing it' : 'taking it back'}`,
  });
  const text = isCommitted(unfinished)
    ? await finishRelease(rollout, unfinished)
    : await undoRelease(rollout, unfinished, 'the command that made it died');
  rollout.report({ kind: 'note', text });
  return text;
}

async function finishRelease(rollout: Rollout, unfinished: Unfinished): Promise<string> {
  const { plan, ended, created } = unfinished;
  const world = { ...worldOf(rollout), project: await releasedProject(rollout) };
  const journal = await openReleaseJournal(rollout.stateFolder, rollout.project.name, rollout.afterJournal);
  const commit = plan.steps.findIndex(({ kind }) => kind === 'commit');
  try {
    await applySteps(
      world,
      plan,
      plan.steps.slice(commit).filter(({ id }) => !ended.has(id)),
      noProgress(created),
      journal,
    );
    await journal.append({ kind: 'finished', at: new Date().toISOString() });
  } finally {
    await journal.close();
  }
  await putAway(rollout, plan);
  return `release ${plan.release} is finished: the new release runs`;
}

/** The project as the unfinished release read it, whatever the files say by now. */
async function releasedProject(rollout: Rollout): Promise<Project> {
  const path = pendingModelPath(rollout);
  const { name, folder } = rollout.project;
  return (await readFileIfThere(path)) === undefined
    ? rollout.project
    : loadProject({ cwd: folder, files: [path], projectName: name, projectDirectory: folder, environment: process.env });
}

/** A release command in a one-off container runs on by itself when its deployer died. */
async function removeOneOffJobs(world: World, { plan, begun }: Unfinished): Promise<void> {
  for (const step of plan.steps)
    if (step.kind === 'run-job' && step.oneOff && begun.has(step.id)) await removeOneOffJob(world, plan, step.service);
}

/** What taking a release back has to know of the world now. */
export async function undoSituation(world: World): Promise<UndoSituation> {
  const listed = await listProjectContainers(world.docker, world.project.name);
  const infos = (await Promise.all(listed.map(({ Id }) => world.docker.findContainer(Id)))).flatMap((info) => info ?? []);
  return {
    containers: infos.map(describeContainer),
    snapshots: await snapshotIds(world),
    gateTimeoutMs: Object.fromEntries(Object.values(world.project.services).map((service) => [service.name, gateTimeoutMs(service)])),
  };
}

/** Takes an uncommitted release back and says what runs now. New containers of the services to `inspect` run on without requests. */
export async function undoRelease(
  rollout: Rollout,
  unfinished: Unfinished,
  why: string,
  inspect: ReadonlySet<string> = new Set(),
): Promise<string> {
  const { plan, created } = unfinished;
  const world = worldOf(rollout);
  const situation = await undoSituation(world);
  const { containers } = situation;
  const steps = planUndo(unfinished, { ...situation, inspect });
  const made = containers.filter((container) => isUp(container) && inspect.has(container.service) && !plan.known.includes(container.id));
  const journal = await openReleaseJournal(rollout.stateFolder, rollout.project.name, rollout.afterJournal);
  try {
    await journal.append({ kind: 'undo', at: new Date().toISOString(), why });
    await removeOneOffJobs(world, unfinished);
    if (steps) await applySteps(world, plan, steps, noProgress(created), journal);
    else
      await routeToWhatRuns(
        world,
        plan.services.filter(({ routed }) => routed).map(({ service }) => service),
        containers.filter(isUp).map(({ id, service }) => ({ id, service })),
      );
    if (steps && made.length > 0) await keepForInspection(world, { release: plan.release, containers: made.map(({ id }) => id) });
    await journal.append({ kind: 'undone', at: new Date().toISOString() });
  } finally {
    await journal.close();
  }
  await putAway(rollout, plan);
  if (!steps) return `the containers of before release ${plan.release} are gone; what runs now stays, and requests go there`;
  const runs = Object.entries(plan.before).map(([service, ids]) => `${ids.length} ${service}`);
  const services = [...new Set(made.map(({ service }) => service))];
  const rest =
    made.length > 0
      ? `${made.map(({ name }) => name).join(', ')} of release ${plan.release} run on without requests, to be looked at (failure_action: pause of ${services.join(', ')}); the next deploy removes them`
      : `what release ${plan.release} made is removed`;
  return runs.length > 0
    ? `taken back: ${runs.join(', ')} of before run and serve; ${rest}`
    : `taken back: nothing ran before, and ${rest}`;
}

async function routeToWhatRuns(world: World, services: string[], running: { id: string; service: string }[]): Promise<void> {
  const lists = Object.fromEntries(
    services.map((service) => [
      service,
      { ready: running.filter((container) => container.service === service).map(({ id }) => id), drain: [], hold: false },
    ]),
  );
  if (services.length > 0) await routeTo(world, lists);
}

const worldOf = ({ docker, edge, project, stateFolder, report, signal }: Rollout): World => ({
  docker,
  edge,
  project,
  stateFolder,
  report,
  signal,
});
