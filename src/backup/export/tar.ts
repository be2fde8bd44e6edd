/**
 * Headers of tar in POSIX's pax form, which every tar of this century reads. Names, links and records are bytes as latin1 text ("binary"): a
 * file's name is bytes and need not be UTF-8, and an extended attribute seldom is.
 */

export const BLOCK = 512;

export interface Member {
  /** Relative to the archive, without a leading slash. */
  name: string;
  /** ustar's type: '0' file, '5' folder, '2' symbolic link, … */
  type: string;
  mode: number;
  uid: number;
  gid: number;
  size: number;
  /** Seconds since 1970. */
  modified: number;
  link: string;
  device?: { major: number; minor: number };
  /** Records of pax beyond those above: extended attributes. */
  more: Record<string, string>;
}

export const bytesOf = (text: string): string => Buffer.from(text).toString('latin1');

/** A regular file that only its owner may read. `name` is ordinary text. */
export const file = (name: string, size: number, modified: number): Member => ({
  name: bytesOf(name),
  type: '0',
  mode: 0o600,
  uid: 0,
  gid: 0,
  size,
  modified,
  link: '',
  more: {},
});

/** A folder, by default one that only its owner may read. */
export const folder = (name: string, modified: number, { uid, gid, mode } = { uid: 0, gid: 0, mode: 0o700 }): Member => ({
  ...file(`${name}/`, 0, modified),
  type: '5',
  mode: mode & 0o7777,
  uid,
  gid,
});

/** A member's header, preceded by one of pax where ustar has no room for what it says. Pure. */
export function memberHeader(member: Member): Buffer {
  const records: Record<string, string> = { ...member.more };
  if (member.name.length > 100 || !isAscii(member.name)) records.path = member.name;
  if (member.link.length > 100 || !isAscii(member.link)) records.linkpath = member.link;
  if (member.size > 0o77777777777) records.size = String(member.size);
  if (member.uid > 0o7777777) records.uid = String(member.uid);
  if (member.gid > 0o7777777) records.gid = String(member.gid);
  const own = block(member);
  if (Object.keys(records).length === 0) return own;
  const body = Buffer.concat(Object.entries(records).map(([key, value]) => paxRecord(key, value)));
  const head = block({ ...file('pax', body.length, member.modified), type: 'x' });
  return Buffer.concat([head, body, padding(body.length), own]);
}

/** Zeros up to the next block. */
export const padding = (size: number): Buffer => Buffer.alloc((BLOCK - (size % BLOCK)) % BLOCK);

/** What ends an archive. */
export const END = Buffer.alloc(2 * BLOCK);

const isAscii = (text: string): boolean => /^[\x20-\x7e]*$/.test(text);

function paxRecord(key: string, value: string): Buffer {
  const rest = Buffer.from(` ${key}=${value}\n`, 'latin1');
  let length = rest.length + 1;
  while (length !== rest.length + String(length).length) length = rest.length + String(length).length;
  return Buffer.concat([Buffer.from(String(length)), rest]);
}

function block(member: Member): Buffer {
  const header = Buffer.alloc(BLOCK);
  // What does not fit stands in the pax header; the field is cut, at the byte.
  Buffer.from(member.name, 'latin1').copy(header, 0, 0, 100);
  octal(header, member.mode & 0o7777, 100, 8);
  octal(header, Math.min(member.uid, 0o7777777), 108, 8);
  octal(header, Math.min(member.gid, 0o7777777), 116, 8);
  octal(header, Math.min(member.size, 0o77777777777), 124, 12);
  octal(header, Math.max(0, Math.floor(member.modified)), 136, 12);
  header.write('        ', 148);
  header.write(member.type, 156);
  Buffer.from(member.link, 'latin1').copy(header, 157, 0, 100);
  header.write('ustar\x0000', 257);
  if (member.device) {
    octal(header, member.device.major, 329, 8);
    octal(header, member.device.minor, 337, 8);
  }
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return header;
}

function octal(header: Buffer, value: number, offset: number, width: number): void {
  header.write(value.toString(8).padStart(width - 1, '0'), offset);
}
