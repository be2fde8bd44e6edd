import { sleep } from '../../src/kit/wait.ts';
import type { ScenarioProject } from '../../test/support/scenario.ts';
import type { Queues } from './queues.ts';

const EVERY_MS = 10_000;

/** What is written by hand today: look at the queue each 10 s and scale with Compose. Answers what one job waits that comes at any moment; ms. */
export async function pollingScript(project: ScenarioProject, queues: Queues, service: string): Promise<number> {
  let over = false;
  const scale = (count: number) => project.compose(['up', '-d', '--no-deps', '--no-recreate', '--scale', `${service}=${count}`, service]);
  const loop = (async () => {
    for (;;) {
      if (over) return;
      if ((await queues.waiting(service)) > 0) await scale(1);
      for (let waited = 0; waited < EVERY_MS && !over; waited += 100) await sleep(100);
    }
  })();
  try {
    await sleep(Math.random() * EVERY_MS);
    return (await queues.run(service)).waitedMs;
  } finally {
    over = true;
    await loop;
    await project.compose(['rm', '--stop', '--force', service]);
  }
}
