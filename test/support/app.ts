import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { run } from '../../src/kit/spawn.ts';

const FOLDER = fileURLToPath(new URL('../fixtures/app/', import.meta.url));
let building: Promise<string> | undefined;

/**
 * The image of the test app, built once for each content of its folder; several processes may call at once.
 * Returns its name, "composure-test-app:<hash>". What it does is said in test/fixtures/app/app.js.
 */
export function buildTestApp(): Promise<string> {
  building ??= build();
  building.catch(() => {
    building = undefined;
  });
  return building;
}

async function build(): Promise<string> {
  const hash = createHash('sha256');
  for (const name of ['Dockerfile', 'app.js', 'check']) hash.update(await readFile(`${FOLDER}${name}`));
  const image = `composure-test-app:${hash.digest('hex').slice(0, 12)}`;
  if (await exists(image)) return image;
  // Two builds of the same content end in the same image: no lock is needed.
  const built = await run('docker', ['build', '--quiet', '--tag', image, FOLDER], { timeoutMs: 120_000 });
  if (built.code !== 0) throw new Error(`the test app's image could not be built:\n${built.stderr}`);
  return image;
}

async function exists(image: string): Promise<boolean> {
  return (await run('docker', ['image', 'inspect', '--format', '{{.Id}}', image])).code === 0;
}
