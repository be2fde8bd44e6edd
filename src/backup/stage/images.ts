import { pullIfMissing } from '../../docker/images.ts';
import { Failure } from '../../kit/errors.ts';
import type { Manifest } from '../model.ts';
import type { StageWorld } from './model.ts';

/**
 * The images of a set by the id that they had, on this machine or else from their registry by digest. A newer one of the same name is never
 * taken. Throws IMAGE_UNAVAILABLE, which names every service that lacks its image.
 */
export async function findImages(
  { docker, report }: StageWorld,
  { images, set }: Manifest,
  services: readonly string[],
): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  const missing: string[] = [];
  for (const service of services) {
    const wanted = images[service];
    if (wanted === undefined) continue;
    const here =
      (await docker.findImage(wanted.id)) ?? (wanted.digest ? await docker.findImage(pinned(wanted.reference, wanted.digest)) : undefined);
    if (here) {
      found[service] = here.Id;
      continue;
    }
    if (wanted.digest === undefined) {
      missing.push(`${service}: ${wanted.reference} (${wanted.id.slice(0, 19)}) was built or loaded here and is gone`);
      continue;
    }
    try {
      await pullIfMissing(docker, pinned(wanted.reference, wanted.digest), report);
      found[service] = (await docker.findImage(pinned(wanted.reference, wanted.digest)))?.Id ?? wanted.id;
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      missing.push(`${service}: ${error.message}`);
    }
  }
  if (missing.length === 0) return found;
  throw new Failure('IMAGE_UNAVAILABLE', `images of the set ${set} are not to be had`, {
    details: missing,
    next: 'bring them back (docker load, a registry, or a build of that version), or take a newer set',
  });
}

/** "ghcr.io/shop/api:1.4" and a digest, as a name that means exactly that image. Pure. */
export function pinned(reference: string, digest: string): string {
  if (digest.includes('@')) return digest;
  const repository = reference.replace(/@sha256:.*$/, '').replace(/:[^/:]*$/, '');
  return `${repository}@${digest}`;
}
