import { rm, writeFile } from 'node:fs/promises';
import { type Job, UnrecoverableError, WaitingError, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { openDatabase } from './database.ts';
import { jobs } from './jobs.ts';
import { type Tier, tiers } from './kinds.ts';
import { boot, isHealthy, onStop, readMisbehaviour } from './misbehave.ts';
import type { JobData } from './queues.ts';
import { log, settings } from './settings.ts';

/** One process per container, one queue per process: `node src/worker.ts light`. */
const tier = process.argv[2] as Tier;
if (!tiers.includes(tier)) {
  log(`usage: worker.ts ${tiers.join('|')}`);
  process.exit(2);
}
const concurrency = { light: 4, medium: 1, heavy: 1 }[tier];
const misbehaviour = readMisbehaviour(process.env);
const running = new Set<string>();
const giveUp = new AbortController();
const redis = new Redis({ ...settings.redis, maxRetriesPerRequest: null });
redis.on('error', (error) => log('redis', { error: error.message }));
const database = openDatabase({ connections: concurrency });
let worker: Worker<JobData> | undefined;

onStop(misbehaviour.onSigterm, stop);
await boot(misbehaviour);
const startedAt = performance.now();
worker = new Worker<JobData>(tier, run, {
  connection: redis,
  concurrency,
  // The host name of a container is the beginning of its id: CLIENT LIST shows which containers listen to the queue,
  // and a job's `processedBy` which one is busy with it.
  name: settings.hostname,
  lockDuration: 15_000,
  stalledInterval: 10_000,
  maxStalledCount: 2,
});
worker.on('error', (error) => log('worker', { error: error.message }));
worker.on('failed', (job, error) => log('job failed', { job: job?.id, attempt: job?.attemptsMade, error: error.message }));
await worker.waitUntilReady();
await beat();
setInterval(beat, 1_000);
log('worker is ready', { tier, concurrency, bootMs: Math.round(performance.now()) });

async function run(job: Job<JobData>, token?: string): Promise<unknown> {
  const id = String(job.id);
  const work = jobs[tier][job.name];
  if (!work) throw new UnrecoverableError(`tier ${tier} knows no job of kind ${job.name}`);
  running.add(id);
  const started = performance.now();
  let reported = started;
  try {
    const result = await work(job.data.params, { id, database, signal: giveUp.signal, onProgress });
    await database.query(
      `insert into results (job, tier, kind, version, result) values ($1, $2, $3, $4, $5)
       on conflict (job) do update set finished = now(), version = excluded.version, result = excluded.result`,
      [id, tier, job.name, settings.version, JSON.stringify(result)],
    );
    log('job done', { job: id, kind: job.name, tookMs: Math.round(performance.now() - started) });
    return result;
  } catch (error) {
    if (!giveUp.signal.aborted) throw error;
    // Back to the queue's head as if it had never been taken: no attempt is used up.
    await job.moveToWait(token);
    log('job given back', { job: id, kind: job.name });
    throw new WaitingError();
  } finally {
    running.delete(id);
  }

  function onProgress(done: number) {
    const now = performance.now();
    if (now - reported < 500) return;
    reported = now;
    job.updateProgress(Math.round(done * 100)).catch(() => {});
  }
}

/**
 * The health check looks at the age of this file: it is touched only while the event loop turns and Redis is there. What it says is for people.
 */
async function beat(): Promise<void> {
  if (redis.status !== 'ready') return;
  if (!isHealthy(misbehaviour.health, performance.now() - startedAt)) await rm(settings.heartbeatFile, { force: true });
  else await writeFile(settings.heartbeatFile, running.size > 0 ? `busy ${[...running].join(' ')}\n` : 'idle\n');
}

/** Takes no further job, lets the running ones end within the drain time, and gives back those that cannot. */
async function stop(): Promise<void> {
  setTimeout(() => giveUp.abort(new Error('the worker stops')), settings.drainMs);
  // Closing waits for Redis. When that is away and nothing runs, there is nobody to say goodbye to; what still runs is found stalled by
  // another worker later and done again.
  setInterval(() => running.size === 0 && redis.status !== 'ready' && process.exit(0), 500);
  setTimeout(() => process.exit(1), settings.drainMs + 4_000);
  await worker?.close();
  redis.disconnect();
  await database.end();
}
