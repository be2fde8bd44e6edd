export interface TarFile {
  /** Absolute, in the container. */
  path: string;
  content: string | Uint8Array;
  uid: number;
  gid: number;
  mode: number;
  /** Left out: as the archive says for all. */
  modified?: Date;
}

const BLOCK = 512;

/** A tar archive (POSIX ustar) of regular files, as the engine takes it for a container. Throws RangeError for a path that ustar cannot hold. */
export function tarArchive(files: readonly TarFile[], modified: Date): Buffer {
  const blocks = files.flatMap((file) => {
    const content = Buffer.from(file.content);
    return [header({ modified, ...file }, content.length), content, Buffer.alloc((BLOCK - (content.length % BLOCK)) % BLOCK)];
  });
  return Buffer.concat([...blocks, Buffer.alloc(2 * BLOCK)]);
}

/**
 * What the engine gives of one path: its one entry, which it names by the path's last part only. Undefined when that is no regular file.
 */
export function onlyFile(archive: Buffer): (TarFile & { content: Buffer; modified: Date }) | undefined {
  for (let start = 0; start + BLOCK <= archive.length; ) {
    const field = (offset: number, width: number): string =>
      archive.toString('utf8', start + offset, start + offset + width).replace(/\0.*$/s, '');
    const number = (offset: number, width: number): number => Number.parseInt(field(offset, width), 8);
    const bytes = number(124, 12);
    // Zeros: the archive ends.
    if (Number.isNaN(bytes)) return undefined;
    const type = field(156, 1);
    const content = archive.subarray(start + BLOCK, start + BLOCK + bytes);
    // Go's archives begin with extended headers where a name is long or a time has fractions.
    if (type !== 'x' && type !== 'g') {
      if (type !== '0' && type !== '') return undefined;
      const modified = new Date(number(136, 12) * 1000);
      return { path: `/${field(0, 100)}`, content, uid: number(108, 8), gid: number(116, 8), mode: number(100, 8), modified };
    }
    start += BLOCK + Math.ceil(bytes / BLOCK) * BLOCK;
  }
  return undefined;
}

function header({ path, uid, gid, mode, modified }: TarFile & { modified: Date }, bytes: number): Buffer {
  const block = Buffer.alloc(BLOCK);
  const { name, prefix } = splitPath(path.replace(/^\/+/, ''));
  block.write(name, 0);
  octal(block, mode & 0o7777, 100, 8);
  octal(block, uid, 108, 8);
  octal(block, gid, 116, 8);
  octal(block, bytes, 124, 12);
  octal(block, Math.floor(modified.getTime() / 1000), 136, 12);
  // The checksum is counted with spaces in its own place; the 0 behind it says: a regular file.
  block.write('        0', 148);
  block.write('ustar\x0000', 257);
  block.write(prefix, 345);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return block;
}

function octal(block: Buffer, value: number, offset: number, width: number): void {
  const digits = value.toString(8).padStart(width - 1, '0');
  if (digits.length >= width) throw new RangeError(`${value} does not fit into a tar header`);
  block.write(digits, offset);
}

/** A long path is parted at a slash: 100 bytes of name, 155 of what comes before it. */
function splitPath(path: string): { name: string; prefix: string } {
  if (Buffer.byteLength(path) <= 100) return { name: path, prefix: '' };
  for (let slash = path.indexOf('/'); slash > 0; slash = path.indexOf('/', slash + 1)) {
    const [prefix, name] = [path.slice(0, slash), path.slice(slash + 1)];
    if (Buffer.byteLength(name) <= 100 && Buffer.byteLength(prefix) <= 155) return { name, prefix };
  }
  throw new RangeError(`the path ${path} is too long for a tar archive`);
}
