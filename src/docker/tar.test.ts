import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { run } from '../kit/spawn.ts';
import { tarArchive } from './tar.ts';

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
