import { BY_HAND, hold } from './held.ts';
import { followProject } from './look.ts';
import type { Site } from './model.ts';

/** How long after the last container that somebody else ended or removed nothing is started. */
const FOREIGN_MS = 3000;

/**
 * Somebody stops or removes containers without a lock: docker compose down, most likely. What is started beside it would keep its networks
 * from being removed, so nothing is until it is over.
 */
export function noteForeign(site: Site, project: string): void {
  const { held, foreign } = site;
  if (held.has(project) && !foreign.has(project)) return;
  if (![...site.crews.values()].some(({ tier }) => tier.project === project)) return;
  clearTimeout(foreign.get(project));
  foreign.set(
    project,
    setTimeout(() => {
      foreign.delete(project);
      void followProject(site, project);
    }, FOREIGN_MS).unref(),
  );
  if (!held.has(project)) hold(site, project, BY_HAND);
}
