import type { WorkerReading } from '../../model.ts';
import type { Asking } from '../link.ts';
import { json, type LayoutOptions, numberOf, type QueueLayout, textsOf } from './model.ts';

/** Delayed jobs of all queues are in one set: so many of it are looked through for this queue's. */
const LOOKED_THROUGH = 1000;

/**
 * Sidekiq. `queue:Q` (list) holds what is ready; `schedule` and `retry` (by seconds, all queues together) what is due later, which is moved
 * by a process that runs. `processes` names the processes: each has a hash, with the host name in `info`, and `<process>:work`, a
 * hash of the jobs that its threads run. Both are written every 10 s, so that `active` and `busy` are up to that old.
 */
export function openSidekiq({ queue, keyPrefix }: LayoutOptions): QueueLayout {
  const key = (name: string) => (keyPrefix ? `${keyPrefix}:${name}` : name);
  return {
    async read(asking, nowMs) {
      const now = nowMs / 1000;
      const delayed = (['schedule', 'retry'] as const).map(key);
      const [ready, names, ...sets] = await asking.together([
        ['LLEN', key(`queue:${queue}`)],
        ['SMEMBERS', key('processes')],
        ...delayed.flatMap((set) => [
          ['ZRANGEBYSCORE', set, '-inf', now, 'LIMIT', 0, LOOKED_THROUGH] as const,
          ['ZRANGEBYSCORE', set, `(${now}`, '+inf', 'WITHSCORES', 'LIMIT', 0, LOOKED_THROUGH] as const,
        ]),
      ]);
      const due = [sets[0], sets[2]].flatMap(textsOf).filter((job) => queueOf(job) === queue).length;
      const next = [sets[1], sets[3]].flatMap((answer) => nextOf(textsOf(answer), queue));
      const { active, workers } = await processes(asking, textsOf(names).map(key), queue);
      return {
        queue: {
          waiting: numberOf(ready) + due,
          active,
          ...(next.length ? { nextDueMs: Math.round(Math.min(...next) * 1000) } : {}),
        },
        workers,
      };
    },
  };
}

async function processes(asking: Asking, names: string[], queue: string): Promise<{ active: number; workers: WorkerReading[] }> {
  if (names.length === 0) return { active: 0, workers: [] };
  const answers = await asking.together(
    names.flatMap((name) => [['HMGET', name, 'info', 'busy'] as const, ['HVALS', `${name}:work`] as const]),
  );
  let active = 0;
  const workers: WorkerReading[] = [];
  for (let index = 0; index < answers.length; index += 2) {
    const [info = '', busy] = textsOf(answers[index]);
    const jobs = textsOf(answers[index + 1]);
    active += jobs.filter((job) => queueOf(job) === queue).length;
    const about = json(info) as { hostname?: string; queues?: string[] } | undefined;
    // Its hash expires a minute after a process died.
    if (!about?.hostname || !about.queues?.includes(queue)) continue;
    workers.push({ hostname: about.hostname, busy: Number(busy) > 0 || jobs.length > 0 });
  }
  return { active, workers };
}

function queueOf(job: string): string | undefined {
  return (json(job) as { queue?: string } | undefined)?.queue;
}

/** The time of the first of these jobs, with their scores, that is of the queue. */
function nextOf(jobsAndScores: string[], queue: string): number[] {
  for (let index = 0; index < jobsAndScores.length; index += 2)
    if (queueOf(jobsAndScores[index] ?? '') === queue) return [Number(jobsAndScores[index + 1])];
  return [];
}
