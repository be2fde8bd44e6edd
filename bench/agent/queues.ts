import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import { openDocker } from '../../src/docker/api.ts';
import { COMPOSE } from '../../src/docker/labels.ts';
import { sleep } from '../../src/kit/wait.ts';
import type { ScenarioProject } from '../../test/support/scenario.ts';
import { BURST, BURST_LIST } from './tiers.ts';

export type Queues = Awaited<ReturnType<typeof openQueues>>;

const PATIENCE_MS = 60_000;
/** What stands ready of a service when nothing is to do. */
const REST: Record<string, string[]> = { frozen: ['paused'], stopped: ['exited'], none: [], burst: [], script: [] };

/** The measured project's queues as this process reaches them. Workers write into Redis when a job's own code begins, by the host's clock. */
export async function openQueues(project: ScenarioProject) {
  const [container] = await project.containers('redis');
  const info = await project.inspect(container?.Id ?? '');
  const host = Object.values(info.NetworkSettings.Networks)[0]?.IPAddress ?? '';
  const redis = new Redis({ host, maxRetriesPerRequest: null });
  const queues = new Map<string, Queue>();
  let jobs = 0;

  async function queueOf(name: string): Promise<Queue> {
    const known = queues.get(name) ?? new Queue(name, { connection: { host, port: 6379 } });
    queues.set(name, known);
    await known.waitUntilReady();
    return known;
  }

  /** Puts a job in and answers its name and when, ms since 1970. */
  async function put(queue: string): Promise<{ job: string; at: number }> {
    const ready = await queueOf(queue);
    jobs += 1;
    const job = `${queue}-${jobs}`;
    const at = Date.now();
    await ready.add(job, {}, { removeOnComplete: true });
    return { job, at };
  }

  /** When the job's own code began, ms since 1970. Looking takes a millisecond of a core, so it is done seldom: the time is written down. */
  async function began(job: string): Promise<number> {
    return until(`${job} to begin`, async () => {
      const lines = await redis.lrange('began', -20, -1);
      return lines.map((text) => JSON.parse(text) as { job: string; at: number }).find((line) => line.job === job)?.at;
    });
  }

  return {
    put,
    began,

    /** One job, from its arrival to its first line. */
    async run(queue: string): Promise<{ at: number; waitedMs: number }> {
      const { job, at } = await put(queue);
      return { at, waitedMs: (await began(job)) - at };
    },

    /** The service stands as it stands while nothing is to do. */
    async atRest(service: string): Promise<void> {
      const wanted = JSON.stringify(REST[service] ?? []);
      await until(`${service} to be at rest`, async () => {
        const states = (await project.containers(service)).map(({ State }) => State);
        return JSON.stringify(states) === wanted || undefined;
      });
      await sleep(300);
    },

    /** From the arrival of the jobs until that many containers have been started, as the engine tells it; ms. */
    async burst(): Promise<number> {
      const watch = await watchStarts([`${COMPOSE.project}=${project.name}`, `${COMPOSE.service}=burst`], BURST);
      const at = Date.now();
      await redis.lpush(BURST_LIST, ...Array.from({ length: BURST }, (_, index) => String(index)));
      const last = await watch;
      await redis.del(BURST_LIST);
      return last - at;
    },

    waiting: async (queue: string): Promise<number> => redis.llen(`bull:${queue}:wait`),

    /** How long after `at` the agent wrote down that the source had told of a change; whole ms on one clock. */
    async noticedAfterMs(service: string, at: number): Promise<number> {
      return until('the notice to be written down', async () => {
        const times = (await events(project.state)).filter(
          ({ kind, tier, atMs }) => kind === 'notice' && tier === `${project.name}/${service}` && atMs >= at,
        );
        return times.length > 0 ? Math.min(...times.map(({ atMs }) => atMs)) - at : undefined;
      });
    },

    async close(): Promise<void> {
      await Promise.all([...queues.values()].map((queue) => queue.close()));
      redis.disconnect();
    },
  };
}

/** When the last of so many containers with these labels was started, ms since 1970. The engine's stream is open when this returns its promise. */
export async function watchStarts(labels: string[], count: number): Promise<Promise<number>> {
  const abort = new AbortController();
  const stream = openDocker().events({ type: ['container'], event: ['start'], label: labels }, abort.signal);
  const first = stream.next();
  await sleep(100);
  const last = (async () => {
    let seen = 0;
    for (let next = await first; !next.done; next = await stream.next()) {
      seen += 1;
      if (seen === count) return next.value.timeNano / 1e6;
    }
    throw new Error('the engine ended its stream of events');
  })();
  const limit = sleep(PATIENCE_MS).then(() => Promise.reject(new Error(`${count} containers were not started within a minute`)));
  limit.catch(() => {});
  return Promise.race([last, limit]).finally(() => abort.abort());
}

async function events(state: string): Promise<{ kind: string; tier: string; atMs: number }[]> {
  const folder = join(state, 'autoscale', 'events');
  const files = await readdir(folder).catch(() => [] as string[]);
  const lines = (await Promise.all(files.map((name) => readFile(join(folder, name), 'utf8')))).join('').split('\n');
  // What follows the last line break is still being written.
  return lines.slice(0, -1).flatMap((line) => {
    const { event } = JSON.parse(line) as { event?: { kind: string; tier: string; atMs: number } };
    return event ? [event] : [];
  });
}

async function until<T>(what: string, look: () => Promise<T | undefined>): Promise<T> {
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (performance.now() > deadline) throw new Error(`waited a minute for ${what}`);
    await sleep(20);
  }
}
