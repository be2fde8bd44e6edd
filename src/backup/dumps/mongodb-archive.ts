import type { WholeCheck } from '../model.ts';

/**
 * The archive of mongodump: a magic number, then blocks. A block is one BSON document that heads it, any number of others, and four bytes 0xFF. The
 * first block lists the collections; each of the others belongs to one of them, and the last of each says that it is (`EOF: true`).
 */
const MAGIC = 0x8199e26d;
const TERMINATOR = 0xffffffff;
/** mongorestore's own limit: 16 MiB of a document and 16 KiB for what the server adds. */
const LARGEST = 16 * 1024 * 1024 + 16 * 1024;

/** A document's strings and booleans at its top level. */
type Fields = Record<string, string | boolean>;

/** Says why an archive is not whole: it is cut, or a collection that it lists does not end in it. What is in the documents mongorestore checks itself. */
export function archiveCheck(): WholeCheck {
  let rest: Buffer = Buffer.alloc(0);
  /** Bytes of a document that nobody needs to look at. */
  let toSkip = 0;
  let fault: string | undefined;
  let bytes = 0;
  let blocks = 0;
  let isInBlock = false;
  let isBegun = false;
  const open = new Set<string>();

  const document = (content: Buffer | undefined): void => {
    const isHeader = !isInBlock;
    isInBlock = true;
    if (!content || (blocks === 0 && isHeader)) return;
    const { db, collection, type, EOF } = fields(content);
    // The data of a time series stands under the name of its buckets; a view has none.
    if (blocks === 0 && type !== 'view') open.add(`${db}.${type === 'timeseries' ? 'system.buckets.' : ''}${collection}`);
    if (blocks > 0 && EOF === true) open.delete(`${db}.${collection}`);
  };

  const take = (): void => {
    while (fault === undefined) {
      if (toSkip > 0) {
        const part = Math.min(toSkip, rest.length);
        rest = rest.subarray(part);
        toSkip -= part;
        if (toSkip > 0) return;
      }
      if (rest.length < 4) return;
      const word = rest.readUInt32LE(0);
      if (!isBegun) {
        if (word !== MAGIC) fault = 'this is no archive of mongodump';
        isBegun = true;
        rest = rest.subarray(4);
      } else if (word === TERMINATOR) {
        if (!isInBlock) fault = 'the archive is damaged: a block without a head';
        isInBlock = false;
        blocks += 1;
        rest = rest.subarray(4);
      } else if (word < 5 || word > LARGEST) {
        fault = 'the archive is damaged: neither a document nor the end of a block';
      } else if (blocks > 0 && isInBlock) {
        toSkip = word;
      } else {
        if (rest.length < word) return;
        document(rest.subarray(0, word));
        rest = rest.subarray(word);
      }
    }
  };

  return {
    write(chunk) {
      bytes += chunk.length;
      if (fault !== undefined) return;
      rest = rest.length === 0 ? Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length) : Buffer.concat([rest, chunk]);
      take();
    },
    end() {
      if (bytes === 0) return 'the dump is empty';
      if (fault !== undefined) return fault;
      if (!isBegun || rest.length > 0 || toSkip > 0 || isInBlock || blocks === 0) return 'the archive ends in the middle of a block';
      const [first] = open;
      return first === undefined ? undefined : `the archive ends before the collection ${first} does`;
    },
  };
}

/** Lengths of BSON's types that have a fixed one, by type byte. */
const FIXED: Record<number, number> = { 1: 8, 6: 0, 7: 12, 8: 1, 9: 8, 10: 0, 16: 4, 17: 8, 18: 8, 19: 16, 127: 0, 255: 0 };

/** Reads what heads a block; of the types that stand there none is missing. */
export function fields(content: Buffer): Fields {
  const found: Fields = {};
  for (let at = 4; at < content.length - 1; ) {
    const type = content[at] ?? 0;
    const end = content.indexOf(0, at + 1);
    if (end < 0) return found;
    const name = content.toString('utf8', at + 1, end);
    const value = end + 1;
    const fixed = FIXED[type];
    if (type === 2) {
      const length = content.readInt32LE(value);
      found[name] = content.toString('utf8', value + 4, value + 3 + length);
      at = value + 4 + length;
    } else if (fixed !== undefined) {
      if (type === 8) found[name] = content[value] === 1;
      at = value + fixed;
    } else if (type === 3 || type === 4) at = value + content.readInt32LE(value);
    else return found;
  }
  return found;
}
