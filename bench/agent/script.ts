import type { Redis } from 'ioredis';
import { sleep } from '../../src/kit/wait.ts';
import type { ScenarioProject } from '../../test/support/scenario.ts';
import { must } from '../support/must.ts';

export interface PollingScript {
  /** Resolves right after a look that found nothing to do and no worker left. */
  idle(): Promise<void>;
  stop(): Promise<void>;
}

/**
 * What a scaling script in use does: ask for the length of the list every so often, `docker compose up -d --scale <service>=1` when something
 * waits, and `=0` when nothing does.
 */
export function startScript(project: ScenarioProject, redis: Redis, service: string, everyMs: number): PollingScript {
  const stopping = new AbortController();
  const waiting: (() => void)[] = [];
  const scale = (count: number) =>
    must('docker', ['compose', 'up', '-d', '--no-deps', '--scale', `${service}=${count}`, service], { cwd: project.folder });
  const done = (async () => {
    let running = 0;
    while (!stopping.signal.aborted) {
      const wanted = (await redis.llen(`bull:${service}:wait`)) > 0 ? 1 : 0;
      if (wanted !== running) await scale(wanted);
      else if (running === 0) for (const told of waiting.splice(0)) told();
      running = wanted;
      await sleep(everyMs, undefined, { signal: stopping.signal }).catch(() => {});
    }
  })();
  return {
    idle: () => new Promise((resolve) => waiting.push(resolve)),
    stop: async () => {
      stopping.abort();
      await done;
    },
  };
}
