import type { WholeCheck } from '../model.ts';

/**
 * Reads along with an archive of `pg_dump -Fc` and tells whether it is whole: its table of contents announces which entries have data, and
 * each of them has to follow as a block that ends. The format has no trailer, and `pg_restore --list` is content with the table alone.
 * Layout: PostgreSQL's src/bin/pg_dump/pg_backup_archiver.c (WriteHead, WriteToc) and pg_backup_custom.c.
 */
export function customFormatCheck(): WholeCheck {
  let buffer: Buffer = Buffer.alloc(0);
  let skip = 0;
  let toc: { withData: number } | undefined;
  let blocks = 0;
  let isInBlock = false;
  let isLarge = false;
  let problem: string | undefined;
  let seen = 0;

  const step = (): boolean => {
    if (!toc) {
      const read = readToc(buffer);
      if (read === 'more') return false;
      if (typeof read === 'string') {
        problem = read;
        return false;
      }
      toc = { withData: read.withData };
      buffer = buffer.subarray(read.length);
      return true;
    }
    if (isInBlock) {
      const length = intAt(buffer, 0);
      if (length === undefined) return false;
      buffer = buffer.subarray(5);
      if (length < 0) problem = 'a block of data has an impossible length';
      else if (length === 0) {
        isInBlock = false;
        blocks++;
      } else skip = length;
      return problem === undefined;
    }
    // Block type (1 data, 3 large objects), then the id of its entry. Large objects are blocks within theirs, each headed by its oid.
    if (buffer.length < 6) return false;
    if (buffer[0] !== 1 && buffer[0] !== 3) {
      problem = 'a block of data begins with an unknown type';
      return false;
    }
    if (buffer[0] === 3) isLarge = true;
    buffer = buffer.subarray(6);
    isInBlock = !isLarge;
    return true;
  };

  return {
    write(chunk) {
      seen += chunk.length;
      if (problem !== undefined || isLarge) return;
      let data: Buffer = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length);
      for (;;) {
        // Joined once for each piece of the stream; what follows are views on it.
        if (data.length > 0) {
          buffer = buffer.length > 0 ? Buffer.concat([buffer, data]) : data;
          data = Buffer.alloc(0);
        }
        if (skip > 0) {
          const taken = Math.min(skip, buffer.length);
          buffer = buffer.subarray(taken);
          skip -= taken;
          if (skip > 0) return;
        }
        if (!step()) {
          buffer = Buffer.from(buffer);
          return;
        }
        if (isLarge) return;
      }
    },
    end() {
      if (seen === 0) return 'the dump is empty';
      if (problem !== undefined) return problem;
      if (!toc) return 'the dump ends within its table of contents';
      // Large objects nest blocks of their own: there the exit code of pg_dump has to do.
      if (isLarge) return undefined;
      if (isInBlock || skip > 0 || buffer.length > 0) return 'the dump ends within a table’s data';
      if (blocks < toc.withData) return `the dump has the data of ${blocks} of ${toc.withData} tables`;
      return undefined;
    },
  };
}

/** What an archive says of the database itself, which `pg_restore` sets only when it makes the database. */
export interface DatabaseEntry {
  owner: string;
  /** SQL: its settings, comment and privileges. */
  statements: string[];
}

/** Passes an archive on, and tells what its table of contents says of the database once that went by. */
export async function* withDatabase(
  archive: AsyncIterable<Uint8Array>,
  found: (database: DatabaseEntry) => void,
): AsyncGenerator<Uint8Array> {
  let head: Buffer | undefined = Buffer.alloc(0);
  for await (const chunk of archive) {
    if (head) {
      head = Buffer.concat([head, chunk]);
      const toc = readToc(head);
      if (toc !== 'more') head = undefined;
      if (typeof toc !== 'string' && toc.database.owner !== '') found(toc.database);
    }
    yield chunk;
  }
}

const intAt = (buffer: Buffer, at: number): number | undefined => {
  if (buffer.length < at + 5) return undefined;
  const value = buffer.readUInt32LE(at + 1);
  return buffer[at] === 0 ? value : -value;
};

function readToc(buffer: Buffer): { length: number; withData: number; database: DatabaseEntry } | 'more' | string {
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
  const database: DatabaseEntry = { owner: '', statements: [] };
  for (let entry = 0; entry < count; entry++) {
    if (isShort || at > buffer.length) return 'more';
    int();
    if (int() !== 0) withData++;
    for (let field = 0; field < 2; field++) text();
    const [tag = '', kind] = [text(), text()];
    int();
    const statement = text();
    for (let field = 0; field < 4; field++) text();
    if (minor >= 14) text();
    if (minor >= 16) int();
    const owner = text();
    text();
    if (kind === 'DATABASE') database.owner = owner ?? '';
    else if (statement && (kind === 'DATABASE PROPERTIES' || ((kind === 'ACL' || kind === 'COMMENT') && tag.startsWith('DATABASE '))))
      database.statements.push(statement);
    while (!isShort && text() !== undefined);
    at += 1 + offset;
  }
  return isShort || at > buffer.length ? 'more' : { length: at, withData, database };
}
