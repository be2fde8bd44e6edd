import { rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { type Docker, EngineError } from '../../docker/api.ts';
import { buildImage } from '../../docker/images.ts';
import { Failure } from '../../kit/errors.ts';
import type { Report } from '../../kit/events.ts';
import { storageFailure, syncFolder, writeFileDurably } from '../../kit/files.ts';
import { packageFolder } from '../../kit/package.ts';
import { run } from '../../kit/spawn.ts';
import { waitFor } from '../../kit/wait.ts';
import { readAgentStatus } from '../../state/agent.ts';
import type { InstallPlan, InstallStep } from './model.ts';
import { ensureStateFolder } from './observe.ts';
import { agentDockerfile } from './package.ts';
import { describeInstallStep } from './plan.ts';

export interface InstallWorld {
  docker: Docker;
  state: string;
  report: Report;
  /** How long the agent may take until it says that it runs. */
  startMs?: number;
}

const START_MS = 30_000;

/** Carries out the steps. Each may be repeated: what was done already is found done. */
export async function applyInstallPlan(world: InstallWorld, plan: InstallPlan): Promise<void> {
  const began = new Date().toISOString();
  if (plan.action === 'install') await ensureStateFolder(world.state);
  for (const step of plan.steps) {
    if (step.kind === 'build-image') {
      await buildImage(step.image, packageFolder(), agentDockerfile(), world.report);
      continue;
    }
    const start = performance.now();
    world.report({ kind: 'step-start', step: step.kind, text: describeInstallStep(step) });
    try {
      await applyStep(world, plan, step, began);
    } catch (error) {
      world.report({ kind: 'step-failed', step: step.kind, text: (error as Error).message, ms: performance.now() - start });
      throw error;
    }
    world.report({ kind: 'step-done', step: step.kind, text: '', ms: performance.now() - start });
  }
}

async function applyStep(world: InstallWorld, plan: InstallPlan, step: InstallStep, began: string): Promise<void> {
  const { docker } = world;
  switch (step.kind) {
    case 'write-unit':
      // systemd and its users read units; there is no secret in one.
      return writeFileDurably(step.path, step.text, 0o644);
    case 'remove-unit':
      try {
        await rm(step.path, { force: true });
        await syncFolder(dirname(step.path));
      } catch (error) {
        throw storageFailure(error, step.path);
      }
      return;
    case 'systemctl':
      return systemctl(step.args);
    case 'create-container':
      return startContainer(docker, step.name, step.spec);
    case 'remove-container':
      if (await docker.findContainer(step.id)) await docker.stopContainer(step.id);
      return docker.removeContainer(step.id, { force: true });
    case 'remove-image':
      return removeImage(world, step.image);
    case 'await-agent':
      return awaitAgent(world, plan, began);
    case 'build-image':
      return;
    default:
      return step satisfies never;
  }
}

async function systemctl(args: string[]): Promise<void> {
  const result = await run('systemctl', args, { timeoutMs: 120_000 });
  if (result.code === 0) return;
  throw new Failure('COMMAND_FAILED', `systemctl ${args.join(' ')} ended with code ${result.code}`, {
    details: `${result.stdout}\n${result.stderr}`.trim().split('\n').slice(-8),
    next: 'put right what systemd complains about, then run the command again: it goes on from here',
  });
}

async function startContainer(docker: Docker, name: string, spec: object): Promise<void> {
  try {
    const { Id } = await docker.createContainer(name, spec);
    await docker.startContainer(Id);
  } catch (error) {
    if (!(error instanceof EngineError)) throw error;
    if (error.status === 404)
      throw new Failure('IMAGE_UNAVAILABLE', `the agent's image is not on this machine`, {
        where: (spec as { Image: string }).Image,
        details: [error.message],
        next: 'docker pull it first, or leave out --image: then it is built from this package',
        cause: error,
      });
    throw new Failure('AGENT_FAILED', `the agent's container did not start`, {
      where: name,
      details: [error.message],
      next: 'put right what Docker complains about, then run the command again',
      cause: error,
    });
  }
}

/** An image that another container runs from stays: it is that one's. */
async function removeImage({ docker, report }: InstallWorld, image: string): Promise<void> {
  try {
    if (await docker.findImage(image)) await docker.removeImage(image);
  } catch (error) {
    if (!(error instanceof EngineError && error.status === 409)) throw error;
    report({ kind: 'note', text: `the image ${image} stays: another container uses it` });
  }
}

async function awaitAgent(world: InstallWorld, plan: InstallPlan, began: string): Promise<void> {
  const { state, docker } = world;
  const up = await waitFor(
    async () => {
      const found = await readAgentStatus(state);
      return found?.running && found.status.form === plan.form && found.status.at >= began ? true : undefined;
    },
    { everyMs: 50, timeoutMs: world.startMs ?? START_MS },
  );
  if (up) return;
  const details =
    plan.form === 'container'
      ? await docker.logTail(plan.name, 15).catch(() => [])
      : (await run('journalctl', ['--unit', `${plan.name}.service`, '--lines', '15', '--no-pager', '--output', 'cat'])).stdout
          .trim()
          .split('\n');
  throw new Failure('AGENT_FAILED', 'the agent was started and does not say that it runs', {
    where: plan.name,
    details,
    next: 'composure agent logs says more; composure agent uninstall takes it away again',
  });
}
