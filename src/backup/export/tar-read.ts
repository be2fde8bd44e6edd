import { BLOCK, bytesOf, type Member, memberHeader, padding } from './tar.ts';

/** Takes bytes off a stream in the amounts that are asked for. */
function reader(input: AsyncIterable<Uint8Array>): {
  exactly(bytes: number): Promise<Buffer | undefined>;
  some(most: number): Promise<Buffer | undefined>;
  close(): Promise<void>;
} {
  const chunks = input[Symbol.asyncIterator]();
  let rest = Buffer.alloc(0);
  const some = async (most: number): Promise<Buffer | undefined> => {
    while (rest.length === 0) {
      const next = await chunks.next();
      if (next.done) return undefined;
      rest = Buffer.from(next.value);
    }
    const taken = rest.subarray(0, most);
    rest = rest.subarray(taken.length);
    return taken;
  };
  return {
    some,
    async exactly(bytes) {
      const parts: Buffer[] = [];
      let have = 0;
      while (have < bytes) {
        const part = await some(bytes - have);
        if (!part) return undefined;
        parts.push(part);
        have += part.length;
      }
      return Buffer.concat(parts);
    },
    close: async () => void (await chunks.return?.()),
  };
}

/**
 * The members of another archive under a folder, without that archive's end. Throws Error when the archive breaks off or is none: a caller
 * that goes on would write an archive that looks whole.
 */
export async function* underFolder(input: AsyncIterable<Uint8Array>, folder: string): AsyncGenerator<Uint8Array> {
  const source = reader(input);
  let pax: Record<string, string> = {};
  let long: { name?: string; link?: string } = {};
  try {
    for (;;) {
      const header = await source.exactly(BLOCK);
      if (!header) throw new Error('the archive breaks off');
      if (header.every((byte) => byte === 0)) {
        // Read to the end: who writes it must not find a closed pipe.
        while (await source.some(1 << 16));
        return;
      }
      if (text(header, 257, 5) !== 'ustar') throw new Error('this is no tar archive');
      const size = number(header, 124, 12);
      const type = String.fromCharCode(header[156] || 48);
      if (type === 'x' || type === 'g' || type === 'L' || type === 'K') {
        const body = await source.exactly(size + padding(size).length);
        if (!body) throw new Error('the archive breaks off');
        const content = body.subarray(0, size);
        if (type === 'x') pax = paxRecords(content);
        else if (type === 'L') long = { ...long, name: text(content, 0, size) };
        else if (type === 'K') long = { ...long, link: text(content, 0, size) };
        continue;
      }
      const member = memberOf(header, type, size, pax, long);
      pax = {};
      long = {};
      member.name = join(bytesOf(folder), member.name);
      if (type === '1') member.link = join(bytesOf(folder), member.link);
      yield memberHeader(member);
      let left = member.size + padding(member.size).length;
      while (left > 0) {
        const part = await source.some(left);
        if (!part) throw new Error('the archive breaks off');
        left -= part.length;
        yield part;
      }
    }
  } finally {
    await source.close();
  }
}

function memberOf(
  header: Buffer,
  type: string,
  size: number,
  { path, linkpath, size: paxSize, uid, gid, ...more }: Record<string, string>,
  long: { name?: string; link?: string },
): Member {
  // GNU writes two blanks and keeps other things where POSIX has the prefix.
  const prefix = header.toString('latin1', 257, 263) === 'ustar\0' ? text(header, 345, 155) : '';
  const name = text(header, 0, 100);
  return {
    name: path ?? long.name ?? (prefix ? `${prefix}/${name}` : name),
    type,
    mode: number(header, 100, 8),
    uid: uid === undefined ? number(header, 108, 8) : Number(uid),
    gid: gid === undefined ? number(header, 116, 8) : Number(gid),
    size: paxSize === undefined ? size : Number(paxSize),
    modified: more.mtime === undefined ? number(header, 136, 12) : Number(more.mtime),
    link: linkpath ?? long.link ?? text(header, 157, 100),
    ...(type === '3' || type === '4' ? { device: { major: number(header, 329, 8), minor: number(header, 337, 8) } } : {}),
    more,
  };
}

const join = (folder: string, name: string): string => `${folder}/${name.replace(/^(\.?\/)+/, '')}`;

function text(buffer: Buffer, offset: number, length: number): string {
  const field = buffer.subarray(offset, offset + length);
  const end = field.indexOf(0);
  return field.subarray(0, end < 0 ? undefined : end).toString('latin1');
}

/** Octal digits, or GNU's binary form, which begins with the highest bit. */
function number(buffer: Buffer, offset: number, length: number): number {
  if (((buffer[offset] ?? 0) & 0x80) !== 0)
    return buffer.subarray(offset + 1, offset + length).reduce((value, byte) => value * 256 + byte, 0);
  return Number.parseInt(text(buffer, offset, length).trim() || '0', 8);
}

function paxRecords(content: Buffer): Record<string, string> {
  const records: Record<string, string> = {};
  for (let at = 0; at < content.length; ) {
    const blank = content.indexOf(0x20, at);
    const length = Number(content.toString('latin1', at, blank));
    if (blank < 0 || !(length > 0)) throw new Error('this is no tar archive');
    const record = content.toString('latin1', blank + 1, at + length - 1);
    const equals = record.indexOf('=');
    records[record.slice(0, equals)] = record.slice(equals + 1);
    at += length;
  }
  return records;
}
