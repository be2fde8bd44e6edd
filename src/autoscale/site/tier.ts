import type { Tier } from '../model.ts';
import type { ScaledProject } from '../projects.ts';
import { type ScaledService, tierOf } from '../tiers.ts';
import { tell } from './deciding.ts';
import type { Post, Site } from './model.ts';

/** A service with its defaults filled in for this host, and what a person should know about them. */
export function tierFor(
  { budget, types }: Site,
  project: ScaledProject,
  service: ScaledService,
  bootMs?: number,
): { tier: Tier; warnings: string[] } {
  return tierOf(project.name, service, {
    ...(budget ? { budget } : {}),
    ...(bootMs === undefined ? {} : { bootMs }),
    ...(types ? { types } : {}),
  });
}

/** Tells what a tier is, where that differs from what was told before. Answers its warnings. */
export function tellTier(site: Site, post: Post): string[] {
  const { tier, warnings } = tierFor(site, post.project, post.service, post.crew.bootMs);
  post.crew.tier = tier;
  const text = JSON.stringify(tier);
  if (text !== post.told.tier) {
    post.told.tier = text;
    tell(site, { kind: 'tier', tier: JSON.parse(text) as Tier });
  }
  return warnings;
}
