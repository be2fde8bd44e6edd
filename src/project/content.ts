import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { Service } from './model.ts';
import { mapping } from './services.ts';

/** A read-only bound folder with more than this is data, not configuration. */
const MAX_FILES = 200;
const MAX_BYTES = 5 * 1024 * 1024;
/** A single bound file larger than this is data too (a database, a disk image). */
const MAX_FILE_BYTES = 64 * 1024 * 1024;

export interface Content {
  hash: string;
  /** Absolute, sorted. */
  files: string[];
}

export interface ContentPath {
  path: string;
  /** A missing file is noted in the hash. Not for bind mounts: Docker makes a missing source into an empty folder when the container starts. */
  needed: boolean;
  /** A folder counts, when it is small. */
  folders: boolean;
}

/** The host paths behind a service's configs, secrets and bind mounts. Pure. */
export function contentPaths(service: Record<string, unknown>, model: Record<string, unknown>, mounts: Service['mounts']): ContentPath[] {
  const paths: ContentPath[] = [];
  for (const kind of ['configs', 'secrets'] as const) {
    const used = service[kind];
    for (const entry of Array.isArray(used) ? used : []) {
      const file = mapping(mapping(model[kind])[String(mapping(entry).source)]).file;
      if (typeof file === 'string') paths.push({ path: file, needed: true, folders: false });
    }
  }
  for (const mount of mounts) {
    if (mount.type === 'bind' && mount.source !== '') paths.push({ path: mount.source, needed: false, folders: mount.readOnly });
  }
  return paths;
}

/**
 * SHA-256 over the content of those files. A folder counts only when it is mounted read-only and is small: then it is configuration.
 * Sockets and devices never count; a config or secret that is missing, or a file that cannot be read, is part of the hash as such. Modes and times are ignored.
 */
export async function hashContent(paths: readonly ContentPath[]): Promise<Content> {
  const files = new Map<string, string>();
  for (const path of paths) {
    for (const file of await filesBehind(path)) if (!files.has(file)) files.set(file, await hashFile(file));
  }
  const sorted = [...files].sort(([a], [b]) => (a < b ? -1 : 1));
  const hash = createHash('sha256');
  for (const [file, digest] of sorted) hash.update(`${file}\0${digest}\n`);
  return { hash: hash.digest('hex'), files: sorted.map(([file]) => file) };
}

async function filesBehind({ path, needed, folders }: ContentPath): Promise<string[]> {
  const found = await stat(path).catch(() => undefined);
  if (!found) return needed ? [path] : [];
  if (found.isFile()) return found.size <= MAX_FILE_BYTES ? [path] : [];
  return found.isDirectory() && folders ? ((await smallFolder(path)) ?? []) : [];
}

/** All regular files below a folder, or undefined when they are too many or too large. */
async function smallFolder(root: string): Promise<string[] | undefined> {
  const files: string[] = [];
  let bytes = 0;
  const queue = [root];
  for (let folder = queue.pop(); folder !== undefined; folder = queue.pop()) {
    const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
    if (entries.length > 5 * MAX_FILES) return undefined;
    for (const entry of entries) {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) queue.push(path);
      if (queue.length > MAX_FILES) return undefined;
      if (!entry.isFile()) continue;
      files.push(path);
      bytes += (await stat(path).catch(() => undefined))?.size ?? 0;
      if (files.length >= MAX_FILES || bytes >= MAX_BYTES) return undefined;
    }
  }
  return files;
}

async function hashFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  try {
    await pipeline(createReadStream(path), hash);
    return hash.digest('hex');
  } catch (error) {
    return `unreadable: ${(error as NodeJS.ErrnoException).code ?? 'error'}`;
  }
}
