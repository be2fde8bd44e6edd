import { type Docker, EngineError } from './api.ts';

/**
 * Files that Compose itself puts into a container when it starts it: secrets that come from the environment, configs that stand in the file
 * or come from the environment. The engine knows nothing of them, so a container that is started without Compose does not have them.
 * Paths inside the container; pure. `model` is Compose's resolved model.
 */
export function injectedPaths(model: Record<string, unknown>, service: string): string[] {
  const used = at(at(model, 'services'), service);
  return (['configs', 'secrets'] as const).flatMap((kind) => {
    const entries = Array.isArray(used[kind]) ? (used[kind] as { source?: string; target?: string }[]) : [];
    return entries.flatMap(({ source = '', target }) => {
      const definition = at(at(model, kind), source);
      if (definition.environment === undefined && definition.content === undefined) return [];
      const name = target || (kind === 'configs' ? `/${source}` : source);
      return [name.startsWith('/') ? name : `${kind === 'configs' ? '' : '/run/secrets'}/${name}`];
    });
  });
}

function at(value: unknown, key: string): Record<string, unknown> {
  const inside = (value as Record<string, unknown> | undefined)?.[key];
  return typeof inside === 'object' && inside !== null ? (inside as Record<string, unknown>) : {};
}

const BLOCK = 512;

/** These files of a container as one archive, with their full paths, owners and modes; undefined: it has not all of them. It holds secrets. */
export async function readFiles(
  docker: Pick<Docker, 'getArchive'>,
  container: string,
  paths: readonly string[],
): Promise<Buffer | undefined> {
  const entries: Buffer[] = [];
  for (const path of paths) {
    try {
      entries.push(renamed(await docker.getArchive(container, path), path));
    } catch (error) {
      if (error instanceof EngineError && error.status === 404) return undefined;
      throw error;
    }
  }
  return Buffer.concat([...entries, Buffer.alloc(2 * BLOCK)]);
}

/** The archive's one file under its full path: the engine names it by the path's last part only. */
function renamed(archive: Buffer, path: string): Buffer {
  const name = Buffer.from(path.replace(/^\/+/, ''));
  if (name.length > 100) throw new Error(`${path} is too long a path for an archive`);
  let offset = 0;
  for (;;) {
    const size = Number.parseInt(archive.toString('latin1', offset + 124, offset + 136), 8);
    const end = offset + BLOCK + Math.ceil(size / BLOCK) * BLOCK;
    const type = archive.toString('latin1', offset + 156, offset + 157);
    if (type === 'x' || type === 'g') {
      offset = end;
      continue;
    }
    const entry = Buffer.from(archive.subarray(offset, end));
    entry.fill(0, 0, 100).fill(0, 345, 500);
    name.copy(entry, 0);
    // The checksum is counted with spaces in its own place.
    entry.fill(' ', 148, 156);
    const sum = entry.subarray(0, BLOCK).reduce((total, byte) => total + byte, 0);
    entry.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
    return entry;
  }
}
