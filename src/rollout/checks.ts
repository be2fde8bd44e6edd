import type { EdgeState } from '../edge/model.ts';
import { describeHolder, listeners } from '../edge/ports.ts';
import { Failure } from '../kit/errors.ts';
import type { Project } from '../project/model.ts';
import { isUp } from './changes.ts';
import type { Observed, Plan } from './model.ts';
import { changedNetworks } from './networks.ts';
import { edgePorts } from './plan-edge.ts';
import { findClaim, wantedSettings } from './routes.ts';

/** Every name that was given is a service of the project. */
export function checkServices(project: Project, only: string[]): void {
  const unknown = only.find((name) => !project.services[name]);
  if (unknown) {
    throw new Failure('SERVICE_UNKNOWN', `the project ${project.name} has no service ${unknown}`, {
      where: unknown,
      next: `its services are: ${Object.keys(project.services).sort().join(', ')}`,
    });
  }
}

/** Refuses what can be known to go wrong before anything is planned or touched. */
export function checkProject(project: Project, edge: EdgeState, only: string[]): void {
  checkServices(project, only);
  const unset = project.unsetVariables[0];
  if (unset) {
    throw new Failure(
      'VARIABLE_UNSET',
      `the variable ${project.unsetVariables.map(({ name }) => name).join(', ')} is not set and has no default`,
      {
        ...(unset.where ? { where: unset.where } : {}),
        details: project.unsetVariables.map(({ name, where }) => `${where ?? project.folder}: ${name}`),
        next: `set it in the environment or in .env, or give a default: \${${unset.name}:-value}`,
      },
    );
  }
  const routed = Object.values(project.services).filter((service) => service.edge.length > 0);
  if (routed.length === 0) return;
  const claim = findClaim(project, edge.projects);
  if (claim) {
    throw new Failure('HOST_CLAIMED', `${claim.route} is served for the project ${claim.project} already`, {
      where: claim.service,
      ...whereOf(project, claim.service, 'x-edge'),
      next: `choose another host or path, or take it from ${claim.project} first`,
    });
  }
  const ports = edgePorts(project, edge.settings);
  for (const service of Object.values(project.services)) {
    const own = service.publishedPorts.find(({ published, protocol }) => protocol === 'tcp' && ports.includes(published));
    if (own) {
      throw new Failure(
        'PORT_IN_USE',
        `${service.name} publishes port ${own.published} itself, and the edge needs it for the project's routes`,
        {
          where: service.name,
          ...whereOf(project, service.name, 'ports'),
          next: `remove "${own.published}:${own.target}" from ports: of ${service.name}; with x-edge the edge serves that port for it`,
        },
      );
    }
  }
  const others = Object.keys(edge.projects).filter((name) => name !== project.name);
  const wanted = wantedSettings(edge.settings, project);
  if (others.length > 0 && (wanted.httpPort !== edge.settings.httpPort || wanted.httpsPort !== edge.settings.httpsPort)) {
    throw new Failure(
      'CONFIG_INVALID',
      `the edge of this host listens on ${edge.settings.httpPort} and ${edge.settings.httpsPort} for ${others.join(', ')}; x-composure.edge asks for ${wanted.httpPort} and ${wanted.httpsPort}`,
      {
        next: 'one edge serves all projects of a host: give all of them the same ports',
      },
    );
  }
}

/** Compose changes a network only by stopping and disconnecting everything on it, which no release may do unasked. */
function checkNetworks(project: Project, observed: Observed): void {
  const changed = changedNetworks(project, observed.releases.at(-1));
  if (changed.length === 0 || !observed.containers.some(isUp)) return;
  throw new Failure(
    'NETWORK_CHANGED',
    `the definition of network ${changed.join(', ')} changed; Docker cannot change a network that is in use`,
    {
      where: changed[0] as string,
      next: 'give the changed network a new key in networks: so that services move to it release by release, or take the project down first: composure down',
    },
  );
}

/** The place in the user's file to show for a service, in the form that a Failure takes. */
export function whereOf(project: Project, service: string, key: 'service' | 'image' | 'x-edge' | 'ports'): { where?: string } {
  const places = project.places?.[service];
  const where = places?.[key] ?? places?.service;
  return where === undefined ? {} : { where };
}

/** Refuses ports that the edge would begin to listen on while a process outside of Docker does. Containers are the plan's matter. */
export function checkFreePorts(project: Project, observed: Observed): void {
  const { running, settings, project: known } = observed.edge;
  const routes = Object.values(known?.backends ?? {}).flatMap((backend) => backend.routes);
  const own = running
    ? [settings.httpPort, settings.httpsPort, ...routes.flatMap((route) => (route.kind === 'tcp' ? route.listen : []))]
    : [];
  const held = listeners();
  for (const port of edgePorts(project, settings)) {
    const inodes = held.filter((entry) => entry.port === port).map(({ inode }) => inode);
    if (inodes.length === 0 || own.includes(port) || observed.publishers.some((publisher) => publisher.port === port)) continue;
    throw new Failure('PORT_IN_USE', `the edge needs port ${port}, which ${describeHolder(port, inodes, [])} listens on`, {
      where: `port ${port}`,
      next: 'stop that process, or give the edge another port: x-composure: {edge: {http_port: …, https_port: …}}',
    });
  }
}

/** Refuses a plan that would start from a broken state or take what is not the project's. */
export function checkPlan(project: Project, observed: Observed, plan: Plan, options: { ignoreUnhealthy: boolean }): void {
  const replaced = new Set(plan.services.filter(({ old }) => old.length > 0).map(({ service }) => service));
  for (const port of edgePorts(project, observed.edge.settings)) {
    const stranger = observed.publishers.find(
      (publisher) =>
        publisher.port === port && (publisher.project !== project.name || !publisher.service || !replaced.has(publisher.service)),
    );
    if (stranger) {
      throw new Failure('PORT_IN_USE', `the edge needs port ${port}, which container ${stranger.name} publishes`, {
        where: `port ${port}`,
        next: 'stop that container, or give the edge another port: x-composure: {edge: {http_port: …}}',
      });
    }
  }
  if (plan.steps.length > 0) checkNetworks(project, observed);
  if (plan.steps.length === 0 || options.ignoreUnhealthy) return;
  const kept = new Set(plan.services.filter(({ action }) => action === 'keep').map(({ service }) => service));
  const sick = observed.containers.find(
    (container) => kept.has(container.service) && isUp(container) && (container.health === 'unhealthy' || container.state === 'restarting'),
  );
  if (sick) {
    throw new Failure(
      'UNHEALTHY_BEFORE',
      `${sick.name} is ${sick.state === 'restarting' ? 'crashing and restarting' : 'unhealthy'} before the release, and the release does not change it`,
      {
        where: sick.name,
        next: `mend it first (composure logs ${sick.service}), or deploy all the same with --ignore-unhealthy; nothing was touched`,
      },
    );
  }
}
