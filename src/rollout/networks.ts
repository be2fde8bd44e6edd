import { createHash } from 'node:crypto';
import type { Project } from '../project/model.ts';
import type { ReleaseRecord } from '../state/releases.ts';

/** A hash of each network that Compose makes for the project, by its name in Docker. */
export function networkHashes(project: Project): Record<string, string> {
  const own = Object.values(project.networks).filter(({ external }) => !external);
  return Object.fromEntries(
    own.map(({ name, definition }) => [name, createHash('sha256').update(canonical(definition)).digest('hex').slice(0, 16)]),
  );
}

/** Networks that exist and whose definition is not what the last release had. */
export function changedNetworks(project: Project, last: ReleaseRecord | undefined): string[] {
  const wanted = networkHashes(project);
  return Object.entries(last?.networks ?? {}).flatMap(([name, hash]) =>
    wanted[name] !== undefined && wanted[name] !== hash ? [name] : [],
  );
}

/** JSON with sorted keys, so that the order in the file does not matter. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    inner && typeof inner === 'object' && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}
