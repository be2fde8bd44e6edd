import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { LoadOptions } from '../load/model.ts';
import { must } from '../support/must.ts';

const FOLDER = fileURLToPath(new URL('../../examples/causal-analytics/', import.meta.url));
export const IMAGE = 'causal-analytics';
export const WORKERS = ['worker-light', 'worker-medium', 'worker-heavy'];

/** The example's own files, and beside them the given override. */
export async function exampleFiles(override: string): Promise<Record<string, string>> {
  return {
    'compose.yaml': await readFile(join(FOLDER, 'compose.yaml'), 'utf8'),
    'secrets/development': await readFile(join(FOLDER, 'secrets/development'), 'utf8'),
    'compose.override.yaml': override,
  };
}

/** One image for each version, before any clock runs. They differ in their last layer only. */
export async function buildVersions(versions: string[]): Promise<void> {
  const npmrc = join(homedir(), '.npmrc');
  const secret = existsSync(npmrc) ? ['--secret', `id=npmrc,src=${npmrc}`] : [];
  for (const version of versions)
    await must('docker', ['build', '--quiet', ...secret, '--build-arg', `VERSION=${version}`, '--tag', `${IMAGE}:${version}`, FOLDER]);
}

export async function removeVersions(versions: string[]): Promise<void> {
  await must('docker', ['image', 'rm', '--force', ...versions.map((version) => `${IMAGE}:${version}`)]);
}

/** Keep-alive GET, POST with body, new connections, 2-second requests, WebSockets and event streams together, as the load client has them by default. */
export const exampleLoad = (port: number, host: string): LoadOptions => ({
  port,
  host,
  expect: { get: '"service":"causal-analytics"', slow: 'waitedMs' },
});
