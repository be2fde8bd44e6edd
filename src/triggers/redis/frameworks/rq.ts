import type { WorkerReading } from '../../model.ts';
import { type LayoutOptions, numberOf, type QueueLayout, textsOf } from './model.ts';

/**
 * RQ. `rq:queue:Q` (list) holds what is ready, `rq:queue:Q:intermediate` what a worker has just taken, `rq:wip:Q` (by the time at which a
 * job counts as abandoned) what runs, `rq:scheduled:Q` (by seconds) what is due later; `rq:workers:Q` names the workers, each a hash.
 * Due jobs are moved by workers that were started with a scheduler.
 */
export function openRq({ queue }: LayoutOptions): QueueLayout {
  const ready = `rq:queue:${queue}`;
  const scheduled = `rq:scheduled:${queue}`;
  return {
    async read(asking, nowMs) {
      const now = nowMs / 1000;
      const [listed, taken, running, due, next, names] = await asking.together([
        ['LLEN', ready],
        ['LLEN', `${ready}:intermediate`],
        ['ZCOUNT', `rq:wip:${queue}`, now, '+inf'],
        ['ZCOUNT', scheduled, '-inf', now],
        ['ZRANGEBYSCORE', scheduled, `(${now}`, '+inf', 'WITHSCORES', 'LIMIT', 0, 1],
        ['SMEMBERS', `rq:workers:${queue}`],
      ]);
      const workers = textsOf(names);
      const hashes = workers.length
        ? await asking.together(workers.map((name) => ['HMGET', name, 'hostname', 'ip_address', 'state'] as const))
        : [];
      const [, nextDue] = textsOf(next);
      return {
        queue: {
          waiting: numberOf(listed) + numberOf(due),
          active: numberOf(taken) + numberOf(running),
          ...(nextDue ? { nextDueMs: Math.round(Number(nextDue) * 1000) } : {}),
        },
        workers: hashes.flatMap((answer) => workerOf(textsOf(answer))),
      };
    },
  };
}

/** A name whose hash has expired is a worker that died. `ip_address` is written by newer versions, or is "unknown". */
function workerOf([hostname, address, state]: string[]): WorkerReading[] {
  if (!state) return [];
  return [
    {
      ...(hostname ? { hostname } : {}),
      ...(address && address !== 'unknown' ? { address } : {}),
      busy: state !== 'idle',
    },
  ];
}
