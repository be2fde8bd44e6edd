import { describe, expect, test } from 'vitest';
import type { TriggerContext } from './model.ts';
import { rabbitmq } from './rabbitmq.ts';
import { type Counting, type QueueInfo, queueInfo, queuePage, queueUrl, rabbitmqReading } from './rabbitmq-http.ts';

const queue = (ready: number, unacknowledged: number, publishRate = 0, deliverRate = 0): QueueInfo => ({
  ready,
  unacknowledged,
  publishRate,
  deliverRate,
  active: unacknowledged,
});
const counting: Counting = { mode: 'QueueLength', operation: 'sum', excludeUnacknowledged: false, activationValue: 2 };

test.each([
  ['MessageRate', queue(0, 0, 1.5, 0), { value: 1.5, active: false }],
  ['MessageRate', queue(3, 0, 0, 0), { value: 0, active: true }],
  ['MessageRate', queue(0, 0, 3, 0), { value: 3, active: true }],
  ['DeliverGetRate', queue(3, 0, 2, 5), { value: 5 }],
  ['PublishedToDeliveredRatio', queue(0, 0, 6, 2), { value: 3 }],
  ['PublishedToDeliveredRatio', queue(0, 0, 6, 0), { value: 2, active: true }],
  ['PublishedToDeliveredRatio', queue(9, 0, 0, 2), { value: 0 }],
  ['ExpectedQueueConsumptionTime', queue(0, 0, 6, 2), { value: 0 }],
  ['ExpectedQueueConsumptionTime', queue(8, 2, 6, 2), { value: 7 }],
  ['ExpectedQueueConsumptionTime', queue(8, 2, 6, 0), { value: 2, active: true }],
] as const)('%s of %j', (mode, one, expected) => {
  expect(rabbitmqReading([one], { ...counting, mode })).toEqual(expected);
});

test('no queue that an expression matches is nothing to do', () => {
  expect(rabbitmqReading([], { ...counting, operation: 'avg' })).toEqual({ value: 0, queue: { waiting: 0, active: 0, held: 0 } });
});

describe('a queue of the management API', () => {
  const counts = { messages_ready: 4, messages_unacknowledged: 6, consumers: 2 };
  const consumers = (...prefetch: number[]) => ({ consumer_details: prefetch.map((prefetch_count) => ({ prefetch_count })) });
  test.each([
    ['prefetch 1: all that is unacknowledged runs', consumers(1, 1), 6],
    ['prefetch above 1: one each runs, the others are held', consumers(1, 5), 2],
    ['prefetch without a limit', consumers(0, 0), 2],
    ['consumers that are not listed', {}, 2],
  ])('%s', (_, details, active) => expect(queueInfo({ ...counts, ...details })).toMatchObject({ ready: 4, unacknowledged: 6, active }));

  test('without counts it is no queue of 0', () => {
    expect(() => queueInfo({ name: 'mail', messages: 3 })).toThrow('RabbitMQ has no counts of the queue');
    expect(() => queuePage({ items: [counts, {}] })).toThrow('RabbitMQ has no counts of the queue');
    expect(() => queuePage({ error: 'nonsense' })).toThrow('no list of queues');
  });
});

test.each([
  ['http://r:15672', {}, 'http://r:15672/api/queues/%2F/a%2Fb'],
  ['http://r:15672/', {}, 'http://r:15672/api/queues/%2F/a%2Fb'],
  ['http://r:15672/shop', {}, 'http://r:15672/api/queues/shop/a%2Fb'],
  ['http://r:15672/%2Fshop', {}, 'http://r:15672/api/queues/%2Fshop/a%2Fb'],
  ['https://r/under/here/shop', {}, 'https://r/under/here/api/queues/shop/a%2Fb'],
  ['https://r/under/', {}, 'https://r/under/api/queues/%2F/a%2Fb'],
  ['http://r:15672/shop', { vhostName: 'x/y' }, 'http://r:15672/api/queues/x%2Fy/a%2Fb'],
  ['http://r:15672/', { useRegex: true }, 'http://r:15672/api/queues/%2F?page=1&page_size=100&name=a%2Fb&use_regex=true&pagination=true'],
])('%s %j', (base, change, expected) => {
  expect(queueUrl(base, { queueName: 'a/b', useRegex: false, pageSize: 100, ...change })).toBe(expected);
});

test.each([
  [{ host: undefined }, ['host: either host or hostFromEnv has to be given']],
  [{ hostFromEnv: 'URL' }, ['host: either host or hostFromEnv has to be given']],
  [{ host: 'rabbitmq:5672' }, ['host: expected an amqp://, amqps://, http:// or https:// address']],
  [{ mode: 'MessageRate', value: 5 }, ['mode: needs the management API: an http:// address']],
  [{ host: 'http://r', mode: 'MessageRate' }, ['value: mode MessageRate needs it']],
  [
    { useRegex: 'true', excludeUnacknowledged: 'true' },
    ['useRegex: needs the management API: an http:// address', 'excludeUnacknowledged: needs the management API: an http:// address'],
  ],
  [{ usernameFromEnv: 'U' }, ['passwordFromEnv: usernameFromEnv and passwordFromEnv go together']],
  [{ queueLength: '5' }, [': queueLength']],
  [{ workloadIdentityResource: 'x' }, [': workloadIdentityResource']],
])('refuses %j', (change, expected) => {
  const { error } = rabbitmq.metadata.safeParse({ host: 'amqp://r', queueName: 'mail', ...change });
  expect(
    error?.issues.map((issue) => `${issue.path.join('.')}: ${issue.code === 'unrecognized_keys' ? issue.keys : issue.message}`),
  ).toEqual(expected);
});

test.each([
  ['rabbitmq:5672', {}, 'the address of RabbitMQ begins with none of amqp://, amqps://, http:// and https://'],
  ['amqp://r', { protocol: 'http' }, 'the address of RabbitMQ is none for the protocol http'],
  ['amqp://r', { useRegex: 'true' }, 'useRegex needs the management API: an http:// address'],
])('what the variable holds is checked when it is opened: %s %j', (address, change, message) => {
  const metadata = rabbitmq.metadata.parse({ hostFromEnv: 'URL', queueName: 'mail', ...change });
  const open = () => rabbitmq.open(metadata, { environment: { URL: address } } as unknown as TriggerContext);
  expect(open).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID', message }));
});

test('without a value the drain target of the tier decides', () => {
  const target = (metadata: object) => rabbitmq.target(rabbitmq.metadata.parse({ host: 'amqp://r', queueName: 'mail', ...metadata }));
  expect(target({})).toEqual({ value: undefined, activation: 0 });
  expect(target({ value: '20', activationValue: '2' })).toEqual({ value: 20, activation: 2 });
});
