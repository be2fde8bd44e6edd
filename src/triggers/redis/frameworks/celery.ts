import type { QueueReading, WorkerReading } from '../../model.ts';
import type { Asking } from '../link.ts';
import { json, type LayoutOptions, numberOf, type QueueLayout, textsOf } from './model.ts';

const SEPARATOR = '\x06\x16';
/** `priority_steps` are some of these, by default 0, 3, 6 and 9; 0 has the queue's own name. */
const PRIORITIES = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];
/** Workers send one every 2 s. */
const HEARTBEAT_LASTS_MS = 10_000;
const FIRST_HEARTBEATS_MS = 4_000;
/** The tasks next in line are opened to see when they may start; of what is behind them all counts as ready. */
const OPENED = 100;
/** Where those are more than this, they are opened once a second only. */
const OPENED_BYTES = 256 * 1024;
const OPENED_EVERY_MS = 1_000;
/** Tasks that workers hold are opened once each, at most so many with one read. */
const OPENED_HELD = 1000;

/** A task that a worker has taken and not acknowledged. */
interface Taken {
  exchange: string;
  routingKey: string;
  etaMs?: number;
}

/**
 * Celery on Redis. A list for each priority holds what is ready; the hash `unacked`, of all queues together, what workers have taken and
 * not acknowledged: prefetched tasks, tasks with a start that lies ahead, and those that run if the application acknowledges late. By
 * default it acknowledges as a task starts, and then Redis knows nothing of what runs: the workers' heartbeats over pub/sub tell how
 * many tasks each runs, up to 2 s late. What a warm shutdown gives back is held, and makes no worker busy. Heartbeats do not say which
 * queues a worker serves, so only those of the scaled service's containers count.
 */
export function openCelery({ queue, keyPrefix = '', database, acksLate, context }: LayoutOptions): QueueLayout {
  const lists = PRIORITIES.map((priority) => keyPrefix + (priority === 0 ? queue : queue + SEPARATOR + priority));
  const unacked = `${keyPrefix}unacked`;
  let taken = new Map<string, Taken>();
  /** By node: several workers in one container have one host name. */
  const heard = new Map<string, { hostname: string; active: number; atMs: number }>();
  let opened = { atMs: Number.NEGATIVE_INFINITY, bytes: 0, etas: [] as number[] };
  let listeningSinceMs: number | undefined;

  async function readTaken(asking: Asking, tags: string[], bodies: unknown): Promise<Taken[]> {
    const known = new Map<string, Taken>();
    const fresh = tags.filter((tag) => !taken.has(tag)).slice(0, OPENED_HELD);
    for (const [index, text] of textsOf(bodies).entries()) {
      const tag = fresh[index];
      const task = takenOf(text);
      if (tag !== undefined && task) known.set(tag, task);
    }
    for (const tag of tags) {
      const task = taken.get(tag);
      if (task) known.set(tag, task);
    }
    taken = known;
    const exchanges = [...new Set([...known.values()].map((task) => task.exchange).filter((name) => name !== ''))];
    const tables = exchanges.length
      ? await asking.together(exchanges.map((name) => ['SMEMBERS', `${keyPrefix}_kombu.binding.${name}`] as const))
      : [];
    const bindings = new Map(exchanges.map((name, index) => [name, textsOf(tables[index])]));
    return [...known.values()].filter((task) => isBoundTo(queue, task, bindings.get(task.exchange) ?? []));
  }

  return {
    hearing: {
      pattern: `${escapePattern(keyPrefix)}/${database}.celeryev/worker.*`,
      began() {
        listeningSinceMs = context.now();
      },
      hear(_channel, message) {
        const event = eventOf(message);
        if (!event) return false;
        const { type, node, active } = event;
        const before = heard.get(node)?.active;
        if (type === 'worker-offline') return heard.delete(node);
        heard.set(node, { hostname: node.slice(node.indexOf('@') + 1), active, atMs: context.now() });
        return before !== active;
      },
    },

    async read(asking, nowMs) {
      const [tagsAnswer, ...lengths] = await asking.together([
        ['HKEYS', unacked] as const,
        ...lists.map((list) => ['LLEN', list] as const),
      ]);
      const tags = textsOf(tagsAnswer);
      const fresh = tags.filter((tag) => !taken.has(tag)).slice(0, OPENED_HELD);
      const isReopened = opened.bytes < OPENED_BYTES || nowMs - opened.atMs >= OPENED_EVERY_MS;
      const filled = lists.filter((_, index) => isReopened && numberOf(lengths[index]) > 0);
      const asked = [
        ...(fresh.length ? [['HMGET', unacked, ...fresh] as const] : []),
        // Taken from the right.
        ...filled.map((list) => ['LRANGE', list, -OPENED, -1] as const),
      ];
      const answers = asked.length ? await asking.together(asked) : [];
      const held = await readTaken(asking, tags, fresh.length ? answers.shift() : []);
      if (isReopened) opened = openedOf(answers.flatMap(textsOf), nowMs);
      const early = opened.etas.filter((etaMs) => etaMs > nowMs);
      const next = [...early, ...held.flatMap(({ etaMs }) => (etaMs !== undefined && etaMs > nowMs ? [etaMs] : []))];

      const { active, workers } = await running(nowMs);
      const listed = lengths.reduce<number>((sum, length) => sum + numberOf(length), 0);
      const reading: QueueReading = {
        waiting: Math.max(0, listed - early.length),
        held: acksLate ? Math.max(0, held.length - (active ?? 0)) : held.length,
        ...(active === undefined ? {} : { active }),
        ...(next.length ? { nextDueMs: Math.min(...next) } : {}),
      };
      return { queue: reading, workers };
    },
  };

  async function running(nowMs: number): Promise<{ active?: number; workers: WorkerReading[] }> {
    const containers = await context.workers?.();
    const tasksOf = new Map<string, number>();
    for (const [node, { hostname, active, atMs }] of heard) {
      if (nowMs - atMs > HEARTBEAT_LASTS_MS) heard.delete(node);
      else if (!containers || containers.some((container) => container.hostname === hostname))
        tasksOf.set(hostname, (tasksOf.get(hostname) ?? 0) + active);
    }
    const workers: WorkerReading[] = [...tasksOf].map(([hostname, tasks]) => ({ hostname, busy: tasks > 0 }));
    const active = [...tasksOf.values()].reduce((sum, tasks) => sum + tasks, 0);
    const areAllHeard = containers !== undefined && containers.length <= workers.length;
    // Silence means something only after a while, and nothing at all where workers run that send no heartbeats.
    const isSilent = workers.length === 0 && (containers?.length ?? 0) > 0;
    const isKnown = areAllHeard || (!isSilent && listeningSinceMs !== undefined && nowMs - listeningSinceMs >= FIRST_HEARTBEATS_MS);
    return { ...(isKnown ? { active } : {}), workers };
  }
}

