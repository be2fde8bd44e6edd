import { composeConfig } from '../docker/compose.ts';
import { findProject, type ProjectOptions } from './find.ts';
import type { Project } from './model.ts';

/**
 * The compose project that these options and this folder mean, as Compose resolves it, with our keys checked.
 * Throws Failure PROJECT_NOT_FOUND, PROJECT_INVALID (Docker refuses it), VARIABLE_UNSET (a required variable), CONFIG_INVALID (our keys;
 * all problems at once in `details`), or what Docker itself lacks. Variables that Compose left blank are in `unsetVariables`.
 */
export async function loadProject(options: ProjectOptions): Promise<Project> {
  const found = await findProject(options);
  const config = composeConfig(found.target);
  config.catch(() => {});
  // The schema and the YAML parser take about as long to load as Compose takes to answer.
  const { readProject } = await import('./read.ts');
  return readProject(found, await config, options.env);
}
