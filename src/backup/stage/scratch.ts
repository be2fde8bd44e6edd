import type { Docker } from '../../docker/api.ts';
import { OURS } from '../../docker/labels.ts';
import { waitFor } from '../../kit/wait.ts';
import { isAlive, ownIdentity, type ProcessIdentity } from '../../state/process.ts';

const REMOVAL_MS = 30_000;

/**
 * Labels for what is made only to look at data. By the process in them, whoever comes later tells what a dead one left from what is at work.
 * `kept` is a project's name where a person asked to keep things for a look: then they stay until they are removed by their id.
 */
export function scratchLabels(id: string, kept?: string): Record<string, string> {
  const { pid, startTicks, bootId } = ownIdentity();
  return {
    [OURS.scratch]: id,
    [OURS.scratchOwner]: `${pid} ${startTicks} ${bootId}`,
    ...(kept === undefined ? {} : { [OURS.scratchKept]: kept }),
  };
}

/** Whether nobody will remove it but who finds it. Pure but for the look at the process. */
export function isLeftOver(labels: Record<string, string> | null, alive: (owner: ProcessIdentity) => boolean = isAlive): boolean {
  if (!labels?.[OURS.scratch] || labels[OURS.scratchKept] !== undefined) return false;
  const [pid = '', startTicks = '', bootId = ''] = (labels[OURS.scratchOwner] ?? '').split(' ');
  return !alive({ pid: Number(pid), startTicks, bootId });
}

/** Removes the containers, networks and volumes of one scratch id; nothing without its label. Answers how many things that were. */
export const removeScratch = (docker: Docker, id: string): Promise<number> => removeWhere(docker, (labels) => labels[OURS.scratch] === id);

/** Removes what dead processes left, of any project. */
export const removeLeftOvers = (docker: Docker): Promise<number> => removeWhere(docker, (labels) => isLeftOver(labels));

/** The ids of what was kept for a look, of a project. */
export async function keptScratch(docker: Docker, project: string): Promise<string[]> {
  const volumes = await docker.listVolumes();
  const containers = await docker.listContainers([`${OURS.scratchKept}=${project}`]);
  const labels = [...volumes.map(({ Labels }) => Labels ?? {}), ...containers.map(({ Labels }) => Labels)];
  return [
    ...new Set(labels.flatMap((one) => (one[OURS.scratchKept] === project && one[OURS.scratch] ? [one[OURS.scratch] ?? ''] : []))),
  ].sort();
}

/** Somebody else may be at the same: commands of other projects clear away too. */
async function removeWhere(docker: Docker, isMeant: (labels: Record<string, string>) => boolean): Promise<number> {
  const containers = (await docker.listContainers([OURS.scratch])).filter(({ Labels }) => isMeant(Labels));
  await Promise.all(containers.map(({ Id }) => removeWhole(docker, Id)));
  const networks = (await docker.listNetworks([OURS.scratch])).filter(({ Labels }) => isMeant(Labels));
  for (const { Id } of networks) await docker.removeNetwork(Id);
  const volumes = (await docker.listVolumes()).filter(({ Labels }) => Labels?.[OURS.scratch] !== undefined && isMeant(Labels));
  for (const { Name } of volumes) await docker.removeVolume(Name);
  return containers.length + networks.length + volumes.length;
}

/** A container that is being removed still holds its networks and volumes. */
async function removeWhole(docker: Docker, container: string): Promise<void> {
  await docker.removeContainer(container, { force: true });
  await waitFor(async () => ((await docker.findContainer(container)) ? undefined : true), { everyMs: 50, timeoutMs: REMOVAL_MS });
}
