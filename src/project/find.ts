import { readdir, stat } from 'node:fs/promises';
import { delimiter, dirname, join, resolve } from 'node:path';
import { Failure } from '../kit/errors.ts';
import { readFileIfThere } from '../kit/files.ts';
import type { ComposeTarget } from './model.ts';

export interface ProjectOptions {
  /** Folder the command runs in. */
  cwd: string;
  /** -f */
  files?: string[];
  /** -p */
  projectName?: string;
  /** --env: adds compose.<env>.yaml and .env.<env>. */
  env?: string;
  /** --profile */
  profiles?: string[];
  /** --project-directory */
  projectDirectory?: string;
  /** The environment whose secrets count, where `env` is not given because `files` says it all. Default `env`. */
  secretsOf?: string;
  environment: NodeJS.ProcessEnv;
}

export interface FoundProject {
  folder: string;
  /** Absolute, in merge order. */
  files: string[];
  target: ComposeTarget;
}

/** Compose's default names, in its order. */
const NAMES = ['compose.yaml', 'compose.yml', 'docker-compose.yml', 'docker-compose.yaml'];
const OVERRIDES = ['compose.override.yml', 'compose.override.yaml', 'docker-compose.override.yml', 'docker-compose.override.yaml'];

/**
 * Finds the project's files as Compose does: -f, COMPOSE_FILE (from the environment or .env), or the default names in this folder or a
 * parent. Arguments are passed on to Compose only where the user would have to give them too, so that the plain `docker compose` in the same
 * folder sees the same project; a chosen environment names all its files. Throws PROJECT_NOT_FOUND.
 */
export async function findProject(options: ProjectOptions): Promise<FoundProject> {
  const cwd = resolve(options.cwd);
  const directory = options.projectDirectory === undefined ? undefined : resolve(cwd, options.projectDirectory);
  const given = options.files?.length ? options.files.map((file) => resolve(cwd, file)) : undefined;
  const asked = given ?? (await filesOfVariable(options.environment, cwd, directory));
  const base = asked ?? (await defaultFiles(directory ?? cwd));
  for (const file of asked ?? []) await mustExist(file, given ? 'given with -f' : 'named in COMPOSE_FILE');
  const first = base[0] ?? join(cwd, 'compose.yaml');
  const folder = directory ?? dirname(first);
  const args: string[] = [];
  if (options.projectName !== undefined) args.push('-p', options.projectName);
  if (directory !== undefined) args.push('--project-directory', directory);
  let files = base;
  if (options.env !== undefined) {
    const chosen = await environmentFiles(options.env, asked ?? base.slice(0, 1), folder);
    files = chosen.files;
    args.push(...files.flatMap((file) => ['-f', file]), ...chosen.envFiles.flatMap((file) => ['--env-file', file]));
  } else if (given) {
    args.push(...given.flatMap((file) => ['-f', file]));
  }
  args.push(...(options.profiles ?? []).flatMap((profile) => ['--profile', profile]));
  return { folder, files, target: { args, cwd, env: additions(options.environment) } };
}

/** What the given environment has and this process's own has not: child processes get it on top. */
function additions(environment: NodeJS.ProcessEnv): Record<string, string> {
  return Object.fromEntries(
    Object.entries(environment).flatMap(([name, value]) => (value !== undefined && process.env[name] !== value ? [[name, value]] : [])),
  );
}

async function filesOfVariable(environment: NodeJS.ProcessEnv, cwd: string, directory: string | undefined): Promise<string[] | undefined> {
  const variable = (name: string) => environment[name] || dotenv[name];
  const dotenv = environment.COMPOSE_FILE ? {} : await composeVariables(environment, directory ?? cwd);
  const list = variable('COMPOSE_FILE');
  if (!list) return undefined;
  return list
    .split(variable('COMPOSE_PATH_SEPARATOR') || delimiter)
    .filter(Boolean)
    .map((file) => resolve(cwd, file));
}

