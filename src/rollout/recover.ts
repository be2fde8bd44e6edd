import { readFileIfThere } from '../kit/files.ts';
import { loadProject } from '../project/load.ts';
import type { Project } from '../project/model.ts';
import { applySteps, noProgress, removeOneOffJob } from './apply.ts';
import { isUp } from './changes.ts';
import { listProjectContainers } from './containers.ts';
import { pendingModelPath, putAway, type Rollout } from './context.ts';
import { isCommitted, openReleaseJournal, readUnfinished, type Unfinished } from './journal.ts';
import { describeContainer } from './observe.ts';
import { routeTo } from './placement.ts';
import { gateTimeoutMs } from './plan.ts';
import { snapshotIds } from './snapshot.ts';
import { planUndo } from './undo.ts';
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

/** Takes an uncommitted release back and says what runs now. */
export async function undoRelease(rollout: Rollout, unfinished: Unfinished, why: string): Promise<string> {
  const { plan, created } = unfinished;
  const world = worldOf(rollout);
  const listed = await listProjectContainers(rollout.docker, rollout.project.name);
  const infos = (await Promise.all(listed.map(({ Id }) => rollout.docker.findContainer(Id)))).flatMap((info) => info ?? []);
  const containers = infos.map(describeContainer);
  const steps = planUndo(unfinished, {
    containers,
    snapshots: await snapshotIds(world),
    gateTimeoutMs: Object.fromEntries(Object.values(rollout.project.services).map((service) => [service.name, gateTimeoutMs(service)])),
  });
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
    await journal.append({ kind: 'undone', at: new Date().toISOString() });
  } finally {
    await journal.close();
  }
  await putAway(rollout, plan);
  if (!steps) return `the containers of before release ${plan.release} are gone; what runs now stays, and requests go there`;
  const runs = Object.entries(plan.before).map(([service, ids]) => `${ids.length} ${service}`);
  return runs.length > 0
    ? `taken back: ${runs.join(', ')} of before run and serve; what release ${plan.release} made is removed`
    : `taken back: nothing ran before, and what release ${plan.release} made is removed`;
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
