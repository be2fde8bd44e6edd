import { z } from 'zod';
import { count, text } from '../../kit/fields.ts';
import type { QueueReading, Reading, TriggerType, WorkerReading } from '../model.ts';
import { numberOf } from './frameworks/model.ts';
import { type Asking, openRedis } from './link.ts';
import { invalid, serverFields, serverOf } from './metadata.ts';

const metadata = z.strictObject({
  ...serverFields,
  stream: text('the name of a stream')
    .describe('Key of the stream.')
    .meta({ samples: ['orders'] }),
  consumerGroup: text('the name of a consumer group')
    .optional()
    .describe('Consumer group. With it `lagCount` or `pendingEntriesCount` is the target, without it `streamLength`.')
    .meta({ samples: ['billing'] }),
  lagCount: count(1)
    .optional()
    .describe('Entries of the group’s lag (not delivered yet) that one worker is to have. Needs Redis 7.')
    .meta({ samples: [5] }),
  activationLagCount: count(0)
    .prefault(0)
    .describe('The service leaves 0 when the lag is above this.')
    .meta({ samples: [10] }),
  pendingEntriesCount: count(1)
    .optional()
    .describe('Entries that are delivered and not acknowledged that one worker is to have.')
    .meta({ samples: [5] }),
  streamLength: count(1)
    .optional()
    .describe('Entries of the stream that one worker is to have, for streams without a group whose readers delete what they have done.')
    .meta({ samples: [50] }),
});
type Metadata = z.output<typeof metadata>;

type Counted = 'lag' | 'pending' | 'length';

/** KEDA's rule: without a group the length, with `lagCount` the lag, else what is pending. */
function countedBy({ consumerGroup, lagCount }: Metadata): Counted {
  if (consumerGroup === undefined) return 'length';
  return lagCount === undefined ? 'pending' : 'lag';
}

/** A stream in Redis. It tells of new entries by itself, like `redis`; what consumers acknowledge is seen with the next poll. */
export const redisStreams: TriggerType<Metadata> = {
  type: 'redis-streams',
  summary: 'Lag, pending entries or length of a stream in Redis, and which consumers of the group are idle.',
  metadata,
  metricTypes: ['AverageValue', 'Value'],
  target(given) {
    const counted = countedBy(given);
    const value = { lag: given.lagCount, pending: given.pendingEntriesCount, length: given.streamLength }[counted];
    return { value, activation: counted === 'lag' ? given.activationLagCount : 0 };
  },
  activates: true,
  freezable: true,
  open(given, context) {
    const { consumerGroup: group, stream } = given;
    const counted = countedBy(given);
    const useless = [
      ...(counted === 'length' ? (['lagCount', 'pendingEntriesCount'] as const) : (['streamLength'] as const)),
      ...(counted === 'lag' ? (['pendingEntriesCount'] as const) : []),
    ].find((key) => given[key] !== undefined);
    if (useless)
      throw invalid(
        useless,
        `${useless} counts nothing ${counted === 'length' ? 'without' : 'with'} ${counted === 'lag' ? 'lagCount' : 'consumerGroup'}`,
        `leave ${useless} out`,
      );
    const link = openRedis(serverOf(given, context), context);
    return {
      read: () => link.read((asking) => (group === undefined ? readLength(asking, stream) : readGroup(asking, stream, group, counted))),
      watch: link.watch,
      close: link.close,
    };
  },
};

async function readLength(asking: Asking, stream: string): Promise<Reading> {
  const [length] = await asking.together([['XLEN', stream]]);
  const waiting = numberOf(length);
  return { value: waiting, queue: { waiting } };
}

/**
 * A group that is not there yet has everything before it: workers make it as they start, and until one has started nobody can tell from
 * which entry on it will read.
 */
async function readGroup(asking: Asking, stream: string, group: string, counted: Counted): Promise<Reading> {
  const [length, groups, consumers] = await asking.together([
    ['XLEN', stream],
    ['XINFO', 'GROUPS', stream],
    ['XINFO', 'CONSUMERS', stream, group],
  ]);
  const found = recordsOf(groups).find((one) => one.name === group);
  const waiting = found ? await lagOf(asking, stream, found) : numberOf(length);
  const queue: QueueReading = { waiting, active: Number(found?.pending ?? 0) };
  return {
    value: counted === 'lag' ? waiting : Number(found?.pending ?? 0),
    // Nothing is pending while no consumer runs: whether there is something to do is seen by the lag.
    ...(counted === 'pending' ? { active: waiting > 0 || Number(queue.active) > 0 } : {}),
    queue,
    workers: recordsOf(consumers).map(workerOf),
  };
}

/** Entries that are counted one by one where Redis has lost count, which it does when entries between were deleted. */
const COUNTED_SINGLY = 1000;

async function lagOf(asking: Asking, stream: string, group: Record<string, unknown>): Promise<number> {
  if (group.lag !== null && group.lag !== undefined) return Number(group.lag);
  const [entries] = await asking.together([['XRANGE', stream, `(${group['last-delivered-id']}`, '+', 'COUNT', COUNTED_SINGLY]]);
  if (entries instanceof Error) throw entries;
  return (entries as unknown[]).length;
}

/** Consumers are mostly named after the container that they run in, alone or with more around it. */
function workerOf({ name, pending }: Record<string, unknown>): WorkerReading {
  const hostname = /(?<![0-9a-z])[0-9a-f]{12}(?![0-9a-z])/.exec(String(name))?.[0] ?? String(name);
  return { hostname, busy: Number(pending) > 0 };
}

/** XINFO's flat lists of names and values. A stream or group that is not there is answered with an error. */
function recordsOf(answer: unknown): Record<string, unknown>[] {
  if (answer instanceof Error) {
    if (/^(NOGROUP|ERR no such key)/.test(answer.message)) return [];
    throw answer;
  }
  return (answer as unknown[][]).map((flat) =>
    Object.fromEntries(flat.flatMap((name, index) => (index % 2 === 0 ? [[String(name), flat[index + 1]]] : []))),
  );
}
