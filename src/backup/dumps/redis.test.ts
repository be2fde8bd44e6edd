import { expect, test } from 'vitest';
import { passwordIn } from './redis.ts';

const variables = { CACHE_PASS: 'from a variable' };

test.each([
  [['redis-server', '--requirepass', 'two words'], 'two words'],
  [['docker-entrypoint.sh', 'redis-server', '/etc/redis.conf', '--requirepass', '$literal'], '$literal'],
  [['sh', '-c', 'redis-server --appendonly yes --requirepass s3cret'], 's3cret'],
  [['sh', '-c', 'exec redis-server --requirepass "$CACHE_PASS" --port 6380'], 'from a variable'],
  [['sh', '-c', `redis-server --requirepass \${CACHE_PASS}`], 'from a variable'],
  [['sh', '-c', `redis-server --requirepass 'a b $c'`], 'a b $c'],
  [['sh', '-c', 'redis-server --requirepass "$(cat /run/secrets/redis)"'], { file: '/run/secrets/redis' }],
  [['sh', '-c', 'redis-server --requirepass $(cat /run/secrets/redis); true'], { file: '/run/secrets/redis' }],
  [['sh', '-c', 'redis-server --requirepass $UNSET'], undefined],
  [['redis-server', '--requirepass'], undefined],
  [['redis-server', '--save', '60', '1'], undefined],
  [[], undefined],
])('the password in %j', (command, expected) => {
  expect(passwordIn(command, variables)).toEqual(expected);
});
