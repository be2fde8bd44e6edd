import type { Docker } from '../docker/api.ts';
import type { Edge, EdgeProject } from '../edge/model.ts';
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
    // What is joined first gets its place in the next round, together with the removal of what it replaces.
    const joined = await joinAll(world, joins);
    if (joined === 0) await world.edge.change((state) => applyFollow(state, moves));
    done.push(...(joined > 0 ? joins : moves));
    if (joined === 0) break;
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

/** How many of them are on their network now. */
async function joinAll({ docker, edge, report }: World, joins: Extract<FollowChange, { kind: 'join' }>[]): Promise<number> {
  let joined = 0;
  for (const { project: name, container } of joins) {
    const project = (await edge.read()).projects[name];
    if (!project) continue;
    try {
      const { nextAddress } = await joinProjectNetwork(docker, project, container, reservedAddresses(project));
      if (nextAddress !== project.nextAddress)
        await edge.change((state) => withProject(state, name, (present) => ({ ...present, nextAddress })));
      joined++;
    } catch (error) {
      // It may have gone again in the meantime; the next event or look says so.
      report({
        kind: 'warning',
        text: `${name}: container ${container.slice(0, 12)} cannot join ${project.network.name}: ${(error as Error).message}`,
      });
    }
  }
  return joined;
}

const reservedAddresses = (project: EdgeProject): string[] =>
  Object.values(project.backends).flatMap((backend) => backend.servers.map((server) => server.address));
