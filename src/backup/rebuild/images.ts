import { pullIfMissing } from '../../docker/images.ts';
import { composeBuild } from '../../docker/release.ts';
import { Failure } from '../../kit/errors.ts';
import type { Project } from '../../project/model.ts';
import type { Manifest } from '../model.ts';
import { pinned } from '../stage/images.ts';
import type { StageWorld } from '../stage/model.ts';

/**
 * The images of the project's services as they ran, by id or by digest, under the names that the compose file has for them; a service with a
 * build section whose image is gone is built. Answers the ids. Throws IMAGE_UNAVAILABLE, BUILD_FAILED.
 */
export async function bringImages(
  world: StageWorld,
  project: Pick<Project, 'services' | 'compose'>,
  { images }: Manifest,
): Promise<Record<string, string>> {
  const { docker, report } = world;
  const found: Record<string, string> = {};
  for (const { name, image, builds } of Object.values(project.services)) {
    const wanted = images[name];
    const here =
      wanted &&
      ((await docker.findImage(wanted.id)) ?? (wanted.digest && (await docker.findImage(pinned(wanted.reference, wanted.digest)))));
    if (here) found[name] = here.Id;
    else if (wanted?.digest !== undefined) found[name] = await pullPinned(world, pinned(wanted.reference, wanted.digest));
    else found[name] = builds ? await build(world, project, name, image) : await byName(world, image);
    const named = await docker.findImage(image);
    if (!named) await nameImage(world, found[name] ?? '', image);
    else if (named.Id !== found[name]) {
      report({
        kind: 'warning',
        text: `${name}: ${image} on this machine is another image than the one that ran; the release takes the one that is here`,
      });
    }
  }
  return found;
}

async function pullPinned({ docker, report }: StageWorld, name: string): Promise<string> {
  await pullIfMissing(docker, name, report);
  return (await docker.findImage(name))?.Id ?? name;
}

async function build(
  { docker, report }: StageWorld,
  { compose }: Pick<Project, 'compose'>,
  service: string,
  image: string,
): Promise<string> {
  report({ kind: 'note', text: `${service}: its image is not on this machine and is built from the project’s files` });
  await composeBuild(compose, [service], (text) => report({ kind: 'output', source: 'build', text }));
  const built = await docker.findImage(image);
  if (built) return built.Id;
  throw new Failure('IMAGE_UNAVAILABLE', `the build of ${service} made no image ${image}`, { where: service });
}

/** The set knows no digest: the name alone says which image that is. */
async function byName({ docker, report }: StageWorld, image: string): Promise<string> {
  const here = await docker.findImage(image);
  if (here) return here.Id;
  report({ kind: 'warning', text: `${image} had no digest when the set was saved: what its name means today is taken` });
  await pullIfMissing(docker, image, report);
  return (await docker.findImage(image))?.Id ?? image;
}

/** A name with a digest cannot be given to an image; it is the digest's own. */
async function nameImage({ docker }: StageWorld, id: string, reference: string): Promise<void> {
  if (reference.includes('@')) return;
  const colon = reference.lastIndexOf(':');
  const hasTag = colon > reference.lastIndexOf('/');
  await docker.tagImage(id, hasTag ? reference.slice(0, colon) : reference, hasTag ? reference.slice(colon + 1) : 'latest');
}
