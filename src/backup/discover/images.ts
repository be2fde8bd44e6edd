import type { ContainerInfo, Docker } from '../../docker/api.ts';
import { COMPOSE } from '../../docker/labels.ts';
import type { Project } from '../../project/model.ts';
import type { Manifest } from '../model.ts';
import { runningFirst } from './containers.ts';

/** The images that the project's containers were made from; of a service without one, what its name means here now. Services whose image is not here are left out. */
export async function observeImages(docker: Docker, project: Project): Promise<Manifest['images']> {
  const containers = await docker.listContainers([`${COMPOSE.project}=${project.name}`, `${COMPOSE.oneoff}=False`]);
  const found = await Promise.all(
    Object.values(project.services).map(async ({ name, image }) => {
      const own = runningFirst(containers.filter(({ Labels }) => Labels[COMPOSE.service] === name))[0];
      const about = await imageOf(docker, image, own?.ImageID);
      return about ? ([[name, about]] as const) : [];
    }),
  );
  return Object.fromEntries(found.flat());
}

/** A reference as the compose file has it, with what it stands for. */
export async function imageOf(
  docker: Docker,
  reference: string,
  id: ContainerInfo['Image'] | undefined,
): Promise<Manifest['images'][string] | undefined> {
  const found = await docker.findImage(id ?? reference);
  if (!found) return undefined;
  const digest = digestOf(found.RepoDigests ?? [], reference);
  return { reference, id: found.Id, ...(digest === undefined ? {} : { digest }) };
}

/** "postgres@sha256:…" of the reference's own repository, else of any. Pure. */
export function digestOf(digests: readonly string[], reference: string): string | undefined {
  const repository = repositoryOf(reference);
  return digests.find((digest) => repositoryOf(digest) === repository) ?? digests[0];
}

const repositoryOf = (reference: string): string =>
  reference
    .replace(/@.*$/, '')
    .replace(/:[^/:]*$/, '')
    .replace(/^(index\.)?docker\.io\//, '')
    .replace(/^library\//, '');
