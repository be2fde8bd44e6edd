import type { ContainerSummary } from '../../docker/api.ts';
import { unpause } from '../../docker/thaw.ts';
import { unmarkWorker } from '../../state/workers.ts';
import type { Crew } from '../crew.ts';
import { readStored } from '../prepare.ts';
import type { ScaledProject } from '../projects.ts';
import type { ScaledService } from '../tiers.ts';
import { tell } from './deciding.ts';
import type { Post, Site } from './model.ts';
import { recover } from './recover.ts';
import { tellTier, tierFor } from './tier.ts';
import { followWishes } from './wishes.ts';

export interface Employed {
  post: Post;
  isNew: boolean;
  warnings: string[];
}

/** Takes up a service, or follows what has changed of it. */
export async function employ(site: Site, project: ScaledProject, service: ScaledService, listed: ContainerSummary[]): Promise<Employed> {
  const known = site.posts.get(`${project.name}/${service.name}`);
  const post = known ?? (await newPost(site, project, service));
  if (known) {
    Object.assign(known, { project, service });
    Object.assign(known.crew, ofFile(project, service));
  } else {
    site.posts.set(post.crew.tier.id, post);
    site.crews.set(post.crew.tier.id, post.crew);
    await recover(site, post, listed);
  }
  const warnings = tellTier(site, post);
  await followWishes(site, post);
  return { post, isNew: known === undefined, warnings };
}

/** What a crew takes from the file as it is now. */
function ofFile(project: ScaledProject, service: ScaledService): Pick<Crew, 'networks' | 'injected' | 'hooks'> {
  const named = project.services[service.name];
  return {
    networks: Object.keys(named?.networks ?? {}),
    injected: named?.injected ?? [],
    hooks: { postStart: service.postStart, preStop: service.preStop },
  };
}

async function newPost(site: Site, project: ScaledProject, service: ScaledService): Promise<Post> {
  const crew: Crew = {
    tier: tierFor(site, project, service).tier,
    ...ofFile(project, service),
    current: { configHash: '', imageId: '' },
    containers: new Map(),
    workers: new Map(),
    acting: new Map(),
    booting: new Map(),
  };
  const stored = await readStored(site.stateFolder, crew);
  if (stored?.bootMs !== undefined) crew.bootMs = stored.bootMs;
  return {
    crew,
    project,
    service,
    sources: [],
    openedFrom: '',
    usage: new Map(),
    told: { tier: '', pause: '', manual: undefined },
    triggers: new Map(),
    decisions: [],
    recent: [],
    polled: new Set(),
  };
}

/** Its service is scaled no more: what is frozen runs again, nothing else changes. */
export async function dismiss(site: Site, post: Post): Promise<void> {
  const { id, project } = post.crew.tier;
  site.posts.delete(id);
  site.crews.delete(id);
  await Promise.allSettled(post.sources.map((source) => source.close()));
  if (!site.dryRun) {
    for (const member of post.crew.containers.values()) {
      if (member.state !== 'paused') continue;
      await unpause(site.docker, member.id);
      await unmarkWorker(site.stateFolder, project, member.id);
    }
  }
  tell(site, { kind: 'tier-gone', tier: id });
  site.report({ kind: 'note', text: `${id} is no longer scaled` });
}
