import { type Docker, EngineError } from './api.ts';
import { onlyFile, type TarFile, tarArchive } from './tar.ts';

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

/** These files of a container as one archive, with their full paths, owners and modes; undefined: it has not all of them. It holds secrets. */
export async function readFiles(
  docker: Pick<Docker, 'getArchive'>,
  container: string,
  paths: readonly string[],
): Promise<Buffer | undefined> {
  const files: TarFile[] = [];
  for (const path of paths) {
    try {
      const file = onlyFile(await docker.getArchive(container, path));
      if (!file) return undefined;
      files.push({ ...file, path });
    } catch (error) {
      if (error instanceof EngineError && error.status === 404) return undefined;
      throw error;
    }
  }
  return tarArchive(files, new Date(0));
}
