import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { run } from '../kit/spawn.ts';
import { onlyFile, tarArchive } from './tar.ts';

test('the tar command finds every file with its owner, mode and content', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'composure-tar-'));
  try {
    const long = `/opt/${'folder/'.repeat(20)}${'n'.repeat(90)}`;
    const archive = tarArchive(
      [
        { path: '/run/secrets/token', content: 'ü\n', uid: 1234, gid: 5678, mode: 0o400 },
        { path: '/empty', content: '', uid: 0, gid: 0, mode: 0o644 },
        { path: long, content: 'x'.repeat(512), uid: 65_534, gid: 0, mode: 0o1777 },
      ],
      new Date('2026-11-24T06:00:00Z'),
    );
    await writeFile(join(folder, 'a.tar'), archive);
    const listed = await run('tar', ['--numeric-owner', '--utc', '-tvf', 'a.tar'], { cwd: folder, env: { TZ: 'UTC', LC_ALL: 'C' } });
    expect(listed).toMatchObject({ code: 0, stderr: '' });
    expect(listed.stdout.split('\n').map((line) => line.replaceAll(/ +/g, ' '))).toEqual([
      '-r-------- 1234/5678 3 2026-11-24 06:00 run/secrets/token',
      '-rw-r--r-- 0/0 0 2026-11-24 06:00 empty',
      `-rwxrwxrwt 65534/0 512 2026-11-24 06:00 ${long.slice(1)}`,
      '',
    ]);
    expect((await run('tar', ['-xOf', 'a.tar', 'run/secrets/token'], { cwd: folder })).stdout).toBe('ü\n');
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('what a tar header cannot hold is an error, not another file', () => {
  const file = { content: '', uid: 0, gid: 0, mode: 0 };
  expect(() => tarArchive([{ ...file, path: `/${'n'.repeat(120)}` }], new Date())).toThrow(RangeError);
  expect(() => tarArchive([{ ...file, path: '/a', uid: 8 ** 7 }], new Date())).toThrow(RangeError);
});

test.each([['ustar'], ['pax']])(
  'a file that the tar command packs as %s is read with its owner, mode, time and content',
  async (format) => {
    const folder = await mkdtemp(join(tmpdir(), 'composure-tar-'));
    try {
      await writeFile(join(folder, 'token'), 'ü\n');
      const flags = [
        `--format=${format}`,
        '--owner=1234',
        '--group=5678',
        '--numeric-owner',
        '--mode=0400',
        '--mtime=2026-11-24 06:00:00.5Z',
      ];
      expect((await run('tar', ['-cf', 'a.tar', ...flags, 'token'], { cwd: folder })).code).toBe(0);
      const file = onlyFile(await readFile(join(folder, 'a.tar')));
      expect(file).toEqual({
        path: '/token',
        content: Buffer.from('ü\n'),
        uid: 1234,
        gid: 5678,
        mode: 0o400,
        modified: new Date('2026-11-24T06:00:00Z'),
      });
      const packed = tarArchive([{ ...(file as NonNullable<typeof file>), path: '/run/secrets/token' }], new Date(0));
      expect(onlyFile(packed)).toEqual({ ...file, path: '/run/secrets/token' });
    } finally {
      await rm(folder, { recursive: true });
    }
  },
);

test('what is no regular file is none', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'composure-tar-'));
  try {
    await symlink('elsewhere', join(folder, 'link'));
    expect((await run('tar', ['-cf', 'a.tar', 'link'], { cwd: folder })).code).toBe(0);
    expect(onlyFile(await readFile(join(folder, 'a.tar')))).toBeUndefined();
    expect(onlyFile(tarArchive([], new Date(0)))).toBeUndefined();
  } finally {
    await rm(folder, { recursive: true });
  }
});
