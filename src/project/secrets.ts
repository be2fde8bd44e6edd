import { dirname, resolve } from 'node:path';
import { isMap, isScalar, isSeq, type Node } from 'yaml';
import { readFileIfThere } from '../kit/files.ts';
import { SECRET_NAME, type SecretsPlace } from '../secrets/model.ts';
import { openSecrets, type Secrets, secretEnvironment } from '../secrets/open.ts';
import type { FoundProject } from './find.ts';
import { type Path, placeOf, readSources, type Source } from './sources.ts';

/** The project's secrets that its files use, ready for the environment of `docker compose`. */
export interface ProjectSecrets {
  environment: Record<string, string>;
  /** By name, without a word about the value. */
  fingerprints: Record<string, string>;
}

/**
 * Decrypts the secrets that the compose files and env files use, and only those. A variable that the environment sets already keeps its value,
 * as with Compose's own .env. Undefined when the project has no file of secrets.
 */
export async function secretsOf(
  { folder, files, target }: FoundProject,
  place: SecretsPlace,
  environment: NodeJS.ProcessEnv,
): Promise<ProjectSecrets | undefined> {
  const secrets = await openSecrets(place, environment);
  if (!secrets) return undefined;
  const sources = await readSources(files);
  const used = new Set([...sources.flatMap(variablesOf), ...(await envFileVariables(sources, folder, target.args, environment))]);
  return decrypt(
    secrets,
    secrets.names.filter((name) => used.has(name) && environment[name] === undefined),
  );
}

async function decrypt(secrets: Secrets, names: readonly string[]): Promise<ProjectSecrets> {
  const prints = await Promise.all(names.map(async (name) => [name, await secrets.fingerprint(name)] as const));
  return { environment: await secretEnvironment(secrets, names), fingerprints: Object.fromEntries(prints) };
}

/** A use of a variable: "$NAME" or "${NAME…}" in a text, or the bare name where Compose takes the value from its environment. */
export interface Use {
  name: string;
  path: Path;
}

/**
 * Every variable that one compose file uses. In a list a bare word counts as the name of one, whatever the list is for: at worst a secret is
 * decrypted that nothing asks for. Pure.
 */
export const variablesOf = (source: Source): string[] => usesIn(source).map(({ name }) => name);

export function usesIn(source: Source): Use[] {
  const uses: Use[] = [];
  const add = (text: string, path: Path): void => {
    if (SECRET_NAME.test(text) && (typeof path.at(-1) === 'number' || path.at(-1) === text || isFileUse(path)))
      uses.push({ name: text, path });
    for (const name of variablesIn(text)) uses.push({ name, path });
  };
  const walk = (node: unknown, path: Path): void => {
    if (isScalar(node) && typeof node.value === 'string') add(node.value, path);
    else if (isSeq(node)) for (const [index, item] of node.items.entries()) walk(item, [...path, index]);
    else if (isMap(node)) {
      for (const pair of node.items) {
        const key = isScalar(pair.key) ? String(pair.key.value) : '';
        const inside = [...path, key];
        for (const name of variablesIn(key)) uses.push({ name, path: inside });
        // "NAME:" without a value takes it from the environment.
        const isEmpty = pair.value === null || (isScalar(pair.value) && pair.value.value === null);
        if (isEmpty) add(key, inside);
        else walk(pair.value as Node, inside);
      }
    }
  };
  walk(source.document.contents, []);
  return uses;
}

/** Names after a dollar; doubled dollars are text. "${A:-$B}" uses both. */
export function variablesIn(text: string): string[] {
  return [...text.replaceAll('$$', '').matchAll(/\$\{?([A-Za-z_]\w*)/g)].map(([, name = '']) => name);
}

/** Variables that env files use: `.env` or those given for interpolation, and those of services. */
async function envFileVariables(
  sources: readonly Source[],
  folder: string,
  args: readonly string[],
  environment: NodeJS.ProcessEnv,
): Promise<string[]> {
  const given = args.flatMap((arg, index) => (arg === '--env-file' && args[index + 1] !== undefined ? [args[index + 1] ?? ''] : []));
  const own = given.length > 0 ? given : (environment.COMPOSE_ENV_FILES?.split(',').filter(Boolean) ?? ['.env']);
  const files = new Set([...own.map((file) => resolve(folder, file)), ...sources.flatMap((source) => serviceEnvFiles(source, folder))]);
  const texts = await Promise.all([...files].map((file) => readFileIfThere(file).catch(() => undefined)));
  return texts.flatMap((text = '') => [
    ...variablesIn(text),
    // A line that is nothing but a name passes the variable on.
    ...[...text.matchAll(/^[ \t]*([A-Za-z_]\w*)[ \t]*$/gm)].map(([, name = '']) => name),
  ]);
}

/** The env files that services name, absolute, whether they are there or not: from the project’s folder and from the compose file’s. */
export function serviceEnvFiles(source: Source, folder: string): string[] {
  const services = isMap(source.document.contents) ? source.document.contents.get('services', true) : undefined;
  if (!isMap(services)) return [];
  return services.items.flatMap((pair) => {
    const listed = isMap(pair.value) ? pair.value.toJSON().env_file : undefined;
    const entries: unknown[] = Array.isArray(listed) ? listed : [listed];
    return entries
      .map((entry) => (typeof entry === 'string' ? entry : (entry as { path?: unknown } | undefined)?.path))
      .flatMap((path) => (typeof path === 'string' ? [resolve(folder, path), resolve(dirname(source.file), path)] : []));
  });
}

/**
 * Where secrets are written into a service's own settings, which `docker inspect` (or the image) and the release record show; as files they
 * are in none of these. Pure.
 */
export function exposureWarnings(names: readonly string[], sources: readonly Source[], folder: string): string[] {
  const found = new Map<string, { place: Path; names: Set<string> }>();
  for (const source of sources) {
    for (const { name, path } of usesIn(source)) {
      if (!names.includes(name) || !isShown(path)) continue;
      const place = path.slice(0, path[2] === 'build' ? 4 : 3);
      const entry = found.get(place.join('.')) ?? { place, names: new Set<string>() };
      entry.names.add(name);
      found.set(place.join('.'), entry);
    }
  }
  return [...found.values()].map(({ place, names: used }) => {
    const list = [...used].sort();
    const first = list[0] ?? '';
    const where = placeOf(sources, place, folder) ?? folder;
    const shown = place[2] === 'build' ? 'the history of the image shows' : 'docker inspect shows';
    return `${where}: ${shown} ${list.join(', ')}, because ${place.join('.')} holds ${list.length === 1 ? 'it' : 'them'}; as a file under /run/secrets a secret is not shown: secrets: {${first.toLowerCase()}: {environment: ${first}}}`;
  });
}

const isShown = ([root, , key]: Path): boolean =>
  root === 'services' && typeof key === 'string' && !key.startsWith('x-') && !['secrets', 'configs', 'env_file', 'profiles'].includes(key);

/** `secrets: {x: {environment: NAME}}`: the model keeps the name only. */
const isFileUse = (path: Path): boolean => (path[0] === 'secrets' || path[0] === 'configs') && path[2] === 'environment';