/** An event as Kombu sends it: JSON whose body is JSON in base64. */
function eventOf(message: string): { type: string; node: string; active: number } | undefined {
  const { body } = (json(message) ?? {}) as { body?: string };
  if (typeof body !== 'string') return undefined;
  const event = json(Buffer.from(body, 'base64').toString()) as { type?: string; hostname?: string; active?: number } | undefined;
  if (!event?.type || !event.hostname) return undefined;
  return { type: event.type, node: event.hostname, active: Number(event.active ?? 0) };
}

function openedOf(messages: string[], atMs: number) {
  const etas = messages.map((text) => etaOf(json(text))).filter((etaMs) => etaMs !== undefined);
  return { atMs, bytes: messages.reduce((sum, text) => sum + text.length, 0), etas };
}

/** `[message, exchange, routing key]`. */
function takenOf(text: string): Taken | undefined {
  const entry = json(text);
  if (!Array.isArray(entry)) return undefined;
  const etaMs = etaOf(entry[0]);
  return { exchange: String(entry[1] ?? ''), routingKey: String(entry[2] ?? ''), ...(etaMs === undefined ? {} : { etaMs }) };
}

function etaOf(message: unknown): number | undefined {
  const eta = (message as { headers?: { eta?: string | null } } | undefined)?.headers?.eta;
  if (typeof eta !== 'string') return undefined;
  const ms = Date.parse(/(Z|[+-]\d\d:?\d\d)$/.test(eta) ? eta : `${eta}Z`);
  return Number.isNaN(ms) ? undefined : ms;
}

/** `bindings` of its exchange: routing key, pattern and queue, joined by the separator. */
function isBoundTo(queue: string, { routingKey }: Taken, bindings: string[]): boolean {
  const bound = bindings.map((binding) => binding.split(SEPARATOR));
  if (bound.length === 0) return routingKey === queue;
  return bound.some(
    ([key = '', pattern, name]) => name === queue && (pattern ? topicMatches(key.split('.'), routingKey.split('.')) : key === routingKey),
  );
}

/** AMQP's topic patterns: "*" is one word, "#" any number of them. */
export function topicMatches(pattern: string[], words: string[]): boolean {
  const [first, ...rest] = pattern;
  if (first === undefined) return words.length === 0;
  if (first === '#') return topicMatches(rest, words) || (words.length > 0 && topicMatches(pattern, words.slice(1)));
  return words.length > 0 && (first === '*' || first === words[0]) && topicMatches(rest, words.slice(1));
}

function escapePattern(text: string): string {
  return text.replace(/[\\*?[\]]/g, '\\$&');
}
