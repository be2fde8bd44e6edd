import { Failure } from '../kit/errors.ts';
import type { TriggerContext } from './model.ts';

/** The value of a variable that metadata names in a key such as passwordFromEnv. Throws CONFIG_INVALID when the service does not have it. */
export function fromEnvironment(context: TriggerContext, key: string, variable: string): string {
  const value = context.environment[variable];
  if (value !== undefined && value !== '') return value;
  throw new Failure(
    'CONFIG_INVALID',
    `${key} names ${variable}, and the service's environment ${value === '' ? 'leaves it empty' : 'does not have it'}`,
    {
      where: key,
      next: `Set ${variable} under environment or env_file of the service, or correct ${key}.`,
    },
  );
}

/** The same for a key that may be left out. */
export function fromEnvironmentIfNamed(context: TriggerContext, key: string, variable: string | undefined): string | undefined {
  return variable === undefined ? undefined : fromEnvironment(context, key, variable);
}
