import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { sleep } from '../kit/wait.ts';
import { readWorkerMarks, unmarkWorker } from '../state/workers.ts';
import { type Docker, EngineError } from './api.ts';

/** How long a container that is marked and not paused is given: the agent marks first and pauses then. */
const SETTLE_MS = 400;

/**
 * Thaws every container that the autoscaler froze, of one project or of all: Compose refuses to touch a project with a paused container,
 * and a paused container must not outlive the agent. A command that holds the project's lock may rely on it: the agent freezes nothing
 * more until the lock is free. Returns the ids that were thawed; repeating it is harmless.
 */
export async function thawFrozen(docker: Pick<Docker, 'unpauseContainer'>, stateFolder: string, project?: string): Promise<string[]> {
  const projects = project === undefined ? await readdir(join(stateFolder, 'projects')).catch(() => [] as string[]) : [project];
  const thawed = await Promise.all(projects.map((name) => thawProject(docker, stateFolder, name)));
  return thawed.flat();
}

async function thawProject(docker: Pick<Docker, 'unpauseContainer'>, stateFolder: string, project: string): Promise<string[]> {
  const frozen = [...(await readWorkerMarks(stateFolder, project))].flatMap(([id, mark]) => (mark.kind === 'frozen' ? [id] : []));
  const thawed = await Promise.all(
    frozen.map(async (id) => {
      const deadline = performance.now() + SETTLE_MS;
      let answer = await unpause(docker, id);
      while (answer === 'not paused' && performance.now() < deadline) {
        await sleep(50);
        if (!(await readWorkerMarks(stateFolder, project)).has(id)) return [];
        answer = await unpause(docker, id);
      }
      await unmarkWorker(stateFolder, project, id);
      return answer === 'thawed' ? [id] : [];
    }),
  );
  return thawed.flat();
}

/** Gone and not running count as not frozen. */
export async function unpause(docker: Pick<Docker, 'unpauseContainer'>, id: string): Promise<'thawed' | 'not paused' | 'gone'> {
  try {
    await docker.unpauseContainer(id);
    return 'thawed';
  } catch (error) {
    if (!(error instanceof EngineError)) throw error;
    if (error.status === 404) return 'gone';
    if (/not paused|not running/i.test(error.message)) return 'not paused';
    throw error;
  }
}
