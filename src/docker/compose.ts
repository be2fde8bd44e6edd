import { Failure } from '../kit/errors.ts';
import { type RunResult, run } from '../kit/spawn.ts';
import type { Docker } from './api.ts';
import { composeCommand } from './plugin.ts';

export const OLDEST_ENGINE = 25;
export const OLDEST_COMPOSE = '2.20';

/** What makes `docker compose` see one project: its global arguments, folder and environment additions. */
export interface ConfigTarget {
  args: string[];
  cwd: string;
  env: Record<string, string>;
}

export type ComposeConfig =
  | {
      ok: true;
      /** Compose's resolved model; dollars in values are still doubled. It holds secrets: never print it. */
      model: Record<string, unknown>;
      /** Config hash by service, of the active profiles. */
      hashes: Record<string, string>;
      /** What Compose warned about, one message each. */
      warnings: string[];
    }
  | {
      ok: false;
      /** Compose's reason, without time stamps and levels. */
      reason: string;
      warnings: string[];
    };

/**
 * Compose's own reading of the project. The YAML form is used because the JSON form leaves out the services' x- keys.
 * Throws Failure DOCKER_* or COMPOSE_MISSING when it is the tool and not the project that is at fault.
 */
export async function composeConfig(target: ConfigTarget, { envFiles = false } = {}): Promise<ComposeConfig> {
  const { program, prefix } = composeCommand({ ...process.env, ...target.env });
  const ask = (args: string[]) => run(program, [...prefix, ...target.args, 'config', ...args], { cwd: target.cwd, env: target.env });
  // The parser is loaded while Compose works.
  const [config, plain, { parse }] = await Promise.all([ask([]), ask(['--hash', '*']), import('yaml')]);
  const { warnings, rest } = splitMessages(config.stderr);
  if (config.code !== 0) {
    await blameTool(config, target.env);
    return { ok: false, reason: rest || `docker compose config ended with exit code ${config.code}`, warnings };
  }
  const hash = envFiles ? await hashOfResolved(target, config.stdout, plain) : plain;
  if (hash.code !== 0) {
    await blameTool(hash, target.env);
    return { ok: false, reason: splitMessages(hash.stderr).rest, warnings };
  }
  return { ok: true, model: parse(config.stdout, { maxAliasCount: -1 }) ?? {}, hashes: parseHashes(hash.stdout), warnings };
}

/**
 * What Compose would put in the place of variables, its env files included. Variables without a value are left out. `folder` is the project's.
 * Throws Failure COMMAND_FAILED, DOCKER_* or COMPOSE_MISSING.
 */
export async function composeVariables(target: ConfigTarget, folder: string, names: readonly string[]): Promise<Record<string, string>> {
  const { program, prefix } = composeCommand({ ...process.env, ...target.env });
  const envFiles = target.args.flatMap((arg, index) => (arg === '--env-file' ? [arg, target.args[index + 1] ?? ''] : []));
  // "+" tells a variable that is set from one that is not, whatever its value.
  const question = Object.fromEntries(names.map((name) => [name, [`\${${name}+set}`, `\${${name}-}`]]));
  const result = await run(program, [...prefix, '--project-directory', folder, ...envFiles, '-f', '-', 'config'], {
    cwd: target.cwd,
    env: { ...target.env, COMPOSE_PROFILES: '' },
    input: JSON.stringify({ name: 'variables', services: {}, 'x-values': question }),
  });
  if (result.code !== 0) {
    await blameTool(result, target.env);
    throw new Failure('COMMAND_FAILED', 'docker compose cannot read the project’s env files', {
      details: splitMessages(result.stderr).rest.split('\n').slice(0, 5),
      next: 'correct what it says; `docker compose config` says the same',
    });
  }
  const { parse } = await import('yaml');
  const answer = (parse(result.stdout) as { 'x-values'?: Record<string, [string, string]> })['x-values'] ?? {};
  return Object.fromEntries(
    Object.entries(answer).flatMap(([name, [set, value]]) => (set === 'set' ? [[name, value.replaceAll('$$', '$')]] : [])),
  );
}

/**
 * From the files, `config --hash` leaves env_file as it is, and `up` hashes what the env files say. The resolved model has the
 * services of the active profiles only. Not every one can be read again.
 */
async function hashOfResolved(target: ConfigTarget, resolved: string, plain: RunResult): Promise<RunResult> {
  const { program, prefix } = composeCommand({ ...process.env, ...target.env });
  const args = [...prefix, ...withoutFiles(target.args), '--profile', '*', '-f', '-', 'config', '--hash', '*'];
  const hash = await run(program, args, { cwd: target.cwd, env: target.env, input: resolved });
  return hash.code === 0 ? hash : plain;
}

const withoutFiles = (args: readonly string[]): string[] =>
  args.filter((arg, index) => arg !== '-f' && arg !== '--file' && args[index - 1] !== '-f' && args[index - 1] !== '--file');

function parseHashes(text: string): Record<string, string> {
  const pairs = text.split('\n').map((line) => line.trim().split(/\s+/));
  return Object.fromEntries(pairs.flatMap(([name, hash]) => (name && hash ? [[name, hash]] : [])));
}

