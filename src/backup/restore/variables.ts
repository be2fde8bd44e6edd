import { composeVariables } from '../../docker/compose.ts';
import type { Project } from '../../project/model.ts';
import type { ComposeModel } from '../stage/model.ts';

/** The variables that the model's secrets and configs are taken from, with their values: for the environment of `docker compose`, and for nothing else. */
export async function modelVariables(
  { compose, folder }: Pick<Project, 'compose' | 'folder'>,
  model: ComposeModel,
): Promise<Record<string, string>> {
  const names = namesIn(model);
  return names.length === 0 ? {} : composeVariables(compose, folder, names);
}

/** Pure. */
export function namesIn(model: ComposeModel): string[] {
  const sources = [model.secrets, model.configs].flatMap((one) =>
    Object.values((one ?? {}) as Record<string, { environment?: unknown } | null>),
  );
  return [...new Set(sources.flatMap((source) => (typeof source?.environment === 'string' ? [source.environment] : [])))].sort();
}
