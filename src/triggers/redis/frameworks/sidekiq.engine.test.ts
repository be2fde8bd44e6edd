import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type RedisServer, startRedis } from '../../../../test/support/redis.ts';
import { openServers, type Servers } from '../../../../test/support/servers.ts';
import type { OpenTrigger } from '../../model.ts';
import { redis } from '../redis.ts';

/**
 * No Ruby here: the test writes, into a real Redis, the keys that Sidekiq documents and writes (version 7: job format, API of queues,
 * sets and processes), in place of a Sidekiq process.
 */
let servers: Servers;
let server: RedisServer;
const opened: OpenTrigger[] = [];

beforeAll(async () => {
  servers = await openServers('sidekiq');
  server = await startRedis(servers);
});
afterAll(async () => {
  for (const trigger of opened) await trigger.close();
  await servers?.remove();
});

function open(listName: string, keyPrefix?: string): OpenTrigger {
  const metadata = { address: 'redis:6379', listName, ...(keyPrefix ? { keyPrefix } : {}) };
  const trigger = redis.open(redis.metadata.parse(metadata), {
    framework: 'sidekiq',
    resolve: async () => server.address(),
    environment: {},
    exec: () => Promise.reject(new Error('no commands here')),
    usage: async () => [],
    now: Date.now,
  });
  opened.push(trigger);
  return trigger;
}

function job(queue: string): string {
  const now = Date.now() / 1000;
  const jid = randomUUID().replaceAll('-', '').slice(0, 24);
  return JSON.stringify({ retry: true, queue, args: [1], class: 'Nap', jid, created_at: now, enqueued_at: now });
}

async function beat(hostname: string, queues: string[], jobs: string[], prefix = ''): Promise<void> {
  const identity = `${hostname}:1:0f1e2d3c4b5a`;
  const info = {
    hostname,
    started_at: Date.now() / 1000,
    pid: 1,
    tag: 'shop',
    concurrency: 5,
    queues,
    weights: [{}],
    labels: [],
    identity,
  };
  await server.call('SADD', `${prefix}processes`, identity);
  await server.call(
    'HSET',
    `${prefix}${identity}`,
    'info',
    JSON.stringify(info),
    'busy',
    jobs.length,
    'beat',
    Date.now() / 1000,
    'quiet',
    'false',
  );
  await server.call('DEL', `${prefix}${identity}:work`);
  for (const [index, queue] of jobs.entries()) {
    const work = JSON.stringify({ queue, payload: job(queue), run_at: Math.floor(Date.now() / 1000) });
    await server.call('HSET', `${prefix}${identity}:work`, `tid${index}`, work);
  }
}

test('counts its own queue among the delayed jobs of all, and tells when the next is due', async () => {
  const trigger = open('heavy');
  expect(await trigger.read()).toEqual({ value: 0, queue: { waiting: 0, active: 0 }, workers: [] });
  const seconds = Date.now() / 1000;
  await server.call('LPUSH', 'queue:heavy', job('heavy'), job('heavy'));
  await server.call('LPUSH', 'queue:light', job('light'));
  await server.call(
    'ZADD',
    'schedule',
    seconds - 5,
    job('heavy'),
    seconds - 5,
    job('light'),
    seconds + 30,
    job('light'),
    seconds + 60,
    job('heavy'),
  );
  await server.call('ZADD', 'retry', seconds - 1, job('heavy'), seconds + 45.5, job('heavy'));
  expect((await trigger.read()).queue).toEqual({ waiting: 4, active: 0, nextDueMs: Math.round((seconds + 45.5) * 1000) });
});

test('knows the busy process from the idle one, and none of another queue', async () => {
  const trigger = open('video');
  await beat('aaaaaaaaaaaa', ['video', 'default'], ['video', 'default']);
  await beat('bbbbbbbbbbbb', ['video'], []);
  await beat('cccccccccccc', ['light'], ['light']);
  await server.call('SADD', 'processes', 'dddddddddddd:1:dead');
  const reading = await trigger.read();
  expect({
    ...reading,
    workers: [...(reading.workers ?? [])].sort((a, b) => String(a.hostname).localeCompare(String(b.hostname))),
  }).toEqual({
    value: 1,
    queue: { waiting: 0, active: 1 },
    workers: [
      { hostname: 'aaaaaaaaaaaa', busy: true },
      { hostname: 'bbbbbbbbbbbb', busy: false },
    ],
  });
});

test('reads an application’s namespace', async () => {
  await server.call('LPUSH', 'shop:queue:heavy', job('heavy'));
  await beat('eeeeeeeeeeee', ['heavy'], ['heavy'], 'shop:');
  expect(await open('heavy', 'shop').read()).toEqual({
    value: 2,
    queue: { waiting: 1, active: 1 },
    workers: [{ hostname: 'eeeeeeeeeeee', busy: true }],
  });
});
