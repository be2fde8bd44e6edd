import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { packageFolder, packageVersion } from '../../kit/package.ts';

export const packageScript = (): string => join(packageFolder(), 'bin', 'composure.js');
export const agentDockerfile = (): string => join(packageFolder(), 'images', 'agent', 'Dockerfile');

/** What images/agent/Dockerfile.dockerignore lets through, and the recipe itself. */
const CONTENTS = ['bin', 'src', 'dist', 'docs/reference', 'package.json', 'package-lock.json', 'images/agent'];

/** The name of the image that this package would be built into: other contents have another name. */
export async function agentImageName(folder = packageFolder()): Promise<string> {
  const hash = createHash('sha256');
  for (const file of await filesOf(folder)) hash.update(`${relative(folder, file)}\0`).update(await readFile(file));
  return `composure-agent:${packageVersion()}-${hash.digest('hex').slice(0, 12)}`;
}

async function filesOf(folder: string): Promise<string[]> {
  const found = await Promise.all(
    CONTENTS.map((name) => join(folder, name))
      .filter((path) => existsSync(path))
      .map(async (path) => {
        const entries = await readdir(path, { recursive: true, withFileTypes: true }).catch(() => undefined);
        if (!entries) return [path];
        return entries
          .filter((entry) => entry.isFile() && !entry.name.endsWith('.test.ts'))
          .map((entry) => join(entry.parentPath, entry.name));
      }),
  );
  return found.flat().sort();
}
