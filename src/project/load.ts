import { existsSync } from 'node:fs';
import { composeConfig } from '../docker/compose.ts';
import { readFileIfThere } from '../kit/files.ts';
import { type SecretsPlace, secretsPath } from '../secrets/model.ts';
import { findProject, type ProjectOptions } from './find.ts';
import type { Project } from './model.ts';

/**
 * The compose project that these options and this folder mean, as Compose resolves it, with our keys checked.
 * Throws Failure PROJECT_NOT_FOUND, PROJECT_INVALID (Docker refuses it), VARIABLE_UNSET (a required variable), CONFIG_INVALID (our keys;
 * all problems at once in `details`), what its file of secrets or this machine's identity lacks (SECRETS_INVALID, IDENTITY_*), or what
 * Docker itself lacks. Variables that Compose left blank are in `unsetVariables`.
 */
export async function loadProject(options: ProjectOptions): Promise<Project> {
  const found = await findProject(options);
  const environment = options.env ?? options.secretsOf;
  const place: SecretsPlace = { folder: found.folder, ...(environment === undefined ? {} : { environment }) };
  const hasSecrets = existsSync(secretsPath(place)) || existsSync(secretsPath({ folder: found.folder }));
  const secrets = hasSecrets ? await (await import('./secrets.ts')).secretsOf(found, place, options.environment) : undefined;
  const target = secrets ? { ...found.target, env: { ...found.target.env, ...secrets.environment } } : found.target;
  const texts = await textsOf(found.files);
  const config = composeConfig(target, { envFiles: mayHaveEnvFiles(texts) });
  config.catch(() => {});
  // The schema and the YAML parser take about as long to load as Compose takes to answer.
  const [{ readProject }] = await Promise.all([import('./read.ts'), loadTriggers(texts)]);
  return readProject({ ...found, target }, await config, environment, secrets?.fingerprints ?? {});
}

export const textsOf = (files: readonly string[]): Promise<string[]> =>
  Promise.all(files.map(async (file) => (await readFileIfThere(file).catch(() => undefined)) ?? ''));

/** Whether a service may have env_file; what these files bring in is not looked into. */
export const mayHaveEnvFiles = (texts: readonly string[]): boolean =>
  texts.some((text) => /\benv_file\b|^\s*"?(include|extends)"?\s*:/m.test(text));

/** What only projects with x-autoscale need, while Compose is still at work. */
async function loadTriggers(texts: readonly string[]): Promise<void> {
  if (texts.some((text) => text.includes('x-autoscale'))) await import('./autoscale.ts');
}
