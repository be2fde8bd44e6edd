import type { SecretsPlace } from '../secrets/model.ts';
import { openSecrets, secretEnvironment } from '../secrets/open.ts';

/**
 * Values by name: what the environment sets, else what the project's file of secrets holds. A name that neither knows is left out. Throws
 * IDENTITY_MISSING, IDENTITY_REFUSED, SECRETS_INVALID.
 */
export async function secretValues(place: SecretsPlace, names: readonly string[], env: NodeJS.ProcessEnv): Promise<Record<string, string>> {
  const given = Object.fromEntries(names.flatMap((name) => (env[name] === undefined ? [] : [[name, env[name] ?? '']])));
  const wanted = names.filter((name) => !(name in given));
  if (wanted.length === 0) return given;
  const secrets = await openSecrets(place, env);
  const stored = wanted.filter((name) => secrets?.names.includes(name));
  return { ...(secrets && stored.length > 0 ? await secretEnvironment(secrets, stored) : {}), ...given };
}
