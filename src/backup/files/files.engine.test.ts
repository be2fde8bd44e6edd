import { spawn } from 'node:child_process';
import {
  chmod,
  chown,
  link,
  lstat,
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  rm,
  symlink,
  truncate,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type TestRepository, testRepository } from '../../../test/support/restic.ts';
import { run } from '../../kit/spawn.ts';
import type { FileFacts, SavedStore } from '../model.ts';
import { folderFacts } from './facts.ts';
import { mountPointOf, readMounts } from './mounts.ts';
import { type FilesStore, makeDatabases, saveFiles } from './save-files.ts';
import { databaseFacts } from './sqlite.ts';

let repository: TestRepository;
beforeAll(async () => {
  repository = await testRepository();
});
afterAll(() => repository.remove());

const fresh = (): Promise<string> => mkdtemp(join(repository.scratch, 'data-'));
const storeOf = (folder: string, more: Partial<FilesStore> = {}): FilesStore => ({
  id: 'web/files/uploads',
  kind: 'files',
  service: 'web',
  name: 'uploads',
  why: 'test',
  folder,
  target: '/uploads',
  exclude: [],
  consistency: 'none',
  users: ['web'],
  mayBeEmpty: false,
  ...more,
});
const options = (previous?: SavedStore) => ({
  tags: ['composure', 'store=web/files/uploads'],
  scratch: repository.scratch,
  host: 'here',
  signal: new AbortController().signal,
  previous,
});
const save = (store: FilesStore, previous?: SavedStore) => saveFiles(repository.restic, store, options(previous));
const withoutMount = (facts: unknown): FileFacts => {
  const { mountPoint: _, ...rest } = facts as FileFacts;
  return rest;
};

describe('a folder of everything that a file system can hold', () => {
  let folder = '';
  let saved: Awaited<ReturnType<typeof save>>;
  let restored = '';
  const odd = Buffer.from([0x62, 0xff, 0xe2, 0x82, 0x2e, 0x64]);

  beforeAll(async () => {
    folder = await fresh();
    await mkdir(join(folder, 'sub/empty'), { recursive: true });
    await writeFile(join(folder, 'new\nline "quoted"'), 'a');
    await writeFile(join(folder, '-rf'), 'bc');
    await writeFile(Buffer.concat([Buffer.from(`${folder}/`), odd]), 'def');
    await writeFile(join(folder, '*'), 'star');
    await writeFile(join(folder, 'schön 日本'), 'x');
    await writeFile(join(folder, 'sub/private'), 'secret');
    await chmod(join(folder, 'sub/private'), 0o600);
    await chown(join(folder, 'sub/private'), 1234, 567);
    await writeFile(join(folder, 'sub/program'), '#!/bin/sh\n');
    await chmod(join(folder, 'sub/program'), 0o4755);
    await chmod(join(folder, 'sub/empty'), 0o3777);
    await utimes(join(folder, 'sub/program'), 1, 1_000_000_000.999);
    await writeFile(join(folder, 'sparse'), '');
    await truncate(join(folder, 'sparse'), 32 * 1024 * 1024);
    await writeFile(join(folder, 'one'), 'linked');
    await link(join(folder, 'one'), join(folder, 'sub/other'));
    await symlink('../../../etc/passwd', join(folder, 'sub/away'));
    await symlink('nowhere', join(folder, 'dangling'));
    expect(await run('mkfifo', [join(folder, 'pipe')])).toMatchObject({ code: 0 });
    saved = await save(storeOf(folder));
    restored = await repository.restore(saved.snapshot);
  });

  test('has the same facts on disk, in its snapshot and after a restore', async () => {
    const facts = await folderFacts(folder);
    expect(facts).toMatchObject({ files: 10, folders: 2, bytes: 1 + 2 + 3 + 4 + 1 + 6 + 10 + 32 * 1024 * 1024 + 2 * 6 });
    expect(withoutMount(saved.facts)).toEqual(facts);
    expect(await folderFacts(restored)).toEqual(facts);
    expect(saved).toMatchObject({ path: '/', tool: expect.stringMatching(/^restic \d/), bytes: facts.bytes });
  });

  test('names with a line end, a leading dash, a star and bytes that are no UTF-8 come back', async () => {
    expect((await readdir(restored, { encoding: 'buffer' })).some((name) => name.equals(odd))).toBe(true);
    expect(await readFile(join(restored, 'new\nline "quoted"'), 'utf8')).toBe('a');
    expect(await readFile(join(restored, '-rf'), 'utf8')).toBe('bc');
    expect(await readFile(join(restored, '*'), 'utf8')).toBe('star');
  });

  test('owners, permissions, hard links and links are kept, and a link out is no copy of what it leads to', async () => {
    expect(await lstat(join(restored, 'sub/private'))).toMatchObject({ uid: 1234, gid: 567, mode: 0o100600 });
    expect((await lstat(join(restored, 'sub/program'))).mode).toBe(0o104755);
    expect((await lstat(join(restored, 'sub/empty'))).mode).toBe(0o43777);
    const [one, other] = await Promise.all(['one', 'sub/other'].map((name) => lstat(join(restored, name))));
    expect(one).toMatchObject({ nlink: 2, ino: other?.ino });
    expect((await lstat(join(restored, 'sub/away'))).isSymbolicLink()).toBe(true);
  });

  test('a sparse file takes next to no room in the repository and is whole again', async () => {
    expect(saved.added).toBeLessThan(1024 * 1024);
    expect((await lstat(join(restored, 'sparse'))).size).toBe(32 * 1024 * 1024);
  });

  test.each([
    ['another size', async (path: string) => writeFile(join(path, '-rf'), 'bcd')],
    ['another owner', async (path: string) => chown(join(path, '-rf'), 1, 1)],
    ['another mode', async (path: string) => chmod(join(path, '-rf'), 0o640)],
    ['a file more', async (path: string) => writeFile(join(path, 'more'), '')],
    ['a file less', async (path: string) => rm(join(path, 'dangling'))],
  ])('the listing tells %s', async (_title, change) => {
    const before = await folderFacts(restored);
    await change(restored);
    expect((await folderFacts(restored)).listing).not.toBe(before.listing);
  });
});

