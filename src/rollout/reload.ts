import { Failure } from '../kit/errors.ts';
import { waitFor } from '../kit/wait.ts';
import type { World } from './world.ts';

/** How long processes that worked before a reload may go on taking requests before the release goes on all the same. */
const HANDOVER_MS = 5000;

/**
 * Tells a reverse proxy to read its configuration anew and waits until none of its earlier workers takes requests any more:
 * a reload is only a signal, and until it is heard the proxy goes on to use the addresses that it knows.
 */
export async function reloadProxy(world: World, service: string, id: string, command: string[]): Promise<void> {
  const before = (await processes(world, id)).slice(1).map(({ pid }) => pid);
  const result = await world.docker.exec(id, command);
  if (result.code !== 0)
    throw new Failure('RELEASE_FAILED', `${command.join(' ')} failed in ${service}`, {
      where: service,
      details: result.output.trim().split('\n').slice(-5),
    });
  await waitFor(
    async () => {
      const working = (await processes(world, id)).filter(({ title }) => !/shutting down|<defunct>/.test(title));
      return working.some(({ pid }) => before.includes(pid)) ? undefined : true;
    },
    { everyMs: 40, timeoutMs: HANDOVER_MS, signal: world.signal },
  );
}

/** The first one is the container's own; none where the engine cannot list them. */
const processes = (world: World, id: string): Promise<{ pid: string; title: string }[]> => world.docker.processes(id).catch(() => []);
