import type { WorkerReading } from '../../model.ts';
import { type LayoutOptions, numberOf, type QueueLayout, textsOf } from './model.ts';

/** The low bits of a delayed job's score keep the order within a millisecond. */
const SCORE_PER_MS = 4096;

/**
 * BullMQ. `bull:Q:wait` (list) and `bull:Q:prioritized` hold what is ready, `bull:Q:active` what runs, `bull:Q:delayed` (by milliseconds
 * times 4096) what is due later; nothing is taken while `bull:Q:meta` has `paused` (before version 6, `bull:Q:paused` then holds
 * what waits). A worker's connection is named `bull:<queue in base64>`, and `:w:<name>` when the worker has one; a job that runs names
 * the worker in `pb`. So workers that have names of their own, best their host names, are told apart; others only while nothing runs.
 */
export function openBullmq({ queue, keyPrefix = 'bull' }: LayoutOptions): QueueLayout {
  const key = (name: string) => `${keyPrefix}:${queue}:${name}`;
  const clientName = `${keyPrefix}:${Buffer.from(queue).toString('base64')}`;
  return {
    async read(asking, nowMs) {
      // Only what is due before the next millisecond begins.
      const cutoff = (Math.floor(nowMs) + 1) * SCORE_PER_MS;
      const [clients, answers] = await Promise.all([
        asking.alone(['CLIENT', 'LIST', 'TYPE', 'normal']),
        asking.together([
          ['HEXISTS', key('meta'), 'paused'],
          ['LLEN', key('wait')],
          ['LINDEX', key('wait'), -1],
          ['ZCARD', key('prioritized')],
          ['ZCOUNT', key('delayed'), '-inf', `(${cutoff}`],
          ['ZRANGEBYSCORE', key('delayed'), cutoff, '+inf', 'WITHSCORES', 'LIMIT', 0, 1],
          ['LLEN', key('active')],
          ['SORT', key('active'), 'BY', 'nosort', 'GET', `${key('*')}->pb`],
        ]),
      ]);
      const [paused, wait, tail, prioritized, due, next, active, holders] = answers;
      // Versions before 5 wake their workers with an entry that is no job.
      const marker = typeof tail === 'string' && tail.startsWith('0:') ? 1 : 0;
      const waiting = numberOf(paused) ? 0 : numberOf(wait) - marker + numberOf(prioritized) + numberOf(due);
      const [, nextDue] = textsOf(next);
      const workers =
        typeof clients === 'string' && !(holders instanceof Error) ? workersOf(clients, clientName, textsOf(holders)) : undefined;
      return {
        queue: {
          waiting,
          active: numberOf(active),
          ...(nextDue && !numberOf(paused) ? { nextDueMs: Math.floor(Number(nextDue) / SCORE_PER_MS) } : {}),
        },
        ...(workers ? { workers } : {}),
      };
    },
  };
}

/**
 * `holders`: the worker's name of each job that runs; empty where the worker has none. One process may have several workers: it is busy
 * when one of them is, and unknown when nothing is known of one of them.
 */
export function workersOf(clientList: string, clientName: string, holders: string[]): WorkerReading[] {
  const named = `${clientName}:w:`;
  const byProcess = new Map<string, WorkerReading | undefined>();
  for (const line of clientList.split('\n')) {
    const connection = /(?:^| )name=(\S*)/.exec(line)?.[1] ?? '';
    if (connection !== clientName && !connection.startsWith(named)) continue;
    const address = / addr=(\S+):\d+(?: |$)/.exec(line)?.[1]?.replace(/^\[|\]$/g, '');
    const hostname = connection.slice(named.length);
    const process = `${address} ${hostname}`;
    const isUnknown = hostname === '' && holders.includes('');
    if (isUnknown || (byProcess.has(process) && !byProcess.get(process))) {
      byProcess.set(process, undefined);
      continue;
    }
    byProcess.set(process, {
      ...(hostname ? { hostname } : {}),
      ...(address ? { address } : {}),
      busy: hostname !== '' && holders.includes(hostname),
    });
  }
  return [...byProcess.values()].filter((worker) => worker !== undefined);
}
