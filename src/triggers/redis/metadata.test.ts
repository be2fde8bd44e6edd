import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { TriggerContext } from '../model.ts';
import { serverOf } from './metadata.ts';
import { redis } from './redis.ts';
import { redisStreams } from './streams.ts';

const environment = {
  URL: 'redis://user:p%40ss@queue:6380/4',
  PLAIN: 'queue:6379',
  BAD: 'no address, secret-in-it',
  PORT: '6390',
  PASS: 'word',
};
const context = { environment } as unknown as TriggerContext;

function server(metadata: Record<string, unknown>): string {
  const { host, port, database, username, password, tls } = serverOf(
    redis.metadata.parse({ listName: 'q', ...metadata }) as never,
    context,
  );
  return `${username ?? ''}:${password ?? ''}@${host}:${port}/${database}${tls ? ` tls ${tls.verify ? 'verified' : 'unverified'}` : ''}`;
}

test.each([
  [{ address: 'redis:6379' }, ':@redis:6379/0'],
  [{ address: '[fd00::1]:6379' }, ':@fd00::1:6379/0'],
  [{ host: 'redis', port: '6380' }, ':@redis:6380/0'],
  [{ host: 'redis', portFromEnv: 'PORT' }, ':@redis:6390/0'],
  [{ addressFromEnv: 'PLAIN', databaseIndex: '2' }, ':@queue:6379/2'],
  [{ addressFromEnv: 'URL' }, 'user:p@ss@queue:6380/4'],
  [{ addressFromEnv: 'URL', passwordFromEnv: 'PASS', databaseIndex: 1 }, 'user:word@queue:6380/1'],
  [{ address: 'redis:6379', username: 'u', passwordFromEnv: 'PASS', enableTLS: 'true' }, 'u:word@redis:6379/0 tls verified'],
  [{ address: 'rediss://redis', unsafeSsl: true }, ':@redis:6379/0 tls unverified'],
])('%j is %s', (metadata, expected) => {
  expect(server(metadata)).toBe(expected);
});

test.each([
  [{}, 'address: no address of Redis is given'],
  [{ host: 'redis' }, 'address: no address of Redis is given'],
  [{ addressFromEnv: 'BAD' }, 'addressFromEnv: BAD holds neither host:port nor a redis:// URL'],
  [{ addressFromEnv: 'UNSET' }, "addressFromEnv names UNSET, and the service's environment does not have it"],
])('%j is refused: %s', (metadata, message) => {
  expect(() => server(metadata)).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID', message }));
});

test.each(['redis', 'redis:0x', 'http://redis:80', 'redis:6379/2', 'user:pw@redis:6379', 'redis://redis/db', 'redis:70000'])(
  'the address %s is refused as it is read',
  (address) => {
    expect(redis.metadata.safeParse({ address, listName: 'q' }).error?.issues[0]).toMatchObject({ path: ['address'] });
  },
);

test('any password in a URL arrives as it was', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', minLength: 1 }), (password) => {
      const url = `redis://:${encodeURIComponent(password)}@redis:6379`;
      const given = redis.metadata.parse({ addressFromEnv: 'URL', listName: 'q' }) as never;
      expect(serverOf(given, { environment: { URL: url } } as unknown as TriggerContext).password).toBe(password);
    }),
  );
});

test.each([
  [redis, { keyPrefix: 'x' }, undefined, 'keyPrefix: listName is the whole key where no tier.framework is set'],
  [redis, { keyPrefix: 'x' }, 'rq', 'keyPrefix: RQ has no prefix for its keys'],
  [redis, { acksLate: true }, 'bullmq', 'acksLate: only with tier.framework celery'],
  [redisStreams, { stream: 's', lagCount: 1 }, undefined, 'lagCount: lagCount counts nothing without consumerGroup'],
  [
    redisStreams,
    { stream: 's', consumerGroup: 'g', streamLength: 1 },
    undefined,
    'streamLength: streamLength counts nothing with consumerGroup',
  ],
  [
    redisStreams,
    { stream: 's', consumerGroup: 'g', lagCount: 1, pendingEntriesCount: 1 },
    undefined,
    'pendingEntriesCount: pendingEntriesCount counts nothing with lagCount',
  ],
] as const)('$type refuses what would count for nothing: %j', (type, metadata, framework, message) => {
  const list = type.type === 'redis' ? { listName: 'q' } : {};
  const given = type.metadata.parse({ address: 'redis:6379', ...list, ...metadata });
  const open = () => type.open(given as never, { ...context, ...(framework ? { framework } : {}) });
  expect(open).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID', message }));
});

test('the target is that of the count that KEDA would take, or none', () => {
  const target = (metadata: Record<string, unknown>) =>
    redisStreams.target(redisStreams.metadata.parse({ address: 'redis:6379', stream: 's', ...metadata }));
  expect(target({ streamLength: 4 })).toEqual({ value: 4, activation: 0 });
  expect(target({ consumerGroup: 'g' })).toEqual({ value: undefined, activation: 0 });
  expect(target({ consumerGroup: 'g', pendingEntriesCount: 3 })).toEqual({ value: 3, activation: 0 });
  expect(target({ consumerGroup: 'g', lagCount: 2, activationLagCount: 9 })).toEqual({ value: 2, activation: 9 });
});
