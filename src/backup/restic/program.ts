import { mkdir } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { engineSocket, openDocker } from '../../docker/api.ts';
import { pullIfMissing } from '../../docker/images.ts';
import { Failure } from '../../kit/errors.ts';
import type { Report } from '../../kit/events.ts';
import { type RunResult, run, type Streamed, stream } from '../../kit/spawn.ts';
import type { BackupSettings } from '../../project/model.ts';
import { containerCommand } from './container.ts';
import { type Invocation, type ResticOptions, withoutPassword } from './invocation.ts';
import { resticFailure } from './outcome.ts';

/** restic as a child process, on the PATH or in its image: an argument array, secrets in its environment only. */
export interface Restic {
  version: string;
  /** Its address, for people: without a password. */
  repository: string;
  /** How many calls at a time are faster than one: each takes a third of a second of one core for its key alone. */
  atOnce: number;
  /** Nothing can be removed from it from here. */
  appendOnly: boolean;
  /** For what was read from the repository and cannot change there. */
  cache: string;
  /** Arguments after the global ones. Never throws for an exit code: `resticFailure` says what it means. */
  run(args: readonly string[], options?: ResticOptions): Promise<RunResult>;
  /**
   * What restic writes on its standard output, as it comes: for `dump`. `doing` is for messages: "read db/postgres of set …". Throws what
   * `resticFailure` makes of an exit code; a reader who leaves early ends restic.
   */
  read(args: readonly string[], doing: string, options?: ResticOptions): AsyncGenerator<Uint8Array, void>;
}

/** Older ones say nothing as JSON of a check and of what ended them, and without that every check would be a failure. */
export const OLDEST_RESTIC = '0.18.0';

/** Where the PATH has no restic that is new enough. */
export const RESTIC_IMAGE = 'restic/restic:0.19.1';

/** The version in restic's own words, or undefined when it is no version of restic. */
export const resticVersion = (text: string): string | undefined => /^restic (\d+\.\d+\.\d+)/m.exec(text)?.[1];

export function isNewEnough(version: string, oldest: string = OLDEST_RESTIC): boolean {
  const [have, want] = [version, oldest].map((text) => text.split('.').map(Number)) as [number[], number[]];
  for (let part = 0; part < 3; part++) if (have[part] !== want[part]) return (have[part] ?? 0) > (want[part] ?? 0);
  return true;
}

export interface OpenOptions {
  /** Of this process. */
  env?: NodeJS.ProcessEnv;
  /** Image of restic, where the PATH has none that is new enough. */
  image?: string;
  report?: Report;
}

/** The restic on the PATH, else the one in its image. Asks nothing of the repository yet. Throws RESTIC_MISSING, BACKUP_NOT_SET_UP. */
export async function openRestic(
  settings: BackupSettings | undefined,
  secrets: Record<string, string>,
  { env = process.env, image = RESTIC_IMAGE, report = () => {} }: OpenOptions = {},
): Promise<Restic> {
  const address = settings?.repository;
  if (!settings || address === undefined) {
    throw new Failure('BACKUP_NOT_SET_UP', 'the compose file names no repository for backups', {
      next: 'add for example `x-composure: {backup: {repository: /mnt/backup/shop}}` and run: composure backup init',
    });
  }
  if (!secrets.RESTIC_PASSWORD) {
    throw new Failure('BACKUP_NOT_SET_UP', 'there is no RESTIC_PASSWORD: backups are always encrypted', {
      next: 'composure backup init makes one; for a repository that exists: composure secrets set RESTIC_PASSWORD',
    });
  }
  const repository = withoutPassword(address);
  // A service under systemd has no home, and restic refuses to work without a cache folder then.
  const home = env.HOME ?? homedir();
  const resticCache = env.RESTIC_CACHE_DIR || join(env.XDG_CACHE_HOME || join(home, '.cache'), 'restic');
  const variables: Record<string, string> = {
    ...secrets,
    RESTIC_REPOSITORY: address,
    // Left in the environment these would be asked before what is set here.
    RESTIC_REPOSITORY_FILE: '',
    RESTIC_PASSWORD_FILE: '',
    RESTIC_PASSWORD_COMMAND: '',
    RESTIC_PROGRESS_FPS: '1',
    RESTIC_CACHE_DIR: resticCache,
    HOME: home,
    ...(settings.cpus === undefined ? {} : { GOMAXPROCS: String(settings.cpus) }),
  };
  const limits = [
    ...(settings.limitUpload === undefined ? [] : ['--limit-upload', String(settings.limitUpload)]),
    ...(settings.limitDownload === undefined ? [] : ['--limit-download', String(settings.limitDownload)]),
  ];
  // Each call keeps to a limit by itself; two would take twice as much.
  const isLimited = settings.cpus === 1 || limits.length > 0;
  let warnedAt = Number.NEGATIVE_INFINITY;
  const warn = (line: string): void => {
    if (performance.now() - warnedAt < WARN_EVERY_MS) return;
    warnedAt = performance.now();
    report({ kind: 'warning', text: `${repository} does not answer as it should: ${line}` });
  };
  const { version, command } = await findRestic(variables, env, image, report);
  return {
    version,
    repository,
    atOnce: isLimited ? 1 : 3,
    appendOnly: settings.appendOnly === true,
    cache: join(resticCache, 'composure'),
    run: async (args, options = {}) => {
      const { program, args: all, ...how } = command([...limits, ...args], options);
      const noBucket = new AbortController();
      const onLine = (line: string, from: 'stdout' | 'stderr'): void => {
        options.onLine?.(line, from);
        if (from === 'stdout' || !RETRIES.test(line)) return;
        if (NO_BUCKET.test(line)) noBucket.abort();
        else warn(line);
      };
      const signal = options.signal ? AbortSignal.any([options.signal, noBucket.signal]) : noBucket.signal;
      const result = await run(program, all, { ...how, ...(options.discardStdout ? { discardStdout: true } : {}), onLine, signal });
      return noBucket.signal.aborted ? { ...result, code: REPOSITORY_MISSING } : result;
    },
    read: async function* (args, doing, options = {}) {
      const { program, args: all, ...how } = command([...limits, ...args], options);
      yield* outputOf(stream(program, all, { ...how, ...(options.signal ? { signal: options.signal } : {}) }), doing, repository);
    },
  };
}

