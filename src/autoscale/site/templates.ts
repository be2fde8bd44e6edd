import { inOneLine } from '../../kit/errors.ts';
import type { Crew } from '../crew.ts';
import { knownTemplate, templateByCompose, withImage, writeStored } from '../prepare.ts';
import type { Post, Site } from './model.ts';
import { tellTier } from './tier.ts';

/** How far a measured start may differ from what the tier is planned with. */
const BOOT_TOLERANCE = 0.25;

/** One at a time for each service. Compose is asked only when no container and no record tells. */
export function refreshTemplate(site: Site, crew: Crew): Promise<void> {
  const post = site.posts.get(crew.tier.id);
  if (!post) return Promise.resolve();
  post.preparing ??= prepare(site, post).finally(() => {
    delete post.preparing;
  });
  return post.preparing;
}

async function prepare(site: Site, { crew, project }: Post): Promise<void> {
  const { docker, stateFolder, dryRun } = site;
  try {
    const template =
      (await knownTemplate(docker, stateFolder, crew)) ??
      (dryRun || site.held.has(project.name) ? undefined : await askCompose(site, project.compose, crew));
    if (!template) return;
    crew.template = template;
    delete crew.templateProblem;
    if (!dryRun) await writeStored(stateFolder, crew);
  } catch (error) {
    crew.templateProblem = inOneLine(error);
    site.report({ kind: 'warning', text: `${crew.tier.id}: no container can be made of it: ${crew.templateProblem}` });
  }
}

async function askCompose({ docker, fleet }: Site, compose: Post['project']['compose'], crew: Crew) {
  fleet.preparing.add(crew.tier.id);
  try {
    const template = await templateByCompose(docker, compose, crew);
    // Without any other container what Compose makes now is what the service is.
    if (crew.containers.size === 0) crew.current = { configHash: template.configHash, imageId: template.imageId };
    return template;
  } finally {
    fleet.preparing.delete(crew.tier.id);
  }
}

/** A start was timed: the tier is planned with it from now on, where it differs from what was assumed. */
export async function bootMeasured(site: Site, crew: Crew): Promise<void> {
  const bootMs = crew.bootMs ?? 0;
  if (Math.abs(bootMs - crew.tier.bootMs) <= crew.tier.bootMs * BOOT_TOLERANCE) return;
  const post = site.posts.get(crew.tier.id);
  if (post) tellTier(site, post);
  if (!site.dryRun) await writeStored(site.stateFolder, crew).catch(() => {});
}

/** A tag may mean another image now. */
export async function followImages({ crews, docker }: Site): Promise<void> {
  for (const { template } of crews.values()) {
    if (!template) continue;
    const { useImage } = await withImage(docker, template).catch(() => ({ useImage: template.imageId }));
    template.useImage = useImage;
  }
}
