import { Failure } from '../kit/errors.ts';
import type { Report } from '../kit/events.ts';
import { run } from '../kit/spawn.ts';
import type { Docker } from './api.ts';
import { checkDocker } from './compose.ts';

/** Pulls an image that is not on this machine, with the login and credential stores that the docker command knows. */
export async function pullIfMissing(docker: Docker, image: string, report: Report): Promise<void> {
  if (await docker.findImage(image)) return;
  const began = performance.now();
  report({ kind: 'step-start', step: `pull:${image}`, text: `pull ${image}` });
  const result = await run('docker', ['pull', '--quiet', image]);
  if (result.code === 0) {
    report({ kind: 'step-done', step: `pull:${image}`, text: '', ms: performance.now() - began });
    return;
  }
  report({ kind: 'step-failed', step: `pull:${image}`, text: 'not pulled', ms: performance.now() - began });
  if (result.code === 127) await checkDocker();
  throw new Failure('IMAGE_UNAVAILABLE', `could not pull ${image}`, {
    details: result.stderr.trim().split('\n').slice(-5),
    next: 'check the name and the network, or name another image for it: x-composure: {images: …}',
  });
}

/** Builds an image from a folder, with the docker command's own settings (proxies, credentials). Failure BUILD_FAILED with its last words. */
export async function buildImage(image: string, folder: string, dockerfile: string, report: Report): Promise<void> {
  const began = performance.now();
  report({ kind: 'step-start', step: `build:${image}`, text: `build ${image}` });
  const result = await run('docker', ['build', '--progress', 'plain', '--file', dockerfile, '--tag', image, folder], {
    env: { DOCKER_BUILDKIT: '1' },
    onLine: (text) => report({ kind: 'output', source: 'build', text }),
  });
  if (result.code === 0) {
    report({ kind: 'step-done', step: `build:${image}`, text: '', ms: performance.now() - began });
    return;
  }
  report({ kind: 'step-failed', step: `build:${image}`, text: 'not built', ms: performance.now() - began });
  if (result.code === 127) await checkDocker();
  throw new Failure('BUILD_FAILED', `could not build ${image}`, {
    details: `${result.stdout}\n${result.stderr}`.trim().split('\n').slice(-12),
    next: 'mend what is said above (a registry that cannot be reached?), or give an image that is built already: --image IMAGE',
  });
}
