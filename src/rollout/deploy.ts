import { pullIfMissing } from '../docker/images.ts';
import { composeBuild, composePull } from '../docker/release.ts';
import { Failure } from '../kit/errors.ts';
import type { Report } from '../kit/events.ts';
import { writeFileDurably } from '../kit/files.ts';
import type { Journal } from '../state/journal.ts';
import { applySteps, noProgress, type Progress } from './apply.ts';
import { checkFreePorts, checkPlan, checkProject, whereOf } from './checks.ts';
import { pendingModelPath, putAway, type Rollout, withProjectLock } from './context.ts';
import { removeInspected } from './inspect.ts';
import { type Entry, openReleaseJournal, readUnfinished } from './journal.ts';
import { servicesToInspect, serviceToLeave, stepsAfter, withoutService } from './leave.ts';
import type { Plan } from './model.ts';
import { observe } from './observe.ts';
import { planRelease } from './plan.ts';
import type { PlanOptions } from './plan-service.ts';
import { finishOrUndo, undoRelease, undoSituation } from './recover.ts';
import { wantedSettings } from './routes.ts';
import { planLeave } from './undo.ts';
import type { World } from './world.ts';

export interface DeployOptions {
  only: string[];
  force: boolean;
  pull: 'missing' | 'always' | 'never';
  build: boolean;
  ignoreUnhealthy: boolean;
  /** Shown the plan; false stops before anything is touched. */
  confirm: (plan: Plan) => Promise<boolean>;
}

export interface Released {
  plan: Plan;
  /** False: everything ran as wanted already. */
  changed: boolean;
  durationMs: number;
  /** Requests that were over their drain time and were cut. */
  cutRequests: number;
}

/** What a release would do with the images that are on the machine now. Touches nothing. */
export async function planOnly(rollout: Rollout, options: Pick<DeployOptions, 'only' | 'force' | 'ignoreUnhealthy'>): Promise<Plan> {
  const { project, docker, edge, stateFolder, report } = rollout;
  const observed = await observe(project, docker, edge, stateFolder);
  checkProject(project, await edge.read(), options.only);
  for (const text of project.warnings) report({ kind: 'warning', text });
  const plan = planRelease(project, observed, { kind: 'deploy', only: options.only, force: options.force, reusable: {} });
  checkPlan(project, observed, plan, options);
  if (plan.steps.length > 0) checkFreePorts(project, observed);
  const missing = Object.values(project.services).filter(({ name, builds }) => !observed.images[name] && !builds);
  const built = Object.values(project.services).filter(({ builds }) => builds);
  if (missing.length > 0) plan.warnings.push(`pulled first: ${missing.map(({ image }) => image).join(', ')}`);
  if (built.length > 0)
    plan.warnings.push(
      `built first: ${built.map(({ name }) => name).join(', ')}; a service whose image comes out different joins the release`,
    );
  return plan;
}

/** Lock, heal what an earlier command left, images, plan, confirm, apply; a failure is undone before it is thrown. */
export async function deploy(rollout: Rollout, options: DeployOptions): Promise<Released> {
  return withProjectLock(rollout, 'deploy', async () => {
    await finishOrUndo(rollout);
    const { project, edge } = rollout;
    checkProject(project, await edge.read(), options.only);
    await Promise.all([prepareImages(rollout, options), prepareEdgeImage(rollout)]);
    return release(rollout, { kind: 'deploy', only: options.only, force: options.force, reusable: {} }, options);
  });
}

