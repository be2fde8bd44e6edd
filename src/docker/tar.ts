export interface TarFile {
  /** Absolute, in the container. */
  path: string;
  content: string | Uint8Array;
  uid: number;
  gid: number;
  mode: number;
}

/** A tar archive (POSIX ustar) of regular files, as the engine takes it for a container. Throws RangeError for a path that ustar cannot hold. */
export function tarArchive(files: readonly TarFile[], modified: Date): Buffer {
  const blocks = files.flatMap((file) => {
    const content = Buffer.from(file.content);
    return [header(file, content.length, modified), content, Buffer.alloc((512 - (content.length % 512)) % 512)];
  });
  return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}

function header({ path, uid, gid, mode }: TarFile, bytes: number, modified: Date): Buffer {
  const block = Buffer.alloc(512);
  const { name, prefix } = splitPath(path.replace(/^\/+/, ''));
  block.write(name, 0);
  octal(block, mode & 0o7777, 100, 8);
  octal(block, uid, 108, 8);
  octal(block, gid, 116, 8);
  octal(block, bytes, 124, 12);
  octal(block, Math.floor(modified.getTime() / 1000), 136, 12);
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
