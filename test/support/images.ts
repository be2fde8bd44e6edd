import { run } from '../../src/kit/spawn.ts';

/** Whether an image is here or can be pulled. Where it is not, says what is not tested. */
export async function hasImage(image: string, what: string): Promise<boolean> {
  for (const args of [
    ['image', 'inspect', image],
    ['pull', '-q', image],
  ]) {
    if ((await run('docker', args, { timeoutMs: 300_000 })).code === 0) return true;
  }
  console.log(`${what} is not tested: ${image} can be had neither from a registry nor from packages`);
  return false;
}
