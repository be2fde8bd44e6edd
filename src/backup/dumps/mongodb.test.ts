import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { BSON } from 'mongodb';
import { expect, test } from 'vitest';
import { run } from '../../kit/spawn.ts';
import { COUNT, collectionsBetween, tool } from './mongodb.ts';
import { archiveCheck, fields } from './mongodb-archive.ts';

// What a real server is not asked for here: archives cut at every byte, time series, odd passwords and names, and writers meanwhile.

const END = Buffer.from([0xff, 0xff, 0xff, 0xff]);
const head = (db: string, collection: string, EOF = false) =>
  BSON.serialize({ db, collection, EOF, CRC: BSON.Long.fromNumber(EOF ? 7 : 0) });
const listed = (db: string, collection: string, type = 'collection') =>
  BSON.serialize({ db, collection, metadata: '{"indexes":[]}', size: new BSON.Int32(0), type });
const MAGIC = Buffer.from([0x6d, 0xe2, 0x99, 0x81]);
const prelude = (...collections: Uint8Array[]) =>
  Buffer.concat([
    MAGIC,
    BSON.serialize({ concurrent_collections: new BSON.Int32(1), version: '0.1', server_version: '8.0.4', tool_version: '100.10.0' }),
    ...collections,
    END,
  ]);
const block = (...documents: Uint8Array[]) => Buffer.concat([...documents, END]);
const order = (n: number) => BSON.serialize({ _id: n, note: 'x'.repeat(n % 90), at: new Date(0), deep: { list: [1, 'two'] } });

/** Two collections whose blocks take turns, a view, and a time series. */
const archive = Buffer.concat([
  prelude(
    listed('shop', 'orders'),
    listed('shop', 'users'),
    listed('shop', 'recent', 'view'),
    listed('shop', 'load', 'timeseries'),
    listed('shop', 'empty'),
  ),
  block(head('shop', 'orders'), ...Array.from({ length: 40 }, (_, n) => order(n))),
  block(head('shop', 'users'), order(1)),
  block(head('shop', 'orders'), order(41)),
  block(head('shop', 'orders', true)),
  block(head('shop', 'users', true)),
  block(head('shop', 'system.buckets.load'), order(2)),
  block(head('shop', 'system.buckets.load', true)),
  block(head('shop', 'empty')),
  block(head('shop', 'empty', true)),
]);

function verdict(content: Uint8Array, size = content.length): string | undefined {
  const check = archiveCheck();
  for (let at = 0; at < content.length; at += Math.max(1, size)) check.write(content.subarray(at, at + Math.max(1, size)));
  return check.end();
}

test('a whole archive is whole, in whatever pieces it comes', () => {
  expect(verdict(archive)).toBeUndefined();
  fc.assert(fc.property(fc.integer({ min: 1, max: 200 }), (size) => verdict(archive, size) === undefined));
});

test('an archive that is cut anywhere is not whole', () => {
  for (let length = 0; length < archive.length; length++)
    expect(verdict(archive.subarray(0, length)), `${length}`).toEqual(expect.any(String));
});

test.each([
  ['nothing', Buffer.alloc(0), 'the dump is empty'],
  ['a text', Buffer.from('Failed: error connecting to db server'), 'this is no archive of mongodump'],
  [
    'a block that is missing at its end',
    archive.subarray(0, archive.length - block(head('shop', 'empty', true)).length),
    'the archive ends before the collection shop.empty does',
  ],
  ['half a block', archive.subarray(0, archive.length - 3), 'the archive ends in the middle of a block'],
  ['two ends', Buffer.concat([archive, END]), 'the archive is damaged: a block without a head'],
  [
    'bytes behind',
    Buffer.concat([archive, Buffer.from([1, 0, 0, 0])]),
    'the archive is damaged: neither a document nor the end of a block',
  ],
])('%s is no whole archive', (_title, content, why) => {
  expect(verdict(content)).toBe(why);
});