/** Splits Compose's stderr into its logged warnings and the error text that follows. */
export function splitMessages(stderr: string): { warnings: string[]; rest: string } {
  const warnings: string[] = [];
  const rest: string[] = [];
  for (const line of stderr.split('\n')) {
    const logged = /^time="[^"]*" level=(\w+) msg=("(?:[^"\\]|\\.)*"|\S+)/.exec(line);
    if (!logged) rest.push(line);
    else (logged[1] === 'warning' || logged[1] === 'info' ? warnings : rest).push(unquote(logged[2] ?? ''));
  }
  return { warnings, rest: rest.join('\n').trim() };
}

function unquote(text: string): string {
  if (!text.startsWith('"')) return text;
  try {
    return JSON.parse(text) as string;
  } catch {
    return text.slice(1, -1);
  }
}

/** Without its plugin `docker` takes `compose` for one of its own words and complains about that instead of the project. */
async function blameTool(result: RunResult, env: Record<string, string>): Promise<void> {
  if (
    result.code === 127 ||
    /is not a docker command|unknown (shorthand )?flag|unknown command: docker|unknown docker command/.test(result.stderr)
  )
    await checkDocker(env);
}

/**
 * Docker, its engine and Compose are there and new enough; throws DOCKER_MISSING, DOCKER_UNREACHABLE, DOCKER_TOO_OLD or COMPOSE_MISSING.
 * It costs two processes: run it once before a deploy, or after a command failed.
 */
export async function checkDocker(env: Record<string, string> = {}): Promise<void> {
  const [docker, compose] = await Promise.all([
    run('docker', ['version', '--format', '{{json .}}'], { env, timeoutMs: 15_000 }),
    run('docker', ['compose', 'version', '--short'], { env, timeoutMs: 15_000 }),
  ]);
  const failure = dockerFailure(docker, compose, env.DOCKER_HOST ?? process.env.DOCKER_HOST);
  if (failure) throw failure;
}

/** The engine is new enough, asked over its own socket; throws DOCKER_UNREACHABLE or DOCKER_TOO_OLD. It costs a few milliseconds. */
export async function checkEngine(docker: Pick<Docker, 'version'>): Promise<void> {
  const { Version } = await docker.version();
  if (Number.parseInt(Version, 10) < OLDEST_ENGINE) throw engineTooOld(Version);
}

const engineTooOld = (version: string): Failure =>
  new Failure('DOCKER_TOO_OLD', `the Docker engine is version ${version}; Composure needs ${OLDEST_ENGINE}.0 or newer`, {
    next: 'upgrade Docker Engine: https://docs.docker.com/engine/install/',
  });

/** What the answers of `docker version` and `docker compose version --short` mean; undefined when all is well. */
export function dockerFailure(docker: RunResult, compose: RunResult, host?: string): Failure | undefined {
  if (docker.code === 127) {
    return new Failure('DOCKER_MISSING', 'the docker command is not installed, or not on the PATH', {
      next: 'install Docker Engine with its Compose plugin: https://docs.docker.com/engine/install/',
    });
  }
  const version = serverVersion(docker.stdout);
  if (version === undefined) {
    const reason = docker.stderr.trim().split('\n').filter(Boolean);
    const forbidden = reason.some((line) => /permission denied/i.test(line));
    return new Failure('DOCKER_UNREACHABLE', 'the Docker engine does not answer', {
      ...(host ? { where: host } : {}),
      next: forbidden
        ? 'run as a user who may use Docker (a member of the group docker, or root)'
        : 'start it (sudo systemctl start docker) and check that `docker info` works, then run the command again',
      details: docker.code === 124 ? ['no answer within 15 s'] : reason,
    });
  }
  if (Number.parseInt(version, 10) < OLDEST_ENGINE) {
    return engineTooOld(version);
  }
  const found = compose.stdout.trim().replace(/^v/, '');
  const [major = 0, minor = 0] = found.split('.').map((part) => Number.parseInt(part, 10));
  const [oldMajor = 0, oldMinor = 0] = OLDEST_COMPOSE.split('.').map(Number);
  if (compose.code !== 0 || !/^\d/.test(found)) {
    return new Failure('COMPOSE_MISSING', '`docker compose` (Compose v2) is not installed', {
      next: 'install the plugin: https://docs.docker.com/compose/install/linux/ (the old docker-compose program is not enough)',
      details: compose.stderr.trim().split('\n').slice(0, 1).filter(Boolean),
    });
  }
  if (major < oldMajor || (major === oldMajor && minor < oldMinor)) {
    return new Failure('COMPOSE_MISSING', `Compose is version ${found}; Composure needs ${OLDEST_COMPOSE} or newer`, {
      next: 'upgrade the plugin: https://docs.docker.com/compose/install/linux/',
    });
  }
  return undefined;
}

function serverVersion(json: string): string | undefined {
  try {
    return (JSON.parse(json) as { Server?: { Version?: string } | null }).Server?.Version;
  } catch {
    return undefined;
  }
}
