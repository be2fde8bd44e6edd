import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** Where the package lies, from the sources as from what was built of them. */
export function packageFolder(): string {
  for (let folder = import.meta.dirname; ; folder = dirname(folder)) if (existsSync(join(folder, 'package.json'))) return folder;
}
