import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { zstdDecompressSync } from 'node:zlib';
import { Decrypter } from 'age-encryption';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { newIdentity, recipientOf } from '../../secrets/encryption.ts';
import type { Restic } from '../restic/program.ts';
import { manifest, store } from '../restore/fixtures.ts';
import { exportSet } from './save.ts';

let top = '';
beforeEach(async () => {
  top = await mkdtemp(join(tmpdir(), 'composure-export-'));
});
afterEach(() => rm(top, { recursive: true, force: true }));

/** A repository whose every dump has these bytes, in pieces. */
const repository = (bytes: number): Restic => ({
  version: '0.19.1',
  atOnce: 1,
  appendOnly: false,
  cache: '/cache',
  repository: '/repository',
  run: async () => ({ code: 0, stdout: '', stderr: '' }),
  async *read() {
    for (let left = bytes; left > 0; left -= 100_000) yield Buffer.alloc(Math.min(left, 100_000), 'dump');
  },
});

const write = (bytes: number, recipients: string[]) =>
  exportSet(repository(bytes), manifest([store('db/postgres/shop', { bytes: 1_000_000 })]), {
    out: join(top, 'set'),
    recipients,
    report: () => {},
    signal: new AbortController().signal,
  });

test('an export that is encrypted is opened by its recipient’s identity only, and is the whole archive', async () => {
  const key = await newIdentity();
  const length = await write(1_000_000, [await recipientOf(key)]);
  const content = await readFile(join(top, 'set'));
  expect(content.length).toBe(length);
  expect((await stat(join(top, 'set'))).mode & 0o777).toBe(0o600);
  const open = (identity: string) => {
    const decrypter = new Decrypter();
    decrypter.addIdentity(identity);
    return decrypter.decrypt(content);
  };
  await expect(open(await newIdentity())).rejects.toThrow();
  const archive = zstdDecompressSync(await open(key));
  expect(archive.includes('shop-20261124T060000Z-ab12/db/postgres/shop.dump')).toBe(true);
  expect(archive.length).toBeGreaterThan(1_000_000);
});

test.each([
  ['shorter', 999_999],
  ['longer', 1_000_001],
])('a dump that is %s than its manifest says leaves no export', async (_title, bytes) => {
  await expect(write(bytes, [])).rejects.toMatchObject({
    code: 'REPOSITORY_FAILED',
    message: 'db/postgres/shop of set 20261124T060000Z-ab12 is not as long as its manifest says',
  });
  expect(await readdir(top)).toEqual([]);
});
