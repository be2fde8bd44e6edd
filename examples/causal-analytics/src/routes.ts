import { createHash, randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { kinds, readJobRequest, type Tier, tiers } from './kinds.ts';
import { createFailer } from './misbehave.ts';
import { settings } from './settings.ts';

export interface Answer {
  status: number;
  json: unknown;
}

export interface RoutesOptions {
  errorRate: number;
  isHealthy: () => boolean;
  /** Aborted when the process is told to stop. */
  closing: AbortSignal;
}

const MOST_BODY_BYTES = 10 << 20;

/** Answers with a value, or with undefined after it has written the response itself. */
export function createRoutes({ errorRate, isHealthy, closing }: RoutesOptions) {
  const fails = createFailer(errorRate);

  return async (request: IncomingMessage, response: ServerResponse, url: URL): Promise<Answer | undefined> => {
    const path = url.pathname;
    switch (`${request.method} ${path}`) {
      case 'GET /':
        if (fails()) return { status: 500, json: { error: 'failing as APP_ERROR_RATE asks' } };
        return { status: 200, json: { service: 'causal-analytics', version: settings.version, hostname: settings.hostname } };
      case 'GET /health':
        // Says whether this process can serve. Redis is not asked: when it is away, every replica would be taken out at once.
        return isHealthy()
          ? { status: 200, json: { status: 'ok', version: settings.version } }
          : { status: 503, json: { status: 'failing' } };
      case 'POST /echo':
        return echo(request, response);
      case 'GET /slow':
        return slow(request, url);
      case 'GET /events':
        tick(request, response, closing);
        return undefined;
      case 'POST /jobs':
        return enqueue(request);
      case 'GET /queues':
        return available(depths);
      case 'GET /results':
        return available(latestResults);
    }
    const id = /^\/jobs\/([\w-]+)$/.exec(path)?.[1];
    if (id && request.method === 'GET') return available(() => describeJob(id));
    return { status: 404, json: { error: `no ${request.method} ${path} here` } };
  };
}

async function readBody(request: IncomingMessage): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size <= MOST_BODY_BYTES) chunks.push(chunk);
  }
  return size <= MOST_BODY_BYTES ? Buffer.concat(chunks) : undefined;
}

const tooLarge: Answer = { status: 413, json: { error: `body is larger than ${MOST_BODY_BYTES} bytes` } };

async function echo(request: IncomingMessage, response: ServerResponse): Promise<Answer | undefined> {
  const body = await readBody(request);
  if (!body) return tooLarge;
  response
    .writeHead(200, {
      'content-type': request.headers['content-type'] ?? 'application/octet-stream',
      'content-length': body.length,
      'x-sha256': createHash('sha256').update(body).digest('hex'),
    })
    .end(body);
  return undefined;
}

async function slow(request: IncomingMessage, url: URL): Promise<Answer> {
  const ms = Math.min(60_000, Math.max(0, Number(url.searchParams.get('ms') ?? 2_000) || 0));
  const gone = new AbortController();
  request.socket.once('close', () => gone.abort());
  await sleep(ms, undefined, { signal: gone.signal }).catch(() => {});
  return { status: 200, json: { waitedMs: ms, version: settings.version, hostname: settings.hostname } };
}

/** Server-sent events: a tick each second, and a goodbye when the process stops, so that a client knows to come back. */
function tick(request: IncomingMessage, response: ServerResponse, closing: AbortSignal): void {
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' });
  let count = 0;
  const send = () =>
    response.write(`id: ${++count}\nevent: tick\ndata: {"tick":${count},"version":${JSON.stringify(settings.version)}}\n\n`);
  const timer = setInterval(send, 1_000);
  const bye = () => {
    clearInterval(timer);
    response.end('event: bye\ndata: {"reason":"service restart"}\n\n');
  };
  send();
  if (closing.aborted) {
    bye();
    return;
  }
  closing.addEventListener('abort', bye, { once: true });
  request.socket.once('close', () => {
    clearInterval(timer);
    closing.removeEventListener('abort', bye);
  });
}

/** Queues and database are loaded with the first request that needs them: an api that only answers health checks is up at once. */
let queues: Promise<ReturnType<typeof import('./queues.ts').openQueues>> | undefined;
function theQueues() {
  queues ??= import('./queues.ts').then((module) => module.openQueues());
  return queues;
}
let database: Promise<ReturnType<typeof import('./database.ts').openDatabase>> | undefined;
function theDatabase() {
  database ??= import('./database.ts').then((module) => module.openDatabase({ connections: 4 }));
  return database;
}

async function available(ask: () => Promise<Answer>): Promise<Answer> {
  try {
    return await Promise.race([ask(), sleep(3_000).then(() => Promise.reject(new Error('no answer within 3 s')))]);
  } catch (error) {
    return {
      status: 503,
      json: { error: 'queue or database does not answer', reason: error instanceof Error ? error.message : String(error) },
    };
  }
}

async function enqueue(request: IncomingMessage): Promise<Answer> {
  const body = await readBody(request);
  if (!body) return tooLarge;
  let parsed: unknown;
  try {
    parsed = JSON.parse(body.toString('utf8'));
  } catch {
    return { status: 400, json: { error: 'body is not JSON' } };
  }
  const wanted = readJobRequest(parsed);
  if (typeof wanted === 'string') return { status: 400, json: { error: wanted, kinds } };
  return available(async () => {
    const { tier, kind, params } = wanted;
    const queue = await readyQueue(tier);
    // The tier is part of the id: it says which queue to ask.
    const id = `${tier}-${randomUUID()}`;
    await queue.add(kind, { params }, { jobId: id });
    return { status: 202, json: { id, tier, kind, params } };
  });
}

async function describeJob(id: string): Promise<Answer> {
  const tier = tiers.find((name) => id.startsWith(`${name}-`));
  const queue = tier && (await readyQueue(tier));
  // The state first: what is read of a job that has ended is all there.
  const state = await queue?.getJobState(id);
  const job = await queue?.getJob(id);
  if (!job) return { status: 404, json: { error: `no job ${id}` } };
  return {
    status: 200,
    json: {
      id,
      tier,
      kind: job.name,
      params: job.data.params,
      status: state,
      progress: job.progress,
      attempts: job.attemptsMade,
      worker: job.processedBy,
      ...(state === 'completed' ? { result: job.returnvalue, tookMs: (job.finishedOn ?? 0) - (job.processedOn ?? 0) } : {}),
      ...(state === 'failed' ? { reason: job.failedReason } : {}),
    },
  };
}

async function readyQueue(tier: Tier) {
  const queue = (await theQueues())[tier];
  await queue.waitUntilReady();
  return queue;
}

async function depths(): Promise<Answer> {
  const entries = tiers.map(async (tier) => {
    const queue = await readyQueue(tier);
    const [counts, workers] = await Promise.all([
      queue.getJobCounts('waiting', 'active', 'delayed', 'completed', 'failed'),
      queue.getWorkersCount(),
    ]);
    return [tier, { ...counts, workers }] as const;
  });
  return { status: 200, json: Object.fromEntries(await Promise.all(entries)) };
}

async function latestResults(): Promise<Answer> {
  const pool = await theDatabase();
  const { rows } = await pool.query('select job, tier, kind, version, finished, result from results order by finished desc limit 20');
  return { status: 200, json: rows };
}
