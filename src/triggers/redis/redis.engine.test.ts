import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { selfSigned } from '../../../test/support/certificate.ts';
import { type RedisServer, startRedis } from '../../../test/support/redis.ts';
import { openServers, type Servers } from '../../../test/support/servers.ts';
import { type ContractSource, triggerContract } from '../contract.ts';
import type { OpenTrigger, TriggerContext, TriggerNotice } from '../model.ts';
import { redis } from './redis.ts';
import { redisStreams } from './streams.ts';

const PASSWORD = 'sesame-of-a-test';

async function startSource(
  metadata: Record<string, unknown>,
  hold: (server: RedisServer, value: number) => Promise<void>,
): Promise<ContractSource> {
  const servers = await openServers('redis');
  const server = await startRedis(servers, { password: PASSWORD });
  return {
    metadata: { address: 'redis:6379', passwordFromEnv: 'REDIS_PASSWORD', databaseIndex: 0, ...metadata },
    environment: { REDIS_PASSWORD: PASSWORD },
    hold: (value) => hold(server, value),
    server: { ...server, refused: { environment: { REDIS_PASSWORD: 'not-the-secret' }, secret: 'not-the-secret' } },
    remove: servers.remove,
  };
}

const jobs = (count: number) => Array.from({ length: count }, (_, index) => `job ${index}`);

triggerContract({
  type: redis,
  server: true,
  credentials: true,
  start: () =>
    startSource({ listName: 'heavy', listLength: 5, activationListLength: 1 }, async (server, value) => {
      await server.call('DEL', 'heavy');
      await server.call('LPUSH', 'heavy', ...jobs(value));
    }),
});

triggerContract({
  title: 'redis-streams (lag)',
  type: redisStreams,
  server: true,
  credentials: true,
  start: () =>
    startSource({ stream: 'orders', consumerGroup: 'billing', lagCount: 5 }, async (server, value) => {
      await server.call('DEL', 'orders');
      for (const job of jobs(value)) await server.call('XADD', 'orders', '*', 'job', job);
      await server.call('XGROUP', 'CREATE', 'orders', 'billing', '0');
    }),
});

