import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { openDocker } from '../../docker/api.ts';
import { run } from '../../kit/spawn.ts';
import { waitFor } from '../../kit/wait.ts';
import { dumpContract } from './contract.ts';
import { redis } from './redis.ts';

const lua = (script: string): string[] => ['redis-cli', '-a', 'for tests only', 'EVAL', script, '0'];

dumpContract(redis, {
  image: 'redis:8-alpine',
  // The password stands nowhere but in the command.
  run: [],
  command: ['redis-server', '--requirepass', 'for tests only', '--rdbcompression', 'no'],
  database: '',
  program: 'cat',
  fill: [
    lua('for i=1,20000 do redis.call("SET", "k"..i, redis.sha1hex(i)..redis.sha1hex(i+1)) end'),
    lua('redis.call("SET", "large", string.rep("0123456789abcdef", 1500000))'),
    ['redis-cli', '-a', 'for tests only', 'SET', 'session', 'x', 'EX', '90000'],
  ],
});

test('a server that wants another password says so at once', async () => {
  const docker = openDocker();
  const name = `composure-test-dump-${randomBytes(4).toString('hex')}`;
  try {
    expect((await run('docker', ['run', '-d', '--name', name, '-e', 'REDIS_PASSWORD=wrong', 'redis:8-alpine'])).stderr).toBe('');
    const context = { docker, container: await docker.inspectContainer(name), service: 'cache', name: '', report: () => {} };
    const ask = (...args: string[]) => docker.exec(name, ['redis-cli', ...args]);
    await waitFor(async () => ((await ask('PING')).output.includes('PONG') ? true : undefined), { everyMs: 100, timeoutMs: 60_000 });
    await ask('CONFIG', 'SET', 'requirepass', 'for tests only');
    expect(await redis.ready(context)).toBe(false);
    await expect(redis.dump(context)).rejects.toMatchObject({
      code: 'BACKUP_FAILED',
      message: expect.stringMatching(/^cache: the server refuses INFO: NOAUTH/),
      next: expect.stringContaining('REDIS_PASSWORD'),
    });
  } finally {
    await run('docker', ['rm', '-fv', name]);
  }
});
