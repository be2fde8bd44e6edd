import type { WholeCheck } from '../model.ts';

/** A length, and the type of a block with its entry's id: see `intAt` for the numbers. */
const LENGTH = 5;
const BLOCK_HEAD = 6;

/**
 * Reads along with an archive of `pg_dump -Fc` and tells whether it is whole: its table of contents announces which entries have data, and
 * each of them has to follow as a block that ends. The format has no trailer, and `pg_restore --list` is content with the table alone.
 * Layout: PostgreSQL's src/bin/pg_dump/pg_backup_archiver.c (WriteHead, WriteToc) and pg_backup_custom.c.
 */
export function customFormatCheck(): WholeCheck {
  /** Until the table of contents has been read. */
  let beginning: Buffer = Buffer.alloc(0);
  let toc: { withData: number } | undefined;
  /** Gathered byte by byte, because uncompressed data has a length before every row: views or copies of it would keep the collector busy. */
  const head = Buffer.alloc(BLOCK_HEAD);
  let have = 0;
  let skip = 0;
  let blocks = 0;
  let isInBlock = false;
  let isLarge = false;
  let problem: string | undefined;
  let seen = 0;

  const readLength = (): void => {
    const length = intAt(head, 0) ?? 0;
    if (length < 0) problem = 'a block of data has an impossible length';
    else if (length > 0) skip = length;
    else {
      isInBlock = false;
      blocks++;
    }
  };

  // Block type (1 data, 3 large objects), then the id of its entry. Large objects are blocks within theirs, each headed by its oid.
  const readBlockHead = (): void => {
    if (head[0] === 3) isLarge = true;
    else if (head[0] === 1) isInBlock = true;
    else problem = 'a block of data begins with an unknown type';
  };

  const readBlocks = (data: Buffer): void => {
    for (let at = 0; at < data.length && problem === undefined && !isLarge; ) {
      if (skip > 0) {
        const taken = Math.min(skip, data.length - at);
        skip -= taken;
        at += taken;
        continue;
      }
      head[have] = data[at] ?? 0;
      have += 1;
      at += 1;
      if (have < (isInBlock ? LENGTH : BLOCK_HEAD)) continue;
      have = 0;
      if (isInBlock) readLength();
      else readBlockHead();
    }
  };

  return {
    write(chunk) {
      seen += chunk.length;
      if (problem !== undefined || isLarge) return;
      const data = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length);
      if (toc) return readBlocks(data);
      beginning = Buffer.concat([beginning, data]);
      const read = readToc(beginning);
      if (read === 'more') return;
      if (typeof read === 'string') {
        problem = read;
        return;
      }
      toc = { withData: read.withData };
      readBlocks(beginning.subarray(read.length));
      beginning = Buffer.alloc(0);
    },
    end() {
      if (seen === 0) return 'the dump is empty';
      if (problem !== undefined) return problem;
      if (!toc) return 'the dump ends within its table of contents';
      // Large objects nest blocks of their own: there the exit code of pg_dump has to do.
      if (isLarge) return undefined;
      if (isInBlock || skip > 0 || have > 0) return 'the dump ends within a table’s data';
      if (blocks < toc.withData) return `the dump has the data of ${blocks} of ${toc.withData} tables`;
      return undefined;
    },
  };
}

const intAt = (buffer: Buffer, at: number): number | undefined => {
  if (buffer.length < at + 5) return undefined;
  const value = buffer.readUInt32LE(at + 1);
  return buffer[at] === 0 ? value : -value;
};

function readToc(buffer: Buffer): { length: number; withData: number } | 'more' | string {
  if (buffer.length < 11) return 'more';
  if (buffer.toString('latin1', 0, 5) !== 'PGDMP') return 'this is no archive of pg_dump';
  const minor = buffer[6] ?? 0;
  if (buffer[5] !== 1 || minor < 12 || minor > 16 || buffer[8] !== 4) return `archives of version ${buffer[5]}.${minor} are not known here`;
  const offset = buffer[9] ?? 8;
  let at = 11;
  let isShort = false;
  const int = (): number => {
    const value = intAt(buffer, at);
    if (value === undefined) isShort = true;
    at += 5;
    return value ?? 0;
  };
  const text = (): string | undefined => {
    const length = int();
    if (length < 0 || isShort) return undefined;
    if (buffer.length < at + length) isShort = true;
    at += length;
    return isShort ? undefined : buffer.toString('utf8', at - length, at);
  };
  if (minor >= 15) at += 1;
  else int();
  for (let field = 0; field < 7; field++) int();
  for (let field = 0; field < 3; field++) text();
  const count = int();
  let withData = 0;
  for (let entry = 0; entry < count; entry++) {
    if (isShort || at > buffer.length) return 'more';
    int();
    if (int() !== 0) withData++;
    text();
    text();
    text();
    text();
    int();
    for (let field = 0; field < 5; field++) text();
    if (minor >= 14) text();
    if (minor >= 16) int();
    text();
    text();
    while (!isShort && text() !== undefined);
    at += 1 + offset;
  }
  return isShort || at > buffer.length ? 'more' : { length: at, withData };
}