async function prepareImages(rollout: Rollout, options: Pick<DeployOptions, 'only' | 'pull' | 'build'>): Promise<void> {
  const { project, docker, report } = rollout;
  const services = Object.values(project.services).filter(
    ({ name }) => options.only.length === 0 || options.only.includes(name) || project.services[name]?.release,
  );
  const toBuild = services.filter(({ builds }) => builds).map(({ name }) => name);
  if (options.build && toBuild.length > 0) {
    await timed(report, 'build', `build ${toBuild.join(', ')}`, () =>
      composeBuild(project.compose, toBuild, (text) => report({ kind: 'output', source: 'build', text })),
    );
  }
  const pullable = services.filter(({ builds, pullPolicy }) => !builds && pullPolicy !== 'never' && options.pull !== 'never');
  const isWanted = await Promise.all(
    pullable.map(async ({ image, pullPolicy }) => options.pull === 'always' || pullPolicy === 'always' || !(await docker.findImage(image))),
  );
  const wanted = pullable.filter((_, index) => isWanted[index]).map(({ name }) => name);
  if (wanted.length > 0) {
    const policy = options.pull === 'always' || pullable.some(({ pullPolicy }) => pullPolicy === 'always') ? 'always' : 'missing';
    await timed(report, 'pull', `pull ${wanted.map((name) => project.services[name]?.image).join(', ')}`, () =>
      composePull(
        project.compose,
        wanted.map((name) => ({ service: name, image: project.services[name]?.image ?? '', ...whereOf(project, name, 'image') })),
        policy,
        (text) => report({ kind: 'output', source: 'pull', text }),
      ),
    );
  }
  const isThere = await Promise.all(services.map(({ image }) => docker.findImage(image)));
  for (const [index, service] of services.entries()) {
    if (isThere[index]) continue;
    throw new Failure('IMAGE_UNAVAILABLE', `the image ${service.image} of ${service.name} is not on this machine`, {
      where: service.name,
      ...whereOf(project, service.name, 'image'),
      next: service.builds ? 'leave out --no-build' : 'leave out --pull never, or load the image first',
    });
  }
}

async function prepareEdgeImage({ project, docker, edge, report }: Rollout): Promise<void> {
  if (!Object.values(project.services).some((service) => service.edge.length > 0) || (await edge.isRunning())) return;
  await pullIfMissing(docker, wantedSettings((await edge.read()).settings, project).image, report);
}

async function timed(report: Report, step: string, text: string, work: () => Promise<void>): Promise<void> {
  const began = performance.now();
  report({ kind: 'step-start', step, text });
  try {
    await work();
  } catch (error) {
    report({ kind: 'step-failed', step, text: (error as Error).message, ms: performance.now() - began });
    throw error;
  }
  report({ kind: 'step-done', step, text: '', ms: performance.now() - began });
}

/** Plans from a fresh look, asks, applies, and on failure goes back. The caller holds the project's lock. */
export async function release(
  rollout: Rollout,
  planOptions: PlanOptions,
  options: Pick<DeployOptions, 'confirm' | 'ignoreUnhealthy'>,
): Promise<Released> {
  const { project, docker, edge, stateFolder, report, signal } = rollout;
  const began = performance.now();
  const observed = await observe(project, docker, edge, stateFolder);
  const plan = planRelease(project, observed, planOptions);
  checkPlan(project, observed, plan, options);
  if (plan.steps.length > 0) checkFreePorts(project, observed);
  for (const text of project.warnings) report({ kind: 'warning', text });
  if (plan.steps.length === 0) return { plan, changed: false, durationMs: 0, cutRequests: 0 };
  if (!(await options.confirm(plan))) throw new Failure('DECLINED', 'not confirmed; nothing was touched');

  const world: World = { docker, edge, project, stateFolder, report, signal };
  const journal = await openReleaseJournal(stateFolder, project.name, rollout.afterJournal);
  const progress = noProgress();
  let released = plan;
  try {
    await removeInspected(world);
    await writeFileDurably(pendingModelPath(rollout), project.resolved);
    await journal.append({ kind: 'plan', at: new Date().toISOString(), plan });
    released = await applyOrLeave(world, plan, progress, journal);
    await journal.append({ kind: 'finished', at: new Date().toISOString() });
  } catch (error) {
    await journal.close();
    throw await afterFailure(rollout, error);
  }
  await journal.close();
  await putAway(rollout, plan);
  await certify(rollout);
  return { plan: released, changed: true, durationMs: performance.now() - began, cutRequests: progress.cutRequests };
}

