import { expect, test } from 'vitest';
import { complaints, resticFailure } from './outcome.ts';

const REFUSED = 'Remove(<snapshot/42539646a8>) failed: unexpected HTTP response (403): 403 Forbidden';
const STACK = [
  'main.init',
  '\tgithub.com/restic/restic/cmd/restic/cmd_forget.go:67',
  'runtime.main',
  '\truntime/proc.go:258',
  'runtime.goexit',
  '\truntime/asm_amd64.s:1771',
];
const json = (message: object): string => `${JSON.stringify(message)}\n`;

test.each([
  ['as JSON', json({ message_type: 'exit_error', code: 3, message: ['failed to remove one or more snapshots', ...STACK].join('\n') })],
  ['as text', `failed to remove one or more snapshots\n${STACK.join('\n')}\n`],
])('restic’s own words are kept and its stack is not, %s', (_title, stderr) => {
  expect(complaints({ code: 3, stdout: '', stderr: `${REFUSED}\n${stderr}` })).toEqual([REFUSED, 'failed to remove one or more snapshots']);
});

test.each([
  [10, '', 'REPOSITORY_MISSING', 'there is no repository'],
  [11, '', 'REPOSITORY_LOCKED', 'locked by another restic'],
  [12, '', 'REPOSITORY_PASSWORD', 'the password is not the repository’s'],
  [1, json({ message_type: 'error', error: { message: 'write /x: no space left on device' }, item: '/x' }), 'DISK_FULL', 'a disk is full'],
  [3, `${REFUSED}\n`, 'REPOSITORY_FAILED', 'the repository lets nothing be removed from here'],
  [3, 'Remove(<snapshot/42>) failed: client.RemoveObject: Access Denied.\n', 'REPOSITORY_FAILED', 'lets nothing be removed from here'],
  [1, 'Save(<data/42>) returned error: unexpected HTTP response (403)\n', 'REPOSITORY_FAILED', 'restic ended with exit code 1'],
])('exit code %i with %j is %s: %s', (code, stderr, name, words) => {
  expect(resticFailure({ code, stdout: '', stderr }, 'do it', '/repository')).toMatchObject({
    code: name,
    message: expect.stringContaining(words),
    where: '/repository',
  });
});
