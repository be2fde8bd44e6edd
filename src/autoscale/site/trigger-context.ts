import { COMPOSE } from '../../docker/labels.ts';
import { Failure } from '../../kit/errors.ts';
import type { TriggerContext } from '../../triggers/model.ts';
import { tierIdOf } from '../crew.ts';
import { resolveHost } from '../resolve.ts';
import { readUsage } from '../usage.ts';
import type { Post, Site } from './model.ts';

/** What the triggers of a tier are read with: as its containers see the world, though from the host. */
export function contextOf(site: Site, post: Post): TriggerContext {
  const { docker, fleet } = site;
  const { crew } = post;
  const own = post.project.services[crew.tier.service] ?? { name: crew.tier.service, injected: [], networks: {} };
  const running = (): string[] => [...crew.containers.values()].filter((member) => member.state === 'running').map(({ id }) => id);
  return {
    resolve: async (host, port) => {
      const found = await resolveHost(docker, { project: crew.tier.project, services: post.project.services, own }, host, port);
      if (found.network !== undefined && found.network !== crew.seenOn) {
        crew.seenOn = found.network;
        // Workers are known to the source by their addresses on this network.
        fleet.relist(crew).catch((error: Error) => site.report({ kind: 'warning', text: `${crew.tier.id}: ${error.message}` }));
      }
      return { host: found.host, port: found.port };
    },
    environment: post.service.environment,
    ...(crew.tier.framework ? { framework: crew.tier.framework } : {}),
    exec: async (service, command) => {
      const [id] = service === undefined ? running() : await runningOf(site, crew.tier.project, service);
      if (id === undefined) {
        throw new Failure('TRIGGER_FAILED', `no container of ${service ?? crew.tier.service} runs in which ${command[0]} could`, {
          where: crew.tier.id,
        });
      }
      return docker.exec(id, command);
    },
    usage: () => readUsage(docker, running(), crew.tier.need, post.usage),
    workers: async () =>
      running().map((id) => ({ hostname: id.slice(0, 12), addresses: Object.values(crew.containers.get(id)?.addresses ?? {}) })),
    now: Date.now,
  };
}

async function runningOf({ docker }: Site, project: string, service: string): Promise<string[]> {
  const listed = await docker.listContainers([`${COMPOSE.project}=${project}`, `${COMPOSE.service}=${service}`]);
  return listed.filter(({ State, Labels }) => State === 'running' && tierIdOf(Labels) !== undefined).map(({ Id }) => Id);
}