test('the head of a block is read as BSON itself reads it', () => {
  const text = fc.string({ unit: 'grapheme' }).map((value) => value.replaceAll('\0', ''));
  fc.assert(
    fc.property(text, text, fc.boolean(), fc.integer(), (db, collection, EOF, n) => {
      const content = BSON.serialize({ n: BSON.Long.fromNumber(n), f: n + 0.5, x: null, o: { a: [1] }, db, EOF, collection });
      expect(fields(Buffer.from(content))).toEqual({ db, collection, EOF });
    }),
  );
});

test('the tools get the password by a file of their own, never by an argument, and no option at all without one', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'composure-mongo-'));
  try {
    const program = join(folder, 'mongodump');
    // Says what it was given: arguments, environment and file.
    await writeFile(
      program,
      '#!/bin/sh\nprintf "%s\\n" "$@"\nfor last; do :; done\ncase $last in --config=*) cat "${last#--config=}";; esac\n',
      { mode: 0o755 },
    );
    const password = 'pa"ss\\w$(id)`x` ü';
    const [shell = '', ...args] = tool(program, ['--archive']);
    expect(args.join(' ')).not.toContain(password);
    const env = { MONGO_INITDB_ROOT_USERNAME: 'root user', MONGO_INITDB_ROOT_PASSWORD: password };
    const { parse } = await import('yaml');
    const [archived, database, user, config, ...file] = (await run(shell, args, { env })).stdout.split('\n');
    expect([archived, database, user, config]).toEqual([
      '--archive',
      '--authenticationDatabase=admin',
      '--username=root user',
      '--config=/dev/fd/3',
    ]);
    expect(parse(file.join('\n'))).toEqual({ password });
    await writeFile(join(folder, 'password'), password);
    const byFile = await run(shell, args, {
      env: { MONGO_INITDB_ROOT_USERNAME: 'x', MONGO_INITDB_ROOT_PASSWORD_FILE: join(folder, 'password') },
    });
    expect(byFile.stdout).toContain('password: "pa\\"ss');
    expect((await run(shell, args)).stdout).toBe('--archive\n');
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('the counting asks for every collection of every database but the server’s own', () => {
  const data: Record<string, Record<string, { type: string; documents: number }>> = {
    admin: { 'system.version': { type: 'collection', documents: 1 }, notes: { type: 'collection', documents: 2 } },
    config: { x: { type: 'collection', documents: 1 } },
    local: { startup_log: { type: 'collection', documents: 9 } },
    shop: {
      users: { type: 'collection', documents: 3 },
      recent: { type: 'view', documents: 3 },
      load: { type: 'timeseries', documents: 4 },
    },
  };
  const printed: string[] = [];
  const asked: string[] = [];
  class Mongo {
    constructor(address: string) {
      asked.push(address);
    }
    getDB(name: string) {
      return {
        adminCommand: () => ({ databases: Object.keys(data).map((one) => ({ name: one })) }),
        getCollectionInfos: () => Object.entries(data[name] ?? {}).map(([one, { type }]) => ({ name: one, type })),
        getCollection: (one: string) => ({ countDocuments: () => data[name]?.[one]?.documents }),
      };
    }
  }
  const environment = { MONGO_USER: 'root', MONGO_PASSWORD: 'p@ss/word' };
  runInNewContext(COUNT, { Mongo, process: { env: environment }, print: (text: string) => printed.push(text), encodeURIComponent });
  expect(asked).toEqual(['mongodb://root:p%40ss%2Fword@127.0.0.1:27017/?directConnection=true&authSource=admin']);
  expect(JSON.parse(printed.join(''))).toEqual([
    { name: 'admin.notes', documents: 2 },
    { name: 'shop.load', documents: 4 },
    { name: 'shop.users', documents: 3 },
  ]);
});

test('what was written during the dump is a range', () => {
  expect(
    collectionsBetween(
      [
        { name: 'a', documents: 1 },
        { name: 'b', documents: 5 },
        { name: 'c', documents: 2 },
      ],
      [
        { name: 'a', documents: 1 },
        { name: 'b', documents: 8 },
        { name: 'd', documents: 1 },
      ],
    ),
  ).toEqual({
    kind: 'collections',
    collections: [
      { name: 'a', documents: 1 },
      { name: 'b', documents: 5, documentsAtMost: 8 },
      { name: 'c', documents: 2, documentsAtMost: 0 },
    ],
  });
});
