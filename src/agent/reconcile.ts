import type { Docker } from '../docker/api.ts';
import type { Edge, EdgeState } from '../edge/model.ts';
import { joinProjectNetwork } from '../edge/network.ts';
import { withProject } from '../edge/state.ts';
import type { Report } from '../kit/events.ts';
import { lockPath, readUnfinished } from '../rollout/journal.ts';
import { readLock } from '../state/lock.ts';
import { readReleases } from '../state/releases.ts';
import { applyFollow, type FollowChange, followed, formatFollow, planFollow } from './follow.ts';

interface World {
  stateFolder: string;
  docker: Docker;
  edge: Edge;
  report: Report;
}

/** How often the plan is made anew after joins; each round only has what the one before made possible. */
const ROUNDS = 3;

/** Looks at the containers of every project that the edge knows and brings the edge's servers in line with them. Repeating it is harmless. */
export async function reconcile(world: World): Promise<FollowChange[]> {
  const done: FollowChange[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const changes = await observeAndPlan(world);
    if (changes.length === 0) break;
    for (const line of formatFollow(changes).trim().split('\n')) world.report({ kind: 'note', text: line });
    const joins = changes.filter((change) => change.kind === 'join');
    const moves = changes.filter((change) => change.kind !== 'join');
    // One that is to be joined soon takes the place of one that is gone: both then change in one go, so that no request meets an empty backend needlessly.
    for (const join of joins) await joinOne(world, join);
    if (joins.length === 0) await world.edge.change((state) => applyFollow(state, moves));
    done.push(...(joins.length > 0 ? joins : moves));
  }
  return done;
}

async function observeAndPlan({ stateFolder, docker, edge }: World): Promise<FollowChange[]> {
  const state = await edge.read();
  const names = Object.keys(state.projects);
  if (names.length === 0) return [];
  const containers = followed(await docker.listContainers());
  // Asked last: a release that begins after the containers were listed is not disturbed by what it has not done yet.
  const [busy, retired] = await Promise.all([busyProjects(stateFolder, names), retiredContainers(stateFolder, names)]);
  return planFollow({ state, containers, busy, retired });
}

/** Projects that a command holds the lock of, or whose last release was broken off and is still to be recovered. */
async function busyProjects(stateFolder: string, names: string[]): Promise<Set<string>> {
  const busy = await Promise.all(
    names.map(
      async (name) =>
        (await readLock(lockPath(stateFolder, name))) !== undefined || (await readUnfinished(stateFolder, name)) !== undefined,
    ),
  );
  return new Set(names.filter((_, index) => busy[index]));
}

/** Containers that only older releases than the newest one name. */
async function retiredContainers(stateFolder: string, names: string[]): Promise<Set<string>> {
  const retired = new Set<string>();
  for (const name of names) {
    const containers = (await readReleases(stateFolder, name)).map((release) =>
      Object.values(release.services).flatMap((service) => service.containers),
    );
    for (const id of containers.slice(0, -1).flat()) if (!containers.at(-1)?.includes(id)) retired.add(id);
  }
  return retired;
}

async function joinOne({ docker, edge, report }: World, { project: name, container }: FollowChange & { kind: 'join' }): Promise<void> {
  const project = (await edge.read()).projects[name];
  if (!project) return;
  try {
    const { nextAddress } = await joinProjectNetwork(docker, project, container, reservedAddresses(project));
    if (nextAddress !== project.nextAddress)
      await edge.change((state) => withProject(state, name, (present) => ({ ...present, nextAddress })));
  } catch (error) {
    // It may have gone again in the meantime; the next event or look says so.
    report({
      kind: 'warning',
      text: `${name}: container ${container.slice(0, 12)} could not be joined to ${project.network.name}: ${(error as Error).message}`,
    });
  }
}

const reservedAddresses = (project: EdgeState['projects'][string]): string[] =>
  Object.values(project.backends).flatMap((backend) => backend.servers.map((server) => server.address));
