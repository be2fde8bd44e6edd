import { mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Failure } from '../kit/errors.ts';
import { storageFailure } from '../kit/files.ts';
import { isLocal } from './restic/invocation.ts';
import { resticFailure } from './restic/outcome.ts';
import type { Restic } from './restic/program.ts';

/** Whether there is a repository, and whether the password opens it. Throws REPOSITORY_FAILED when it cannot be reached. */
export async function findRepository(restic: Restic): Promise<'missing' | 'open' | 'other password'> {
  const result = await restic.run(['cat', 'config', '--no-lock']);
  if (result.code === 0) return 'open';
  if (result.code === 10) return 'missing';
  if (result.code === 12) return 'other password';
  throw resticFailure(result, 'look for the repository', restic.repository);
}

export const takenRepository = (repository: string): Failure =>
  new Failure('REPOSITORY_PASSWORD', 'there is a repository already, and it has another password', {
    where: repository,
    next: 'set its password: composure secrets set RESTIC_PASSWORD; or name another place in x-composure.backup.repository',
  });

/** Creates the repository; answers its id. Throws DISK_FULL, REPOSITORY_FAILED. */
export async function createRepository(restic: Restic): Promise<string> {
  if (isLocal(restic.repository)) {
    try {
      await mkdir(restic.repository, { recursive: true, mode: 0o700 });
    } catch (error) {
      const failure = storageFailure(error, restic.repository);
      if (!(failure instanceof Failure) || failure.code === 'DISK_FULL') throw failure;
      throw new Failure('REPOSITORY_FAILED', failure.message, {
        where: restic.repository,
        next: 'make that place writable, or name another in x-composure.backup.repository',
      });
    }
  }
  const result = await restic.run(['init', '--json']);
  if (result.code !== 0) throw resticFailure(result, 'create the repository', restic.repository);
  return (JSON.parse(result.stdout) as { id: string }).id;
}

/** A disk that dies takes backups that lie on it along. Undefined where the repository is elsewhere. */
export async function sameDiskWarning(repository: string, folder: string): Promise<string | undefined> {
  if (!isLocal(repository)) return undefined;
  const [there, here] = await Promise.all([deviceOf(repository), deviceOf(folder)]);
  if (there !== here) return undefined;
  return `${repository} is on the same file system as the project: what destroys one destroys the other. Use another disk, better another place (s3:, sftp:, rest:)`;
}

async function deviceOf(path: string): Promise<number> {
  for (let folder = path; ; folder = dirname(folder)) {
    const found = await stat(folder).catch(() => undefined);
    if (found || folder === dirname(folder)) return found?.dev ?? 0;
  }
}
