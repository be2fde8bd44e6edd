import type { ScaledService } from '../../../autoscale/tiers.ts';
import { Failure } from '../../../kit/errors.ts';
import type { Project } from '../../../project/model.ts';
import { agentLockPath } from '../../../state/agent.ts';
import { stateFolder } from '../../../state/folder.ts';
import { readLock } from '../../../state/lock.ts';
import { asked, changeWishes, type PauseWish, readWishes, type Wishes } from '../../../state/wishes.ts';
import type { ProjectFlags } from '../../flags.ts';
import type { Io } from '../../io.ts';
import { chosenServices } from './chosen.ts';

export interface PauseFlags extends ProjectFlags {
  dryRun?: boolean;
  replicas?: number;
  scaleIn?: boolean;
  scaleOut?: boolean;
}

/** KEDA's four ways to pause. Failure USAGE for two that contradict each other. */
export function readPause({ replicas, scaleIn, scaleOut }: PauseFlags): Omit<PauseWish, 'by' | 'at'> {
  if (replicas !== undefined && (scaleIn || scaleOut))
    throw new Failure('USAGE', '--replicas fixes the count, so there is no scaling in or out left to pause', {
      next: 'give --replicas, or --scale-in, or --scale-out',
    });
  const oneWay = (scaleIn ?? false) !== (scaleOut ?? false);
  return {
    paused: !oneWay,
    ...(replicas === undefined ? {} : { pausedReplicas: replicas }),
    pausedScaleIn: oneWay && (scaleIn ?? false),
    pausedScaleOut: oneWay && (scaleOut ?? false),
  };
}

/** The agent keeps the count as it is, or goes to the given one, until `resume`. What the compose file says about pausing steps back. */
export async function autoscalePauseCommand(io: Io, names: string[], flags: PauseFlags, loading: Promise<Project>): Promise<void> {
  const pause = readPause(flags);
  await change(
    io,
    names,
    flags,
    await loading,
    (wishes, services) => ({
      ...wishes,
      pause: { ...wishes.pause, ...Object.fromEntries(services.map(({ name }) => [name, { ...asked(), ...pause }])) },
    }),
    (service) => `${service} ${describePause(pause)} until composure autoscale resume ${service}`,
  );
}

export async function autoscaleResumeCommand(io: Io, names: string[], flags: PauseFlags, loading: Promise<Project>): Promise<void> {
  await change(io, names, flags, await loading, withResumed, (service) => `${service} is scaled again`);
}

/** A pause that the file itself has is outvoted by a wish to the contrary; any other goes away without one. */
export function withResumed(wishes: Wishes, services: ScaledService[]): Wishes {
  const pause = { ...wishes.pause };
  for (const { name, autoscale } of services) {
    const { paused, pausedReplicas, pausedScaleIn, pausedScaleOut } = autoscale.pause;
    if (paused || pausedReplicas !== undefined || pausedScaleIn || pausedScaleOut)
      pause[name] = { ...asked(), paused: false, pausedScaleIn: false, pausedScaleOut: false };
    else delete pause[name];
  }
  return { ...wishes, pause };
}

async function change(
  io: Io,
  names: string[],
  flags: PauseFlags,
  project: Project,
  edit: (wishes: Wishes, services: ScaledService[]) => Wishes,
  describe: (service: string) => string,
): Promise<void> {
  const services = chosenServices(project, names);
  const state = stateFolder(io.env);
  const agent = await readLock(agentLockPath(state));
  const wishes = flags.dryRun
    ? edit(await readWishes(state, project.name), services)
    : await changeWishes(state, project.name, (present) => edit(present, services));
  if (flags.json) {
    io.stdout(
      `${JSON.stringify({ project: project.name, dryRun: flags.dryRun ?? false, agent: agent !== undefined, pause: wishes.pause })}\n`,
    );
    return;
  }
  if (services.length === 0) io.stdout(`no service of ${project.name} has x-autoscale\n`);
  for (const { name } of services) io.stdout(`${flags.dryRun ? 'would be asked: ' : ''}${describe(name)}\n`);
  if (!agent) io.stdout('no agent runs on this host, so nothing follows this yet: composure agent install brings one\n');
}

function describePause({ pausedReplicas, pausedScaleIn, pausedScaleOut }: Omit<PauseWish, 'by' | 'at'>): string {
  if (pausedReplicas !== undefined) return `is held at ${pausedReplicas}`;
  if (pausedScaleIn) return 'is not scaled in';
  return pausedScaleOut ? 'is not scaled out' : 'stays as it is';
}
