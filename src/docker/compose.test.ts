import { expect, test } from 'vitest';
import { dockerFailure, splitMessages } from './compose.ts';

const answer = (stdout: string, code = 0, stderr = '') => ({ code, stdout, stderr });
const engine = (version: string) =>
  answer(JSON.stringify({ Client: { Version: '28.0.0' }, Server: { Components: [{ Version: '1.0' }], Version: version } }));

test('what Docker’s answers mean', () => {
  const code = (docker: Parameters<typeof dockerFailure>[0], compose: Parameters<typeof dockerFailure>[1]) =>
    dockerFailure(docker, compose)?.code;
  expect(code(engine('25.0.0'), answer('2.20.0\n'))).toBeUndefined();
  expect(code(engine('28.5.2+dfsg4'), answer('v5.1.0-rc1\n'))).toBeUndefined();
  expect(code(engine('24.0.9'), answer('2.40.3'))).toBe('DOCKER_TOO_OLD');
  expect(code(engine('28.0.0'), answer('2.19.1'))).toBe('COMPOSE_MISSING');
  expect(code(engine('28.0.0'), answer('', 1, "docker: 'compose' is not a docker command."))).toBe('COMPOSE_MISSING');
  expect(code(answer('', 127), answer('', 127))).toBe('DOCKER_MISSING');
  expect(code(answer('{"Client":{"Version":"28.0.0"},"Server":null}', 1, 'permission denied'), answer('2.40.3'))).toBe(
    'DOCKER_UNREACHABLE',
  );
  expect(dockerFailure(engine('24.0.9'), answer('2.40.3'))?.message).toBe(
    'the Docker engine is version 24.0.9; Composure needs 25.0 or newer',
  );
});

test('Compose’s log lines are told from its reason', () => {
  const stderr = 'time="2026-01-01T00:00:00Z" level=warning msg="The \\"X\\" variable is not set."\nvalidating a: no\n\nmore\n';
  expect(splitMessages(stderr)).toEqual({ warnings: ['The "X" variable is not set.'], rest: 'validating a: no\n\nmore' });
});