type Command = (args: readonly string[], options: ResticOptions) => Invocation;

async function findRestic(
  variables: Record<string, string>,
  env: NodeJS.ProcessEnv,
  image: string,
  report: Report,
): Promise<{ version: string; command: Command }> {
  const path = env.PATH === undefined ? {} : { PATH: env.PATH };
  const own = resticVersion((await run('restic', ['version'], { timeoutMs: 15_000, env: path })).stdout);
  if (own !== undefined && isNewEnough(own)) {
    return {
      version: own,
      command: (args, { cwd }) => ({ program: 'restic', args, env: { ...path, ...variables }, ...(cwd === undefined ? {} : { cwd }) }),
    };
  }
  const found = own === undefined ? 'restic is not installed, or not on the PATH' : `restic is version ${own}, too old`;
  try {
    await pullIfMissing(openDocker(engineSocket(env)), image, report);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    throw resticMissing(`${found}, and its image cannot be had: ${error.message}`, error.details);
  }
  await mkdir(variables.RESTIC_CACHE_DIR ?? '', { recursive: true, mode: 0o700 });
  const asked = await run('docker', ['run', '--rm', '--network', 'none', '--entrypoint', 'restic', image, 'version'], {
    timeoutMs: 60_000,
  });
  const version = resticVersion(asked.stdout);
  if (version === undefined || !isNewEnough(version)) {
    throw resticMissing(`${found}, and ${image} has ${version === undefined ? 'none' : `version ${version}`}`, [
      ...asked.stderr.trim().split('\n').slice(-3),
    ]);
  }
  return { version, command: (args, options) => containerCommand(image, variables, args, options) };
}

const resticMissing = (message: string, details: string[]): Failure =>
  new Failure('RESTIC_MISSING', message, {
    details: details.filter((line) => line !== ''),
    next: `install restic ${OLDEST_RESTIC} or newer: https://restic.net (one file; Debian 12 has one that is too old), or name an image that can be pulled: x-composure: {images: {restic: …}}`,
  });

/** restic goes on for a quarter of an hour with a backend that fails, and says so each time. */
const RETRIES = /returned error, retrying after/;

/** Several transfers at once fail at once. */
const WARN_EVERY_MS = 30_000;

/** Then also with a bucket that does not exist, which no waiting brings. */
const NO_BUCKET = /bucket does not exist/;

/** restic's exit code. */
const REPOSITORY_MISSING = 10;

async function* outputOf({ output, ended, stop }: Streamed, doing: string, repository: string): AsyncGenerator<Uint8Array, void> {
  let isRead = false;
  try {
    for await (const chunk of output) yield chunk;
    isRead = true;
  } finally {
    if (!isRead) {
      stop();
      await ended;
    }
  }
  const { code, stderr } = await ended;
  if (code !== 0) throw resticFailure({ code, stdout: '', stderr }, doing, repository);
}
