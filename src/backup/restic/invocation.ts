import type { RunOptions } from '../../kit/spawn.ts';

/** What one call of restic works with. */
export interface ResticOptions {
  /** It is read from here; it counts as one of `paths`. */
  cwd?: string;
  /** Files and folders of this host that the arguments name and restic only reads. */
  paths?: readonly string[];
  /** Those that it writes to. They have to exist. */
  writes?: readonly string[];
  signal?: AbortSignal;
  onLine?: (line: string, stream: 'stdout' | 'stderr') => void;
  /** As RunOptions has it. */
  discardStdout?: boolean;
}

/** One call of restic as a program of this host. */
export interface Invocation extends Pick<RunOptions, 'cwd' | 'env' | 'input' | 'holdInput'> {
  program: string;
  args: readonly string[];
}

/** For people, as restic itself shows an address that has a password in it. Pure. */
export const withoutPassword = (repository: string): string => repository.replace(/^((?:[a-z0-9]+:)+\/\/[^/:@]*):[^/]*@/, '$1:***@');

/** A repository in a folder of this host, and not behind a protocol. */
export const isLocal = (repository: string): boolean => !/^[a-z0-9]+:/.test(repository);
