import { z } from 'zod';
import { count, flag, text } from '../../kit/fields.ts';
import type { OpenTrigger, Reading, TriggerContext, TriggerType } from '../model.ts';
import { LAYOUTS } from './frameworks/list.ts';
import { numberOf, type QueueLayout } from './frameworks/model.ts';
import { type Command, openRedis, type RedisLink } from './link.ts';
import { invalid, serverFields, serverOf } from './metadata.ts';

const metadata = z.strictObject({
  ...serverFields,
  listName: text('the name of a list or queue')
    .describe(
      'Key of the list; sets, sorted sets, hashes and streams are counted too. With `tier.framework`: the queue’s name as the library has it.',
    )
    .meta({ samples: ['heavy', 'celery'] }),
  listLength: count(1)
    .optional()
    .describe('Jobs that one worker is to have. Left out: the tier’s `drainTarget` decides.')
    .meta({ samples: [5] }),
  activationListLength: count(0)
    .prefault(0)
    .describe('The service leaves 0 when there are more jobs than this.')
    .meta({ samples: [10] }),
  keyPrefix: text('a prefix')
    .optional()
    .describe(
      'What the application has its library put before the keys: Celery’s `global_keyprefix`, BullMQ’s `prefix`, Sidekiq’s namespace. Not KEDA’s.',
    )
    .meta({ samples: ['shop'] }),
  acksLate: flag()
    .prefault(false)
    .describe('With Celery: the application sets `task_acks_late`, so that a task that runs is among those a worker holds. Not KEDA’s.')
    .meta({ samples: [true] }),
});
type Metadata = z.output<typeof metadata>;

/**
 * A list in Redis, or the queue of a library that keeps several keys for each. It tells of changes within a millisecond (CLIENT
 * TRACKING, Redis 6 and later); a server that refuses that is polled.
 */
export const redis: TriggerType<Metadata> = {
  type: 'redis',
  summary: 'Length of a list in Redis; with `tier.framework`, the whole queue of Celery, BullMQ, RQ or Sidekiq, and which worker is idle.',
  metadata,
  metricTypes: ['AverageValue', 'Value'],
  target: ({ listLength, activationListLength }) => ({ value: listLength, activation: activationListLength }),
  activates: true,
  freezable: true,
  open(given, context) {
    const server = serverOf(given, context);
    const layout = layoutOf(given, context, server.database);
    const link = openRedis(server, context, layout?.hearing);
    const read = layout ? () => readQueue(link, layout, context) : listReader(link, given.listName);
    return { read, watch: link.watch, close: link.close } satisfies OpenTrigger;
  },
};

function layoutOf(given: Metadata, context: TriggerContext, database: number): QueueLayout | undefined {
  const { framework } = context;
  const refuse = (key: string, why: string) => invalid(key, why, `leave ${key} out`);
  if (given.keyPrefix !== undefined && (!framework || framework === 'rq'))
    throw refuse('keyPrefix', framework ? 'RQ has no prefix for its keys' : 'listName is the whole key where no tier.framework is set');
  if (given.acksLate && framework !== 'celery') throw refuse('acksLate', 'only with tier.framework celery');
  if (!framework) return undefined;
  return LAYOUTS[framework]({
    queue: given.listName,
    database,
    acksLate: given.acksLate,
    context,
    ...(given.keyPrefix === undefined ? {} : { keyPrefix: given.keyPrefix }),
  });
}

async function readQueue(link: RedisLink, layout: QueueLayout, context: TriggerContext): Promise<Reading> {
  const { queue, workers } = await link.read((asking) => layout.read(asking, context.now()));
  return { value: queue.waiting + (queue.active ?? 0), queue, ...(workers ? { workers } : {}) };
}

/** How each type of key is counted, as KEDA does. */
const LENGTHS: Record<string, string> = { list: 'LLEN', zset: 'ZCARD', set: 'SCARD', hash: 'HLEN', stream: 'XLEN' };

/** Asks for the type each time and for the length of the type that it had last; a key seldom changes its type. */
function listReader(link: RedisLink, key: string): () => Promise<Reading> {
  let type = 'list';
  return () =>
    link.read(async (asking) => {
      const ask = () => asking.together([['TYPE', key], [LENGTHS[type], key] as Command]);
      let [now, length] = await ask();
      if (now === 'none') length = 0;
      else if (now !== type) {
        if (!LENGTHS[String(now)]) throw new Error(`the key "${key}" is a ${now}, which has no length`);
        type = String(now);
        [now, length] = await ask();
      }
      const waiting = numberOf(length);
      return { value: waiting, queue: { waiting } };
    });
}