describe('on one Redis', () => {
  let servers: Servers;
  let server: RedisServer;
  const opened: OpenTrigger[] = [];

  beforeAll(async () => {
    servers = await openServers('redis-kinds');
    server = await startRedis(servers);
  });
  afterAll(async () => {
    for (const trigger of opened) await trigger.close();
    await servers?.remove();
  });

  function contextOf(change: Partial<TriggerContext> = {}): TriggerContext {
    return {
      resolve: async () => server.address(),
      environment: {},
      exec: () => Promise.reject(new Error('not here')),
      usage: async () => [],
      now: Date.now,
      ...change,
    };
  }

  function open(metadata: Record<string, unknown>, change: Partial<TriggerContext> = {}): OpenTrigger {
    const trigger = redis.open(redis.metadata.parse({ address: 'redis:6379', ...metadata }), contextOf(change));
    opened.push(trigger);
    return trigger;
  }

  test('counts a key of any type by what it is, and follows when the type changes', async () => {
    const trigger = open({ listName: 'kinds' });
    const counts: Record<string, number> = { nothing: (await trigger.read()).value };
    const fill: [string, ...string[]][] = [
      ['LPUSH', 'kinds', 'a'],
      ['ZADD', 'kinds', '1', 'a', '2', 'b'],
      ['SADD', 'kinds', 'a', 'b', 'c'],
      ['HSET', 'kinds', 'a', '1', 'b', '2', 'c', '3', 'd', '4'],
      ['XADD', 'kinds', '*', 'a', '1'],
    ];
    for (const command of fill) {
      await server.call('DEL', 'kinds');
      await server.call(...command);
      counts[command[0]] = (await trigger.read()).value;
    }
    expect(counts).toEqual({ nothing: 0, LPUSH: 1, ZADD: 2, SADD: 3, HSET: 4, XADD: 1 });
    await server.call('SET', 'kinds', 'text');
    await expect(trigger.read()).rejects.toMatchObject({
      code: 'TRIGGER_FAILED',
      message: 'Redis at redis:6379: the key "kinds" is a string, which has no length',
    });
  });

  test('reads the database that it is told to, from the URL and from databaseIndex', async () => {
    await server.call('FLUSHALL');
    await server.call('EVAL', "redis.call('SELECT', 3) return redis.call('LPUSH', 'there', 'a', 'b')", 0);
    const byUrl = open({ address: undefined, addressFromEnv: 'URL', listName: 'there' }, { environment: { URL: 'redis://redis:6379/3' } });
    expect([(await byUrl.read()).value, (await open({ listName: 'there', databaseIndex: 3 }).read()).value]).toEqual([2, 2]);
    expect((await open({ listName: 'there' }).read()).value).toBe(0);
  });

  test('tells of each change once until it is read, of a key that was not there, and of FLUSHALL', async () => {
    const trigger = open({ listName: 'told' });
    const notices: TriggerNotice[] = [];
    trigger.watch?.((notice) => notices.push(notice));
    const settle = async (count: number) => {
      await expect.poll(() => notices.length, { interval: 10 }).toBe(count);
      await new Promise((done) => setTimeout(done, 150));
      expect(notices).toEqual(Array.from({ length: count }, () => ({ kind: 'changed' })));
    };
    await trigger.read();
    for (const job of jobs(20)) await server.call('LPUSH', 'told', job);
    await settle(1);
    expect((await trigger.read()).value).toBe(20);
    await server.call('FLUSHALL');
    await settle(2);
    expect((await trigger.read()).value).toBe(0);
    await server.call('LPUSH', 'told', 'one more');
    await settle(3);
  });

  test('tells of a job that a waiting consumer takes at once, although the list stays empty', async () => {
    const trigger = open({ listName: 'taken' });
    const notices: TriggerNotice[] = [];
    const consumer = server.call('BRPOP', 'taken', 10);
    await expect.poll(() => server.call('INFO', 'clients')).toContain('blocked_clients:1');
    trigger.watch?.((notice) => notices.push(notice));
    expect((await trigger.read()).value).toBe(0);
    await server.call('LPUSH', 'taken', 'job');
    expect(await consumer).toEqual(['taken', 'job']);
    await expect.poll(() => notices).toEqual([{ kind: 'changed' }]);
    expect((await trigger.read()).value).toBe(0);
  });

  test('is told of at most 20 changes a second, however fast the queue changes and however soon it is read', async () => {
    const trigger = open({ listName: 'fast' });
    let notices = 0;
    let reads: Promise<unknown> = Promise.resolve();
    trigger.watch?.(() => {
      notices += 1;
      reads = reads.then(() => trigger.read());
    });
    await trigger.read();
    const started = performance.now();
    for (let index = 0; performance.now() - started < 1_000; index += 1) await server.call('LPUSH', 'fast', index);
    await reads;
    const seconds = (performance.now() - started) / 1_000;
    expect(notices).toBeGreaterThan(5);
    expect(notices).toBeLessThanOrEqual(Math.ceil(seconds * 20) + 1);
  });

  test('is polled where the server refuses to tell, and says so once', async () => {
    await server.call('ACL', 'SETUSER', 'reader', 'on', '>reader-pass', '~*', '+@all', '-client|tracking');
    const notices: TriggerNotice[] = [];
    const trigger = open({ listName: 'quiet', username: 'reader', passwordFromEnv: 'PASS' }, { environment: { PASS: 'reader-pass' } });
    trigger.watch?.((notice) => notices.push(notice));
    await trigger.read();
    await server.call('LPUSH', 'quiet', 'a');
    expect((await trigger.read()).value).toBe(1);
    expect(notices).toEqual([{ kind: 'lost', forGood: true, reason: expect.stringContaining('does not tell of changes and is polled') }]);
  });

  test('needs no more of an access control list than the guide says', async () => {
    const rights =
      '~* +@read +multi +exec +ping +client|setname +client|id +client|tracking +subscribe +psubscribe &__redis__:invalidate &/0.celeryev/worker.*';
    await server.call('ACL', 'SETUSER', 'scaler', 'reset', 'on', '>scaler-pass', ...rights.split(' '));
    const login = { username: 'scaler', passwordFromEnv: 'PASS' };
    for (const framework of [undefined, 'celery', 'bullmq', 'rq', 'sidekiq'] as const) {
      if (framework === 'bullmq') await server.call('ACL', 'SETUSER', 'scaler', '+sort', '+client|list');
      const change = { environment: { PASS: 'scaler-pass' }, ...(framework ? { framework } : {}) };
      const trigger = open({ listName: 'allowed', ...login }, change);
      const notices: TriggerNotice[] = [];
      trigger.watch?.((notice) => notices.push(notice));
      expect(await trigger.read()).toMatchObject({ value: 0, ...(framework ? { workers: [] } : {}) });
      expect(notices).toEqual([]);
      await expect.poll(() => server.call('PUBSUB', 'NUMPAT')).toBe(framework === 'celery' ? 1 : 0);
      await trigger.close();
    }
  });

  test('says in the server’s words which permission is missing', async () => {
    await server.call('ACL', 'SETUSER', 'blind', 'on', '>blind-pass', '~*', '+@all', '-llen');
    const trigger = open({ listName: 'x', username: 'blind', passwordFromEnv: 'PASS' }, { environment: { PASS: 'blind-pass' } });
    await expect(trigger.read()).rejects.toMatchObject({
      code: 'TRIGGER_FAILED',
      message: expect.stringContaining("no permissions to run the 'llen' command"),
      next: 'check username and passwordFromEnv of the trigger against the server',
    });
  });

  test('does not take a plain server for one with TLS', async () => {
    await expect(open({ listName: 'x', enableTLS: true, unsafeSsl: true }).read()).rejects.toMatchObject({ code: 'TRIGGER_FAILED' });
  });

  test('connects with TLS, and takes a certificate that nobody signed only when told to', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'composure-test-redis-'));
    const { certificate, key } = await selfSigned(['secure']);
    await writeFile(join(folder, 'cert.pem'), certificate, { mode: 0o644 });
    await writeFile(join(folder, 'key.pem'), key, { mode: 0o644 });
    await chmod(folder, 0o755);
    try {
      const secure = await servers.start({
        image: 'redis:8-alpine',
        port: 6380,
        flags: ['--volume', `${folder}:/tls:ro`],
        command: [
          ...['redis-server', '--port', '0', '--tls-port', '6380', '--tls-auth-clients', 'no'],
          ...['--tls-cert-file', '/tls/cert.pem', '--tls-key-file', '/tls/key.pem'],
        ],
      });
      const change = { resolve: async () => secure.address() };
      const trusting = open({ address: 'rediss://secure:6380', unsafeSsl: true, listName: 'x' }, change);
      await expect.poll(() => trusting.read().catch((error: Error) => error.message), { timeout: 10_000 }).toMatchObject({ value: 0 });
      const careful = open({ address: 'secure:6380', enableTLS: true, listName: 'x' }, change);
      await expect(careful.read()).rejects.toMatchObject({ message: expect.stringContaining('self-signed certificate') });
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  test('notices a connection that hears nothing any more although it was never closed', async () => {
    // A server behind a router that forgets connections: bytes go nowhere, no end is ever sent.
    let silent = false;
    const proxy = createServer((client) => {
      const upstream = connect(server.address());
      client.on('data', (data) => !silent && upstream.write(data)).on('error', () => {});
      upstream.on('data', (data) => !silent && client.write(data)).on('error', () => {});
      client.on('close', () => upstream.destroy());
    });
    await new Promise<void>((done) => proxy.listen(0, '127.0.0.1', done));
    const { port } = proxy.address() as { port: number };
    try {
      const notices: TriggerNotice[] = [];
      const trigger = open({ listName: 'far' }, { resolve: async () => ({ host: '127.0.0.1', port }) });
      trigger.watch?.((notice) => notices.push(notice));
      await trigger.read();
      silent = true;
      await expect(trigger.read()).rejects.toMatchObject({ message: 'Redis at redis:6379: no answer in time' });
      expect(notices).toEqual([{ kind: 'lost', reason: 'redis:6379: no answer in time' }]);
      silent = false;
      expect((await trigger.read()).value).toBe(0);
      await trigger.close();
    } finally {
      proxy.close();
    }
  });

  test('counts a stream that is not there, one without the group, and what consumers hold', async () => {
    const trigger = redisStreams.open(
      redisStreams.metadata.parse({ address: 'redis:6379', stream: 's', consumerGroup: 'g', pendingEntriesCount: 2 }),
      contextOf(),
    );
    opened.push(trigger);
    expect(await trigger.read()).toEqual({ value: 0, active: false, queue: { waiting: 0, active: 0 }, workers: [] });
    for (const job of jobs(5)) await server.call('XADD', 's', '*', 'job', job);
    expect(await trigger.read()).toMatchObject({ value: 0, active: true, queue: { waiting: 5, active: 0 } });
    await server.call('XGROUP', 'CREATE', 's', 'g', '0');
    await server.call('XREADGROUP', 'GROUP', 'g', 'worker-0123456789ab', 'COUNT', 2, 'STREAMS', 's', '>');
    await server.call('XGROUP', 'CREATECONSUMER', 's', 'g', 'fedcba987654');
    expect(await trigger.read()).toEqual({
      value: 2,
      active: true,
      queue: { waiting: 3, active: 2 },
      workers: [
        { hostname: 'fedcba987654', busy: false },
        { hostname: '0123456789ab', busy: true },
      ],
    });
    // Redis loses count of the lag when an entry between is deleted.
    const entries = (await server.call('XRANGE', 's', '-', '+')) as [string, string[]][];
    await server.call('XDEL', 's', entries[3]?.[0] as string);
    expect(await trigger.read()).toMatchObject({ queue: { waiting: 2, active: 2 } });
  });
});