/** The COMPOSE_* lines of the env files that Compose reads before it knows the project. */
async function composeVariables(environment: NodeJS.ProcessEnv, folder: string): Promise<Record<string, string>> {
  const names = environment.COMPOSE_ENV_FILES?.split(',').filter(Boolean) ?? ['.env'];
  const found: Record<string, string> = {};
  for (const name of names) {
    const text = (await readFileIfThere(resolve(folder, name)).catch(() => undefined)) ?? '';
    for (const [, key, value] of text.matchAll(/^\s*(?:export\s+)?(COMPOSE_[A-Z_]+)\s*[=:]\s*(.*?)\s*$/gm)) {
      if (key && value) found[key] = value.replace(/^(["'])(.*)\1(\s+#.*)?$/, '$2').replace(/\s+#.*$/, '');
    }
  }
  return found;
}

async function defaultFiles(start: string): Promise<string[]> {
  const looked: string[] = [];
  for (let folder = start; ; folder = dirname(folder)) {
    looked.push(folder);
    const there = await fileNames(folder);
    const name = NAMES.find((one) => there.has(one));
    if (name !== undefined) {
      const override = OVERRIDES.find((one) => there.has(one));
      return [name, ...(override === undefined ? [] : [override])].map((one) => join(folder, one));
    }
    if (dirname(folder) === folder) break;
  }
  throw new Failure('PROJECT_NOT_FOUND', `no compose file in ${start} or a folder above it`, {
    where: start,
    next: 'run composure in the project’s folder, or name the file: composure -f PATH/compose.yaml …',
    details: [`looked for ${NAMES.join(', ')}`, ...looked.map((folder) => `in ${folder}`)],
  });
}

async function fileNames(folder: string): Promise<Set<string>> {
  try {
    const entries = await readdir(folder, { withFileTypes: true });
    return new Set(entries.filter((entry) => !entry.isDirectory()).map((entry) => entry.name));
  } catch {
    return new Set();
  }
}

async function mustExist(file: string, how: string): Promise<void> {
  const found = await stat(file).catch(() => undefined);
  if (found?.isFile() || found?.isFIFO() || found?.isCharacterDevice()) return;
  throw new Failure('PROJECT_NOT_FOUND', `the compose file ${how} ${found ? 'is a folder' : 'does not exist'}: ${file}`, {
    where: file,
    next: 'check the path; it starts from the folder that the command runs in',
  });
}

/** The files of `--env NAME`: the base and what is added next to it, and the env files. */
async function environmentFiles(env: string, base: readonly string[], folder: string): Promise<{ files: string[]; envFiles: string[] }> {
  const first = base[0] ?? join(folder, 'compose.yaml');
  const beside = dirname(first);
  const stem = first
    .slice(beside.length)
    .replace(/^\//, '')
    .replace(/\.ya?ml$/, '');
  const stems = [...new Set([stem, 'compose', 'docker-compose'])];
  const composeHere = await fileNames(beside);
  const envHere = await fileNames(folder);
  const added = stems.flatMap((one) => [`${one}.${env}.yaml`, `${one}.${env}.yml`]).find((name) => composeHere.has(name));
  const ownEnv = envHere.has(`.env.${env}`);
  if (added === undefined && !ownEnv) {
    const known = knownEnvironments(stems, [...composeHere], [...envHere]);
    throw new Failure('PROJECT_NOT_FOUND', `there is no environment "${env}": neither ${stem}.${env}.yaml nor .env.${env} exists`, {
      where: beside,
      next:
        known.length > 0
          ? `choose one that there is: ${known.map((name) => `--env ${name}`).join(', ')}`
          : `create ${stem}.${env}.yaml with what differs from ${stem}, or leave --env away`,
    });
  }
  const overlay = added === undefined ? undefined : join(beside, added);
  return {
    files: [...base, ...(overlay === undefined || base.includes(overlay) ? [] : [overlay])],
    envFiles: [...(envHere.has('.env') ? ['.env'] : []), ...(ownEnv ? [`.env.${env}`] : [])].map((name) => join(folder, name)),
  };
}

/** Endings of files beside the project that name no environment. */
const NOT_ENVIRONMENTS = new Set(['override', 'example', 'sample', 'template', 'dist', 'bak']);

export function knownEnvironments(stems: readonly string[], composeFiles: readonly string[], envFiles: readonly string[]): string[] {
  const names = new Set<string>();
  for (const file of composeFiles) {
    for (const stem of stems) {
      const name = file.startsWith(`${stem}.`) ? /^([^.]+)\.ya?ml$/.exec(file.slice(stem.length + 1))?.[1] : undefined;
      if (name !== undefined) names.add(name);
    }
  }
  for (const file of envFiles) {
    const name = /^\.env\.([^.]+)$/.exec(file)?.[1];
    if (name !== undefined) names.add(name);
  }
  return [...names].filter((name) => !NOT_ENVIRONMENTS.has(name)).sort();
}
