import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** The PATH of a machine that has no restic. */
export const pathWithoutRestic = (): string =>
  (process.env.PATH ?? '')
    .split(delimiter)
    .filter((folder) => !existsSync(join(folder, 'restic')))
    .join(delimiter);
