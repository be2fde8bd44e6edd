import type { ContainerSummary } from '../../docker/api.ts';
import { Failure, inOneLine } from '../../kit/errors.ts';
import { neverFits } from '../budget.ts';
import { findProjects, type ScaledProject } from '../projects.ts';
import { tell } from './deciding.ts';
import { dismiss, type Employed, employ } from './employ.ts';
import { noteFree, noteHeld } from './held.ts';
import { lookAtHost } from './host.ts';
import type { Site } from './model.ts';
import { openSources } from './reading.ts';
import { goOnDraining } from './recover.ts';
import { warnOf } from './say.ts';
import { showSoon } from './show.ts';
import { followWishes } from './wishes.ts';

/** Files and containers of one change come within this. */
const SETTLE_MS = 100;

export function lookAroundSoon(site: Site): void {
  if (site.closed) return;
  site.lookTimer ??= setTimeout(() => {
    site.lookTimer = undefined;
    void lookAround(site);
  }, SETTLE_MS);
}

/** Projects, host and containers anew. One at a time; a wish that comes meanwhile makes one more afterwards. */
export function lookAround(site: Site): Promise<void> {
  if (site.looking !== undefined) {
    site.lookAgain = true;
    return site.looking;
  }
  site.looking = lookUntilStill(site).finally(() => {
    site.looking = undefined;
  });
  return site.looking;
}

async function lookUntilStill(site: Site): Promise<void> {
  do {
    site.lookAgain = false;
    try {
      await look(site);
    } catch (error) {
      if (!site.closed) site.report({ kind: 'warning', text: `the autoscaler could not look around: ${inOneLine(error)}` });
    }
  } while (site.lookAgain && !site.closed);
}

async function look(site: Site): Promise<void> {
  const [found, listed] = await Promise.all([findProjects(site.docker, site.stateFolder, site.cache), site.docker.listContainers()]);
  warnOf(
    site,
    'projects',
    found.problems.map(({ project, message }) => `${project} is not scaled: ${message}`),
  );
  const scaled = new Set(found.projects.flatMap(({ name, scaled: services }) => services.map((service) => `${name}/${service.name}`)));
  await lookAtHost(site, listed, scaled, found.projects);
  for (const post of site.posts.values()) if (!scaled.has(post.crew.tier.id)) await dismiss(site, post);
  const warnings: string[] = [];
  for (const project of found.projects) warnings.push(...(await lookAtProject(site, project, listed)));
  const tiers = [...site.crews.values()].map(({ tier }) => tier);
  const fits = site.budget ? neverFits(tiers, site.budget) : [];
  warnOf(site, 'tiers', [...warnings, ...fits.map(({ service, reason }) => (service ? `${service}: ${reason}` : reason))]);
  showSoon(site);
}

/** Answers what a person should know of it. */
async function lookAtProject(site: Site, project: ScaledProject, listed: ContainerSummary[]): Promise<string[]> {
  const warnings: string[] = [];
  await site.folders.follow(project.name);
  await noteHeld(site, project.name);
  const employed: Employed[] = [];
  for (const service of project.scaled) {
    try {
      employed.push(await employ(site, project, service, listed));
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      warnings.push(`${project.name}/${service.name} is not scaled: ${inOneLine(error)}`);
    }
  }
  await site.fleet.relist(...employed.map(({ post }) => post.crew));
  for (const { post, isNew, warnings: said } of employed) {
    warnings.push(...said.map((text) => `${project.name}: ${text}`));
    if (isNew) {
      // Nobody is given anything before every tier's containers are known, that there are none among it.
      tell(site, { kind: 'workers', tier: post.crew.tier.id, workers: structuredClone([...post.crew.workers.values()]) });
      goOnDraining(site, post.crew);
    }
    openSources(site, post);
  }
  await noteFree(site, project.name);
  return warnings;
}

/** Something was written into the project's folder: it is held or free, or people wish for something. */
export async function followProject(site: Site, project: string): Promise<void> {
  if (site.closed) return;
  try {
    if (!(await noteHeld(site, project)) && site.held.has(project)) await lookAround(site);
    for (const post of site.posts.values()) if (post.crew.tier.project === project) await followWishes(site, post);
  } catch (error) {
    site.report({ kind: 'warning', text: `${project}: ${inOneLine(error)}` });
  }
}
