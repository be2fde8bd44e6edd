import { homedir } from 'node:os';
import { Failure } from '../../kit/errors.ts';
import { type RunResult, run } from '../../kit/spawn.ts';
import type { BackupSettings } from '../../project/model.ts';

/** restic as a child process: an argument array, secrets in its environment only. */
export interface Restic {
  version: string;
  repository: string;
  /** Arguments after the global ones. */
  run(args: readonly string[], options?: ResticOptions): Promise<RunResult>;
}

export interface ResticOptions {
  cwd?: string;
  input?: string;
  signal?: AbortSignal;
  onLine?: (line: string, stream: 'stdout' | 'stderr') => void;
  /** The result's stdout is empty then: for output that is too long to be kept, and read by `onLine`. */
  discardStdout?: boolean;
}

/** Older ones have no exit codes of their own for a missing repository, a lock and a wrong password. */
export const OLDEST_RESTIC = '0.17.1';

/** The version in restic's own words, or undefined when it is no version of restic. */
export const resticVersion = (text: string): string | undefined => /^restic (\d+\.\d+\.\d+)/.exec(text)?.[1];

export function isNewEnough(version: string, oldest: string = OLDEST_RESTIC): boolean {
  const [have, want] = [version, oldest].map((text) => text.split('.').map(Number)) as [number[], number[]];
  for (let part = 0; part < 3; part++) if (have[part] !== want[part]) return (have[part] ?? 0) > (want[part] ?? 0);
  return true;
}

/** The restic on the PATH. Throws RESTIC_MISSING, BACKUP_NOT_SET_UP. */
export async function openRestic(
  settings: BackupSettings | undefined,
  secrets: Record<string, string>,
  env: NodeJS.ProcessEnv = process.env,
): Promise<Restic> {
  const repository = settings?.repository;
  if (!settings || repository === undefined) {
    throw new Failure('BACKUP_NOT_SET_UP', 'the compose file names no repository for backups', {
      next: 'add for example `x-composure: {backup: {repository: /mnt/backup/shop}}` and run: composure backup init',
    });
  }
  if (!secrets.RESTIC_PASSWORD) {
    throw new Failure('BACKUP_NOT_SET_UP', 'there is no RESTIC_PASSWORD: backups are always encrypted', {
      next: 'set one: composure secrets set RESTIC_PASSWORD',
    });
  }
  const found = await run('restic', ['version'], { timeoutMs: 15_000 });
  const version = resticVersion(found.stdout);
  if (version === undefined || !isNewEnough(version)) {
    throw new Failure(
      'RESTIC_MISSING',
      version === undefined
        ? 'restic is not installed, or not on the PATH'
        : `restic is version ${version}; Composure needs ${OLDEST_RESTIC} or newer`,
      { next: 'install it: https://restic.net (one file; Debian 12 has one that is too old)' },
    );
  }
  const variables: Record<string, string> = {
    ...secrets,
    RESTIC_REPOSITORY: repository,
    RESTIC_PROGRESS_FPS: '1',
    // A service under systemd has no home, and restic refuses to work without a cache folder then.
    HOME: env.HOME ?? homedir(),
    ...(settings.cpus === undefined ? {} : { GOMAXPROCS: String(settings.cpus) }),
  };
  const limits = [
    ...(settings.limitUpload === undefined ? [] : ['--limit-upload', String(settings.limitUpload)]),
    ...(settings.limitDownload === undefined ? [] : ['--limit-download', String(settings.limitDownload)]),
  ];
  return { version, repository, run: (args, options = {}) => run('restic', [...limits, ...args], { ...options, env: variables }) };
}
