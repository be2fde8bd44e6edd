import { Failure } from '../../kit/errors.ts';
import type { RunResult } from '../../kit/spawn.ts';

/** restic's messages under --json, one object a line; lines that are none are its plain complaints. */
export interface ResticMessage {
  message_type?: string;
  message?: string;
  item?: string;
  during?: string;
  error?: { message?: string };
  snapshot_id?: string;
  backup_start?: string;
  total_bytes_processed?: number;
  total_files_processed?: number;
  data_added_packed?: number;
  [key: string]: unknown;
}

export function readMessages(text: string): ResticMessage[] {
  return text.split('\n').flatMap((line) => {
    if (!line.startsWith('{')) return line.trim() === '' ? [] : [{ message_type: 'plain', message: line.trim() }];
    try {
      return [JSON.parse(line) as ResticMessage];
    } catch {
      return [{ message_type: 'plain', message: line.trim() }];
    }
  });
}

/** What restic complained about, in its own words, newest last. */
export function complaints({ stdout, stderr }: RunResult): string[] {
  return [...readMessages(stdout), ...readMessages(stderr)]
    .flatMap((message) => {
      if (message.message_type === 'error') return [message.error?.message ?? message.message ?? ''];
      if (message.message_type === 'exit_error' || message.message_type === 'plain') return [message.message ?? ''];
      return [];
    })
    .flatMap((text) => text.split('\n'))
    .filter((text, index, all) => text !== '' && !FRAME.test(text) && !FRAME.test(all[index + 1] ?? ''))
    .slice(-8);
}

/** restic ends some messages with the stack of its own program: a line with a function, and one with the place in it. */
const FRAME = /^\s*\S+\.(go|s):\d+$/;

/** restic's exit code where others have locked the repository. */
export const LOCKED_CODE = 11;

/** What restic says of a removal that a REST server or an object store refuses. */
const NO_REMOVAL = /^Remove\(.*(403|access ?denied|forbidden)/i;

/** The failure that an exit code of restic other than 0 means. Codes: restic's manual, "Exit codes". */
export function resticFailure(result: RunResult, doing: string, repository: string): Failure {
  const parts = { where: repository, details: complaints(result) };
  switch (result.code) {
    case 10:
      return new Failure('REPOSITORY_MISSING', `${doing}: there is no repository`, {
        ...parts,
        next: 'if it is new: composure backup init; if it is not, is its disk mounted, and is the address right?',
      });
    case LOCKED_CODE:
      return new Failure('REPOSITORY_LOCKED', `${doing}: the repository is locked by another restic`, {
        ...parts,
        next: 'wait for it to end; if it was killed: composure backup unlock',
      });
    case 12:
      return new Failure('REPOSITORY_PASSWORD', `${doing}: the password is not the repository’s`, {
        ...parts,
        next: 'look at RESTIC_PASSWORD: where this shell sets it, that counts, else the secret; the recovery kit holds the one that was set at backup init',
      });
    default:
      if (parts.details.some((line) => /no space left on device|disk quota exceeded/i.test(line))) {
        return new Failure('DISK_FULL', `${doing}: a disk is full`, {
          ...parts,
          next: 'free some space where restic says, and run the command again; composure backup prune removes sets that no rule keeps',
        });
      }
      if (parts.details.some((line) => NO_REMOVAL.test(line))) {
        return new Failure('REPOSITORY_FAILED', `${doing}: the repository lets nothing be removed from here`, {
          ...parts,
          next: 'if that is meant to be, set x-composure.backup.append-only and prune from where it is allowed; else the server or the keys have to allow it',
        });
      }
      return new Failure('REPOSITORY_FAILED', `${doing}: restic ended with exit code ${result.code}`, {
        ...parts,
        next: 'solve what restic says and run the command again; composure backup verify tells whether the repository is whole',
      });
  }
}