describe('patterns leave out in the facts what restic leaves out', () => {
  let folder = '';
  beforeAll(async () => {
    folder = await fresh();
    for (const name of ['cache/a', 'sub/cache/b', 'sub/keep/c.tmp', 'd.tmp', 'e.txt', 'sub/[x]', 'sub/deep/er/f', 'cache-not', '-g']) {
      await mkdir(join(folder, name, '..'), { recursive: true });
      await writeFile(join(folder, name), name);
    }
  });
  test.each([
    { patterns: ['cache', '?.txt', '/sub/**/f', '\\[x\\]', '-g'], files: 3 },
    { patterns: ['/cache', '*.tmp', '!c.tmp', 'ca[^x]he-*', '[a-c]'], files: 5 },
    { patterns: ['/*', '!/sub', 'deep/', 'sub/cache'], files: 2 },
    // Bare, as restic has it, each would match a part of the path to the folder and leave out everything.
    { patterns: ['tmp', 'data-*', 'composure-restic-*'], files: 9 },
  ])('$patterns', async ({ patterns, files }) => {
    const saved = await save(storeOf(folder, { exclude: patterns }));
    expect(saved.facts).toMatchObject({ files });
    expect(withoutMount(saved.facts)).toEqual(await folderFacts(folder, patterns));
  });

  test('also where the path to the folder is a link', async () => {
    const link = join(repository.scratch, 'linked');
    await symlink(folder, link);
    const saved = await save(storeOf(link, { exclude: ['/cache', '*.tmp'] }));
    expect(saved.facts).toMatchObject({ files: 6 });
    expect(saved.origin?.folder).toBe(link);
  });
});

