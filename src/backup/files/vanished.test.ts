import { expect, test } from 'vitest';
import type { Restic } from '../restic/program.ts';
import { saveFolder } from '../restic/save.ts';

const complaint = (item: string, message: string): string =>
  JSON.stringify({ message_type: 'error', error: { message }, during: 'archival', item });
const SUMMARY = JSON.stringify({
  message_type: 'summary',
  snapshot_id: 'abcdef0123',
  total_files_processed: 2,
  total_bytes_processed: 7,
  data_added_packed: 3,
});

/** Answers as restic does when it could not read everything: exit code 3, and a snapshot all the same. */
function incomplete(complaints: string[]): { restic: Restic; asked: string[][] } {
  const asked: string[][] = [];
  const run: Restic['run'] = async (args) => {
    asked.push([...args]);
    return args[0] === 'backup'
      ? { code: 3, stdout: `${SUMMARY}\n`, stderr: `${complaints.join('\n')}\n` }
      : { code: 0, stdout: '', stderr: '' };
  };
  return {
    restic: { version: '0.19.1', atOnce: 1, appendOnly: false, cache: '/cache', repository: '/repository', run, read: nothing },
    asked,
  };
}

async function* nothing(): AsyncGenerator<Uint8Array, void> {}

const folder = { folder: '/data', tags: [], exclude: [], host: 'here' };

test('files that the application removed meanwhile are named, and the snapshot stays', async () => {
  const { restic, asked } = incomplete([complaint('/data/a', 'llistxattr /data/a: no such file or directory')]);
  expect(await saveFolder(restic, folder)).toEqual({ snapshot: 'abcdef0123', files: 2, bytes: 7, added: 3, vanished: ['/data/a'] });
  expect(asked.map(([command]) => command)).toEqual(['backup']);
});

test('one file that cannot be read takes the snapshot back', async () => {
  const { restic, asked } = incomplete([
    complaint('/data/a', 'lstat /data/a: no such file or directory'),
    complaint('/data/b', 'open /data/b: input/output error'),
  ]);
  await expect(saveFolder(restic, folder)).rejects.toMatchObject({
    code: 'REPOSITORY_FAILED',
    details: expect.arrayContaining(['open /data/b: input/output error']),
  });
  expect(asked.at(-1)?.slice(0, 1)).toEqual(['forget']);
  expect(asked.at(-1)).toContain('abcdef0123');
});
