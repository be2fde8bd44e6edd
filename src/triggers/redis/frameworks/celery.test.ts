import { expect, test } from 'vitest';
import type { Asking, Command } from '../link.ts';
import { openCelery } from './celery.ts';

/** Answers from keys: lists, hashes and sets as plain data. */
function askingOf(keys: Record<string, string[] | Record<string, string>>, asked: Command[] = []): Asking {
  const answer = ([name, key, ...args]: Command): unknown => {
    const held = keys[String(key)] ?? [];
    if (name === 'LLEN') return (held as string[]).length;
    if (name === 'LRANGE') return (held as string[]).slice(Number(args[0]));
    if (name === 'SMEMBERS') return held;
    if (name === 'HKEYS') return Object.keys(held);
    if (name === 'HMGET') return args.map((tag) => (held as Record<string, string>)[tag] ?? null);
    throw new Error(`${name} is not answered here`);
  };
  return {
    together: async (commands) => {
      asked.push(...commands);
      return commands.map(answer);
    },
    alone: async () => undefined,
  };
}

const message = (eta: string | null = null, body = '') => ({ body, headers: { task: 'nap', eta }, properties: {} });
const heartbeat = (hostname: string, active: number, type = 'worker-heartbeat') =>
  JSON.stringify({ body: Buffer.from(JSON.stringify({ type, hostname, active })).toString('base64') });

function open(hostnames?: string[], acksLate = false) {
  const clock = { ms: 1_000_000 };
  const workers = hostnames && { workers: async () => hostnames.map((hostname) => ({ hostname, addresses: [] })) };
  const layout = openCelery({ queue: 'q', database: 0, acksLate, context: { now: () => clock.ms, ...workers } });
  const { hearing } = layout;
  if (!hearing) throw new Error('Celery is listened to');
  return { clock, hearing, read: (asking: Asking = askingOf({})) => layout.read(asking, clock.ms) };
}

test('what runs is unknown until the workers can have been heard, again after each new connection', async () => {
  const { clock, hearing, read } = open();
  expect((await read()).queue.active).toBeUndefined();
  hearing.began();
  clock.ms += 3_999;
  expect((await read()).queue.active).toBeUndefined();
  clock.ms += 1;
  expect((await read()).queue.active).toBe(0);
  hearing.began();
  expect((await read()).queue.active).toBeUndefined();
});

test('where listening is refused what runs stays unknown, and is nothing only without containers', async () => {
  const { clock, read } = open(['aaa']);
  clock.ms += 60_000;
  expect((await read()).queue.active).toBeUndefined();
  expect((await open([]).read()).queue.active).toBe(0);
});

test('several workers in one container are one, and one that falls silent is unknown', async () => {
  const { clock, hearing, read } = open(['aaa', 'bbb']);
  hearing.began();
  expect(hearing.hear('', heartbeat('w1@aaa', 0))).toBe(true);
  expect(hearing.hear('', heartbeat('w2@aaa', 2))).toBe(true);
  expect(hearing.hear('', heartbeat('celery@bbb', 1))).toBe(true);
  expect(hearing.hear('', heartbeat('celery@bbb', 1))).toBe(false);
  expect(hearing.hear('', heartbeat('celery@stranger', 5))).toBe(true);
  expect(hearing.hear('', 'no json')).toBe(false);
  expect(await read()).toEqual({
    queue: { waiting: 0, held: 0, active: 3 },
    workers: [
      { hostname: 'aaa', busy: true },
      { hostname: 'bbb', busy: true },
    ],
  });
  clock.ms += 8_000;
  hearing.hear('', heartbeat('w1@aaa', 0));
  hearing.hear('', heartbeat('w2@aaa', 0));
  clock.ms += 3_000;
  expect((await read()).workers).toEqual([{ hostname: 'aaa', busy: false }]);
  hearing.hear('', heartbeat('w1@aaa', 0, 'worker-offline'));
  hearing.hear('', heartbeat('w2@aaa', 0, 'worker-offline'));
  expect(await read()).toEqual({ queue: { waiting: 0, held: 0 }, workers: [] });
});

test('taken tasks belong to the queue that their exchange is bound to, and are opened once', async () => {
  const taken = (exchange: string, key: string, eta: string | null = null) => JSON.stringify([message(eta), exchange, key]);
  const bindings = ['q\x06\x16\x06\x16q', 'video.*\x06\x16^video\\.[^.]+$\x06\x16q', 'audio.#\x06\x16^audio.*$\x06\x16other'];
  const keys = {
    unacked: {
      a: taken('', 'q'),
      b: taken('', 'other'),
      c: taken('media', 'video.cut', '1970-01-01T00:20:00.500000+00:00'),
      d: taken('media', 'audio.mix'),
      e: 'not what Kombu writes',
    },
    '_kombu.binding.media': bindings,
  };
  const asked: Command[] = [];
  const { read } = open([]);
  expect((await read(askingOf(keys, asked))).queue).toEqual({ waiting: 0, active: 0, held: 2, nextDueMs: 1_200_500 });
  await read(askingOf(keys, asked));
  expect(asked.filter(([name]) => name === 'HMGET')).toEqual([
    ['HMGET', 'unacked', 'a', 'b', 'c', 'd', 'e'],
    ['HMGET', 'unacked', 'e'],
  ]);
});

test('late acknowledgement counts a running task once', async () => {
  const { hearing, read } = open(['aaa'], true);
  const held = Object.fromEntries(['a', 'b', 'c'].map((tag) => [tag, JSON.stringify([message(), '', 'q'])]));
  hearing.hear('', heartbeat('celery@aaa', 2));
  expect((await read(askingOf({ unacked: held }))).queue).toEqual({ waiting: 0, active: 2, held: 1 });
});

test('messages of some size are opened once a second, small ones each time', async () => {
  const large = { q: [JSON.stringify(message('1970-01-01T01:00:00', 'x'.repeat(300_000)))] };
  const asked: Command[] = [];
  const { clock, read } = open([]);
  const opens = async () => {
    asked.length = 0;
    const { queue } = await read(askingOf(large, asked));
    return [queue.waiting, queue.nextDueMs, asked.some(([name]) => name === 'LRANGE')];
  };
  expect(await opens()).toEqual([0, 3_600_000, true]);
  expect(await opens()).toEqual([0, 3_600_000, false]);
  clock.ms += 1_000;
  expect(await opens()).toEqual([0, 3_600_000, true]);
});