describe('what must not look like a good backup', () => {
  const refused = async (store: FilesStore, why: string | RegExp, previous?: SavedStore): Promise<void> => {
    const before = (await repository.snapshots()).length;
    await expect(save(store, previous)).rejects.toMatchObject({ code: 'BACKUP_FAILED', message: expect.stringMatching(why) });
    expect((await repository.snapshots()).length).toBe(before);
  };

  test('an empty volume, and one whose files are all left out, fails unless it may be empty', async () => {
    const folder = await fresh();
    await refused(storeOf(folder, { volume: 'shop_uploads' }), 'the volume shop_uploads holds no file');
    await mkdir(join(folder, 'only/folders'), { recursive: true });
    await refused(storeOf(folder), 'holds no file');
    await writeFile(join(folder, 'x.tmp'), '');
    await refused(storeOf(folder, { exclude: ['*.tmp'] }), 'holds no file');
    const saved = await save(storeOf(folder, { exclude: ['*.tmp'], mayBeEmpty: true }));
    expect(saved.facts).toMatchObject({ files: 0, folders: 2 });
    const nothing = await save(storeOf(folder, { exclude: ['*'], mayBeEmpty: true }));
    expect(nothing.facts).toEqual(await folderFacts(folder, ['*']));
    expect(await readdir(await repository.restore(nothing.snapshot, nothing.path))).toEqual([]);
  });

  test('a folder that is gone, and one that is a file', async () => {
    await refused(storeOf(join(repository.scratch, 'nothing')), 'does not exist');
    const folder = await fresh();
    await writeFile(join(folder, 'file'), '');
    await refused(storeOf(join(folder, 'file')), 'is no folder');
  });

  test('a bind mount whose disk is no longer mounted, though files lie in its place', async () => {
    const folder = await fresh();
    const disk = join(folder, 'disk');
    await mkdir(disk);
    expect(await run('mount', ['-t', 'tmpfs', 'tmpfs', disk])).toMatchObject({ code: 0 });
    let previous: SavedStore;
    try {
      await writeFile(join(disk, 'photo'), 'on the disk');
      previous = (await save(storeOf(disk))) as SavedStore;
      expect(previous.facts).toMatchObject({ files: 1, mountPoint: disk });
    } finally {
      expect(await run('umount', [disk])).toMatchObject({ code: 0 });
    }
    await writeFile(join(disk, 'photo'), 'below the disk');
    await refused(storeOf(disk), /is not mounted, and/, previous);
    // Without a disk before there is nothing to miss.
    expect((await save(storeOf(disk))).facts).toMatchObject({ mountPoint: mountPointOf(disk, await readMounts()) });
  });
});

/** Holds a lease on one file: whoever opens it waits, and the kernel tells the holder, who removes the other file and lets go. */
const LEASE = `
  use Fcntl;
  my ($held, $victim) = @ARGV;
  open(my $file, '+<', $held) or die $!;
  $SIG{IO} = sub { unlink $victim; close $file; exit 0 };
  fcntl($file, 1024, F_WRLCK) or die "no lease: $!";
  $| = 1;
  print "held";
  sleep 60;`;

