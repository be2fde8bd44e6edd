import { rm } from 'node:fs/promises';
import type { Docker } from '../docker/api.ts';
import { type EdgeContainer, listEdgeContainers } from '../edge/container.ts';
import { servingGeneration } from '../edge/observe.ts';
import { runFolder } from '../edge/socket.ts';

/** Edge containers of earlier generations that have finished their streams. While no generation serves, none is taken away. */
export function finishedGenerations(containers: EdgeContainer[], serving: number | undefined): EdgeContainer[] {
  if (serving === undefined) return [];
  return containers.filter(({ generation, state }) => generation < serving && (state === 'exited' || state === 'dead'));
}

/** Removes what an upgrade of the edge left behind; says what. */
export async function removeFinishedGenerations(docker: Docker, stateFolder: string): Promise<string[]> {
  const containers = await listEdgeContainers(docker, stateFolder);
  if (containers.length < 2) return [];
  const finished = finishedGenerations(containers, await servingGeneration(stateFolder));
  for (const container of finished) {
    await docker.removeContainer(container.id);
    await rm(runFolder(stateFolder, container.generation), { recursive: true, force: true });
  }
  return finished.map(({ name }) => name);
}
