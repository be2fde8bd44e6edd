import { dumpContract } from './contract.ts';
import { redis } from './redis.ts';

dumpContract(redis, {
  image: 'redis:8-alpine',
  run: ['-e', 'REDIS_PASSWORD=for-tests-only'],
  command: ['redis-server', '--requirepass', 'for-tests-only'],
  database: '',
  program: 'cat ',
  fill: [
    [
      'redis-cli',
      '-a',
      'for-tests-only',
      'EVAL',
      'for i=1,130000 do redis.call("SET", "k"..i, redis.sha1hex(i)..redis.sha1hex(i+1)) end',
      '0',
    ],
    ['redis-cli', '-a', 'for-tests-only', 'SET', 'session', 'x', 'EX', '90000'],
  ],
});
