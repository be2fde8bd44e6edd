import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { readFileIfThere, writeFileDurably } from '../kit/files.ts';
import { projectFolder } from '../state/folder.ts';
import { stopGently } from './containers.ts';
import type { World } from './world.ts';

/** New containers of a failed release that run on without requests, because `failure_action: pause` wants them looked at. */
export interface Inspected {
  release: number;
  containers: string[];
}

const pathOf = (state: string, project: string): string => join(projectFolder(state, project), 'inspect.json');

export async function readInspected(state: string, project: string): Promise<Inspected | undefined> {
  const text = await readFileIfThere(pathOf(state, project));
  return text === undefined ? undefined : (JSON.parse(text) as Inspected);
}

export async function keepForInspection({ stateFolder, project }: World, inspected: Inspected): Promise<void> {
  const earlier = await readInspected(stateFolder, project.name);
  const containers = [...new Set([...(earlier?.containers ?? []), ...inspected.containers])];
  await writeFileDurably(pathOf(stateFolder, project.name), JSON.stringify({ ...inspected, containers }));
}

/** The next release clears them away; they are in no route, so nobody notices. */
export async function removeInspected({ stateFolder, project, docker, report }: World): Promise<void> {
  const inspected = await readInspected(stateFolder, project.name);
  if (!inspected) return;
  for (const id of inspected.containers) {
    await stopGently(docker, id);
    if (await docker.findContainer(id)) await docker.removeContainer(id);
  }
  await rm(pathOf(stateFolder, project.name), { force: true });
  report({
    kind: 'note',
    text: `removed ${inspected.containers.length} containers that release ${inspected.release} had left for inspection`,
  });
}