/** Applies the plan; a service that fails and whose file says `failure_action: continue` goes back alone. Answers the plan as it was carried out. */
async function applyOrLeave(world: World, plan: Plan, progress: Progress, journal: Journal<Entry>): Promise<Plan> {
  let current = plan;
  let steps = plan.steps;
  for (;;) {
    try {
      await applySteps(world, current, steps, progress, journal);
      return current;
    } catch (error) {
      const failed = progress.step ?? '';
      const service = serviceToLeave(current, world.project, failed, error);
      const unfinished = service === undefined ? undefined : await readUnfinished(world.stateFolder, world.project.name);
      if (service === undefined || !unfinished) throw error;
      const back = planLeave(unfinished, service, await undoSituation(world));
      if (!back) throw error;
      const why = (error as Failure).message;
      await journal.append({ kind: 'left', at: new Date().toISOString(), service, why });
      world.report({ kind: 'warning', text: `${service} stays as it was (failure_action: continue): ${why}` });
      for (const line of (error as Failure).details) world.report({ kind: 'output', source: service, text: line });
      const rest = withoutService(current, service, why);
      await applySteps(world, rest, back, { ...noProgress(progress.created), tolerated: progress.tolerated }, journal);
      steps = stepsAfter(current, failed, rest);
      current = rest;
    }
  }
}

/** Certificates for hosts that are new; one that cannot be had is said and tried again by the agent, the release stands. */
async function certify({ project, edge, stateFolder, report, signal }: Rollout): Promise<void> {
  if (!Object.values(project.services).some((service) => service.edge.some(({ tls }) => tls !== 'none'))) return;
  const { obtainCertificates } = await import('../edge/certificates/obtain.ts');
  const results = await obtainCertificates(edge, await edge.read(), { stateFolder, report, signal });
  for (const { host, failure } of results)
    if (failure)
      report({ kind: 'warning', text: `${host} has no certificate yet: ${failure.message}${failure.next ? `; ${failure.next}` : ''}` });
}

/** Takes a failed release back, or leaves it for inspection where the file says so, and answers the error to throw. */
async function afterFailure(rollout: Rollout, error: unknown): Promise<unknown> {
  const unfinished = await readUnfinished(rollout.stateFolder, rollout.project.name);
  const committed = unfinished?.begun.has('commit') ?? false;
  if (!unfinished || committed) return committed ? explainCommitted(error) : error;
  // The release is undone even when the person who started it wants to leave.
  const calm: Rollout = { ...rollout, signal: new AbortController().signal };
  const why = error instanceof Error ? error.message : String(error);
  rollout.report({ kind: 'note', text: `release ${unfinished.plan.release} failed; taking it back` });
  try {
    const inspect = error instanceof Failure ? servicesToInspect(unfinished.plan, rollout.project) : undefined;
    const left = await undoRelease(calm, unfinished, why, inspect);
    return withOutcome(error, left, unfinished.plan);
  } catch (second) {
    return new Failure('RECOVERY_FAILED', `the release failed (${why}) and could not be taken back: ${(second as Error).message}`, {
      details: error instanceof Failure ? error.details : [],
      next: 'composure recover',
      cause: second,
    });
  }
}

function explainCommitted(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  return new Failure('RECOVERY_FAILED', `the new release serves, but the command did not finish: ${error.message}`, {
    next: 'composure recover finishes it',
    cause: error,
  });
}

function withOutcome(error: unknown, outcome: string, plan: Plan): unknown {
  if (error instanceof Failure) {
    return new Failure(error.code, `${error.message}`, {
      ...(error.where ? { where: error.where } : {}),
      details: [...error.details, outcome],
      next: error.next ?? 'put right what is said above and deploy again',
      cause: error,
    });
  }
  if (error instanceof Error && error.name === 'AbortError')
    return new Failure('INTERRUPTED', `release ${plan.release} was interrupted`, { details: [outcome] });
  return error;
}
