import { Failure } from '../../kit/errors.ts';
import type { Project } from '../../project/model.ts';
import { checkServices } from '../../rollout/checks.ts';
import { agentLockPath } from '../../state/agent.ts';
import { stateFolder } from '../../state/folder.ts';
import { readLock } from '../../state/lock.ts';
import { asked, changeWishes, readWishes, type Wishes } from '../../state/wishes.ts';
import type { ProjectFlags } from '../flags.ts';
import type { Io } from '../io.ts';

/** A floor for a service's count, or undefined: the autoscaler alone decides again. */
export interface Floor {
  service: string;
  replicas: number | undefined;
}

/** "worker=2" and "worker=auto". Failure USAGE on anything else. */
export function readFloors(words: string[]): Floor[] {
  return words.map((word) => {
    const [, service = '', count = ''] = /^([a-zA-Z0-9._-]+)=(\d{1,6}|auto)$/.exec(word) ?? [];
    if (service === '')
      throw new Failure('USAGE', `"${word}" is not a service with its count`, {
        next: 'write for example worker=2, or worker=auto to leave the count to the autoscaler again',
      });
    return { service, replicas: count === 'auto' ? undefined : Number(count) };
  });
}

/** The floors can be held: each service is scaled, and none is asked for more than its maximum. */
export function checkFloors(project: Project, floors: Floor[]): void {
  checkServices(
    project,
    floors.map(({ service }) => service),
  );
  for (const { service, replicas = 0 } of floors) {
    const spec = project.services[service]?.autoscale;
    if (!spec)
      throw new Failure('CONFIG_INVALID', `${service} has no x-autoscale: its count is deploy.replicas`, {
        where: project.places?.[service]?.service ?? service,
        next: `change deploy.replicas of ${service} in the compose file and run composure deploy`,
      });
    if (spec.max !== undefined && replicas > spec.max)
      throw new Failure('CONFIG_INVALID', `${replicas} of ${service} are more than its maxReplicaCount, ${spec.max}`, {
        where: project.places?.[service]?.['x-autoscale'] ?? service,
        next: `ask for at most ${spec.max}, or raise maxReplicaCount and run composure deploy`,
      });
  }
}

export function withFloors(wishes: Wishes, floors: Floor[], by: { by: string; at: string }): Wishes {
  const scale = { ...wishes.scale };
  for (const { service, replicas } of floors) {
    if (replicas === undefined) delete scale[service];
    else scale[service] = { ...by, replicas };
  }
  return { ...wishes, scale };
}

/** Nothing is started or stopped here: the agent follows what is written down, and keeps to the host's budget and to safe scale-down. */
export async function scaleCommand(
  io: Io,
  words: string[],
  flags: ProjectFlags & { dryRun?: boolean },
  loading: Promise<Project>,
): Promise<void> {
  const floors = readFloors(words);
  const project = await loading;
  checkFloors(project, floors);
  const state = stateFolder(io.env);
  const [before, agent] = await Promise.all([readWishes(state, project.name), readLock(agentLockPath(state))]);
  const wishes = flags.dryRun
    ? withFloors(before, floors, asked())
    : await changeWishes(state, project.name, (present) => withFloors(present, floors, asked()));
  if (flags.json) {
    io.stdout(
      `${JSON.stringify({ project: project.name, dryRun: flags.dryRun ?? false, agent: agent !== undefined, scale: wishes.scale })}\n`,
    );
    return;
  }
  for (const { service, replicas } of floors) io.stdout(`${describeFloor(service, replicas, before, flags.dryRun)}\n`);
  if (!agent)
    io.stdout(
      'no agent runs on this host, so nothing follows this yet: composure agent install brings one (composure agent runs one here)\n',
    );
}

function describeFloor(service: string, replicas: number | undefined, before: Wishes, dryRun: boolean | undefined): string {
  const would = dryRun ? 'would have' : 'has';
  if (replicas !== undefined) return `${service} ${would} at least ${replicas} until composure scale ${service}=auto`;
  const released = before.scale[service];
  if (!released) return `${service} is the autoscaler's alone already`;
  return `${service} ${dryRun ? 'would be' : 'is'} the autoscaler's alone again (${released.by} had asked for at least ${released.replicas})`;
}
