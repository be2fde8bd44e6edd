import { existsSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { Failure } from '../../../kit/errors.ts';
import type { Io } from '../../io.ts';

/** The absolute path of a file that a command is to write. Throws USAGE where one is already, or its folder is not. */
export function newFile({ cwd }: Pick<Io, 'cwd'>, name: string): string {
  const file = resolve(cwd, name);
  if (existsSync(file))
    throw new Failure('USAGE', 'there is a file of that name already', { where: file, next: 'remove it, or name another: --out FILE' });
  if (!existsSync(dirname(file)))
    throw new Failure('USAGE', `the folder ${dirname(file)} does not exist`, {
      where: file,
      next: 'make it, or name another place: --out FILE',
    });
  return file;
}