test('a file that vanishes after restic has listed its folder fails nothing, and the rest is saved', async () => {
  const folder = await fresh();
  for (const name of ['first', 'last', 'vanishes']) await writeFile(join(folder, name), name);
  const holder = spawn('perl', ['-e', LEASE, join(folder, 'first'), join(folder, 'vanishes')], { stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    await new Promise((resolve) => holder.stdout.once('data', resolve));
    // The first look at what is in the folder opens nothing, so it is restic that meets the lease.
    const saved = await save(storeOf(folder));
    expect(saved.facts).toMatchObject({ files: 2 });
    expect((await readdir(await repository.restore(saved.snapshot))).sort()).toEqual(['first', 'last']);
  } finally {
    holder.kill('SIGKILL');
  }
});

describe('SQLite', () => {
  const fill = (file: string, mode: 'wal' | 'delete', rows: number): void => {
    const database = new DatabaseSync(file);
    database.exec(
      `PRAGMA journal_mode=${mode}; CREATE TABLE a (n int); CREATE TABLE b (n int); CREATE INDEX i ON a (n); CREATE TABLE "odd ""name" (x)`,
    );
    database.exec(
      `BEGIN; WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < ${rows}) INSERT INTO a SELECT n FROM s; INSERT INTO b SELECT n FROM a; COMMIT`,
    );
    database.close();
  };
  /** Another process, as an application is: each transaction writes the same number into two tables. */
  const WRITER = `
    import { DatabaseSync } from 'node:sqlite';
    const database = new DatabaseSync(process.argv[1], { timeout: 30000 });
    const write = () => { database.exec("BEGIN IMMEDIATE; INSERT INTO a VALUES (-1); INSERT INTO b VALUES (-1); COMMIT"); };
    write();
    console.log('writing');
    setInterval(() => { for (let i = 0; i < 20; i++) write(); }, 1);`;

  test.each(['wal', 'delete'] as const)('in %s mode, while another process writes, is saved as it was at one moment', async (mode) => {
    const folder = await fresh();
    const file = join(folder, 'app.db');
    fill(file, mode, 200_000);
    await chown(file, 1234, 567);
    await chmod(file, 0o640);
    const writer = spawn(process.execPath, ['--input-type=module', '-e', WRITER, file], { stdio: ['ignore', 'pipe', 'inherit'] });
    try {
      await new Promise((resolve) => writer.stdout.once('data', resolve));
      const store = storeOf(folder, { kind: 'sqlite', id: 'web/sqlite/uploads', databases: ['app.db'] });
      const restored = await fresh();
      const saved = await makeDatabases(store, restored, options());
      expect(writer.exitCode).toBeNull();
      const rows = (facts: unknown) => (facts as { tables: { name: string; rows: number }[] }).tables;
      const [a, b] = rows(saved.facts);
      expect([a?.name, b?.name]).toEqual(['app.db/a', 'app.db/b']);
      expect(a?.rows).toBeGreaterThan(200_000);
      expect(b?.rows).toBe(a?.rows);
      expect(await databaseFacts(restored, 'web/sqlite/uploads')).toEqual(saved.facts);
      expect(await readdir(restored)).toEqual(['app.db']);
      expect(await lstat(join(restored, 'app.db'))).toMatchObject({ uid: 1234, gid: 567, mode: 0o100640 });
      // What SQLite put beside it for us belongs to its owner, who may have to write it.
      for (const name of await readdir(folder)) {
        // The writer makes and removes its journal all the time.
        const beside = await lstat(join(folder, name)).catch(() => undefined);
        if (name === 'app.db' || beside) expect(beside?.uid).toBe(1234);
      }
    } finally {
      writer.kill('SIGKILL');
    }
  });

  test('copies that do not fit are not begun', async () => {
    const folder = await fresh();
    fill(join(folder, 'app.db'), 'delete', 100_000);
    const small = join(await fresh(), 'small');
    await mkdir(small);
    expect(await run('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', small])).toMatchObject({ code: 0 });
    try {
      const store = storeOf(folder, { kind: 'sqlite', id: 'web/sqlite/uploads', databases: ['app.db'] });
      await expect(makeDatabases(store, small, options())).rejects.toMatchObject({
        code: 'DISK_FULL',
        where: small,
      });
      expect(await readdir(small)).toEqual([]);
    } finally {
      expect(await run('umount', [small])).toMatchObject({ code: 0 });
    }
  });

  test('a damaged database fails; one that is gone is named', async () => {
    const folder = await fresh();
    await mkdir(join(folder, 'deep'));
    fill(join(folder, 'deep/good.db'), 'delete', 10);
    fill(join(folder, 'bad.db'), 'delete', 20_000);
    const store = storeOf(folder, { kind: 'sqlite', id: 'web/sqlite/uploads', databases: ['deep/good.db', 'gone.db'] });
    const saved = await makeDatabases(store, await fresh(), options());
    expect(saved).toMatchObject({
      vanished: ['gone.db'],
      facts: { tables: [{ name: 'deep/good.db/a', rows: 10 }, { name: 'deep/good.db/b', rows: 10 }, { rows: 0 }] },
    });
    const file = await open(join(folder, 'bad.db'), 'r+');
    await file.write(Buffer.alloc(4096, 0x5a), 0, 4096, 3 * 4096);
    await file.close();
    await expect(makeDatabases({ ...store, databases: ['bad.db'] }, await fresh(), options())).rejects.toMatchObject({
      code: 'BACKUP_FAILED',
      message: expect.stringContaining('the SQLite database bad.db cannot be copied whole'),
    });
  });
});
