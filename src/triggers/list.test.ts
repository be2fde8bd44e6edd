import { join } from 'node:path';
import { expect, test } from 'vitest';
import { run } from '../kit/spawn.ts';
import { TRIGGERS, triggerType } from './list.ts';

test('every trigger is found by the name that KEDA has for it', () => {
  expect(TRIGGERS.map(({ type }) => type)).toEqual([
    'redis',
    'redis-streams',
    'rabbitmq',
    'kafka',
    'nats-jetstream',
    'postgresql',
    'mysql',
    'mongodb',
    'prometheus',
    'metrics-api',
    'cron',
    'cpu',
    'memory',
    'exec',
  ]);
  expect(TRIGGERS.map(({ type }) => triggerType(type)?.type)).toEqual(TRIGGERS.map(({ type }) => type));
  expect(triggerType('temporal')).toBeUndefined();
});

test('their metadata can be checked without loading one client', async () => {
  const list = JSON.stringify(join(import.meta.dirname, 'list.ts'));
  const script = `
    import { createRequire } from 'node:module';
    await import(${list});
    const loaded = Object.keys(createRequire(import.meta.url).cache ?? {});
    const names = loaded.map((path) => /node_modules\\/((?:@[^/]+\\/)?[^/]+)/.exec(path)?.[1]).filter(Boolean);
    console.log(JSON.stringify([...new Set(names)]));
  `;
  const { code, stdout, stderr } = await run(process.execPath, ['--input-type=module', '--eval', script]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  const clients = ['amqplib', 'ioredis', 'kafkajs', 'mongodb', 'mysql2', 'pg'];
  expect(clients.filter((name) => (JSON.parse(stdout) as string[]).includes(name))).toEqual([]);
});
