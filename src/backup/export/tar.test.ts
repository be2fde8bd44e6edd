import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { run } from '../../kit/spawn.ts';
import { END, file, memberHeader, padding } from './tar.ts';
import { underFolder } from './tar-read.ts';

let scratch = '';
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'composure-tar-'));
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

const collect = async (input: AsyncIterable<Uint8Array>): Promise<Buffer> => {
  const chunks: Uint8Array[] = [];
  for await (const chunk of input) chunks.push(chunk);
  return Buffer.concat(chunks);
};

async function* inPieces(content: Buffer, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < content.length; at += size) yield content.subarray(at, at + size);
}

/** What the real tar says of an archive. */
async function list(archive: Buffer): Promise<string[]> {
  const path = join(scratch, 'list.tar');
  await writeFile(path, archive);
  const result = await run('tar', ['--list', '--verbose', '--numeric-owner', '--full-time', '--quoting-style=literal', '--file', path]);
  expect(result.stderr).toBe('');
  // Only the last line's end goes: a name may end with blanks.
  return result.stdout.replace(/\n$/, '').split('\n');
}

test('a file whose name is short, long, or not ASCII is read by tar as it was written', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.string({ unit: 'grapheme', minLength: 1, maxLength: 90 }).filter((part) => !/[\0\n/]/.test(part) && !/^\.+$/.test(part)),
        {
          minLength: 1,
          maxLength: 5,
        },
      ),
      fc.string({ maxLength: 2000 }),
      async (parts, words) => {
        const name = `top/${parts.join('/')}`;
        const content = Buffer.from(words);
        const archive = Buffer.concat([memberHeader(file(name, content.length, 1_000_000_000)), content, padding(content.length), END]);
        expect((await list(archive)).map((line) => line.slice(line.indexOf('top/')))).toEqual([name]);
      },
    ),
    {
      numRuns: 25,
      examples: [
        [[' '], ''],
        [['a', ' b '], 'x'],
      ],
    },
  );
});

test.each(['--format=pax', '--format=gnu', '--format=ustar'])(
  'members of an archive made with %s get a folder in front, and all else stays',
  async (format) => {
    const folder = join(scratch, `of${format}`);
    const deep = join(folder, 'd'.repeat(80), 'e'.repeat(60));
    await mkdir(deep, { recursive: true });
    await writeFile(join(deep, 'f'.repeat(70)), 'deep');
    await writeFile(join(folder, 'größe'), Buffer.alloc(70_000, 7));
    await writeFile(join(folder, 'empty'), '');
    await symlink('../elsewhere', join(folder, 'link'));
    await run('ln', [join(folder, 'empty'), join(folder, 'twin')]);
    const made = join(scratch, 'in.tar');
    expect(await run('tar', ['--create', format, '--file', made, '--directory', folder, '.'])).toMatchObject({ code: 0 });
    const { readFile } = await import('node:fs/promises');
    const archive = await readFile(made);
    for (const piece of [100_000, 512, 333]) {
      const moved = Buffer.concat([await collect(underFolder(inPieces(archive, piece), 'set/größe/files')), END]);
      const expected = (await list(archive)).map((line) =>
        line.replace(/(?<=:\d\d(?:\.\d+)? )\.\//, 'set/größe/files/').replace(/link to \.\//, 'link to set/größe/files/'),
      );
      expect(await list(moved)).toEqual(expected);
    }
  },
);

test('an archive that breaks off, and what is none, throw instead of ending', async () => {
  const whole = Buffer.concat([memberHeader(file('a', 600, 0)), Buffer.alloc(600), padding(600), END]);
  for (const length of [0, 100, 512, 1000, 1400, 1536])
    await expect(collect(underFolder(inPieces(whole.subarray(0, length), 512), 'x'))).rejects.toThrow('breaks off');
  await expect(collect(underFolder(inPieces(Buffer.alloc(1024, 'x'), 512), 'x'))).rejects.toThrow('no tar archive');
});
