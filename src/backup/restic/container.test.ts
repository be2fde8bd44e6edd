import { expect, test } from 'vitest';
import { containerCommand } from './container.ts';

const variables = {
  RESTIC_PASSWORD: 'never shown',
  RESTIC_REPOSITORY: '/mnt/backup',
  RESTIC_CACHE_DIR: '/root/.cache/restic',
  HOME: '/root',
};
const mounts = (args: readonly string[]): string[] => args.filter((_arg, index) => args[index - 1] === '--mount');

test('every path is where it is on the host, and only what is written to can be', () => {
  const { args } = containerCommand(
    'restic/restic:1',
    variables,
    ['restore', 'x'],
    { cwd: '/data', paths: ['/etc/a', '/data'], writes: ['/out'] },
    () => true,
  );
  expect(mounts(args)).toEqual([
    'type=bind,source=/data,target=/data,readonly',
    'type=bind,source=/etc/a,target=/etc/a,readonly',
    'type=bind,source=/root/.cache/restic,target=/root/.cache/restic',
    'type=bind,source=/out,target=/out',
    'type=bind,source=/mnt/backup,target=/mnt/backup',
  ]);
  expect(args.slice(args.indexOf('--workdir'))).toEqual([
    '--workdir',
    '/data',
    '--entrypoint',
    'sh',
    'restic/restic:1',
    '-c',
    expect.any(String),
    'restic',
    'restore',
    'x',
  ]);
});

test('a repository whose folder is not there is not made by mounting it', () => {
  const { args } = containerCommand('i', variables, ['cat', 'config'], {}, (path) => path !== '/mnt/backup');
  expect(mounts(args).join()).not.toContain('/mnt/backup');
});

test('ssh finds its keys where it looks for them, for SFTP alone', () => {
  const { args } = containerCommand(
    'i',
    { ...variables, RESTIC_REPOSITORY: 'sftp:backup@nas:/srv', HOME: '/home/op' },
    ['check'],
    {},
    () => true,
  );
  expect(mounts(args)).toContain('type=bind,source=/home/op/.ssh,target=/root/.ssh,readonly');
  expect(mounts(containerCommand('i', variables, ['check'], {}, () => true).args).join()).not.toContain('.ssh');
});

test('a path with a comma or a quote stays one path', () => {
  const { args } = containerCommand('i', variables, [], { cwd: '/a, "b"' }, () => false);
  expect(mounts(args)[0]).toBe('type=bind,"source=/a, ""b""","target=/a, ""b""",readonly');
});

test('values go by standard input, which ends with an empty line and stays open', () => {
  const { args, input, holdInput, env } = containerCommand('i', { A: '', RESTIC_PASSWORD: 'x\n$y' }, [], {}, () => false);
  expect(input).toBe(`A \nRESTIC_PASSWORD ${Buffer.from('x\n$y').toString('base64')}\n\n`);
  expect(holdInput).toBe(true);
  expect(env).toBeUndefined();
  expect(args.join(' ')).not.toContain('$y');
});
