import type { ContainerInfo } from '../docker/api.ts';
import { COMPOSE } from '../docker/labels.ts';
import type { Need } from './model.ts';

/**
 * What a service's next container is made from: what the engine says of one that Compose made, without what belongs to that one alone.
 * It holds the service's environment, so secrets: it is stored with mode 600 and never printed.
 */
export interface Template {
  configHash: string;
  imageId: string;
  /** What the compose file calls the image. */
  image: string;
  /** What to create with: the name as long as it means the same image, else the id. */
  useImage: string;
  /** Name without its number: "shop-worker-". */
  prefix: string;
  /** The name that the sibling's aliases had for itself. */
  ownName: string;
  config: Record<string, unknown>;
  hostConfig: Record<string, unknown>;
  endpoints: Record<string, Record<string, unknown>>;
  /** What Compose puts into a container when it starts it, as an archive in base64; undefined: nothing. */
  files?: string;
  stopSignal: string;
  restartPolicy: string;
  /** The engine tells when it is ready; without one it counts as ready when it runs. */
  hasHealthcheck: boolean;
  need: Need;
}

/** A replaced container's name is on the label of the one that replaced it, and of nobody else. */
const OF_ONE_ONLY = ['com.docker.compose.replace'];

/**
 * `networks` are the names of the networks that the compose file gives the service: others a container was joined to later, the edge's
 * among them, and whoever joins them does so again.
 */
export function templateOf(info: ContainerInfo, networks: readonly string[]): Template {
  const name = info.Name.replace(/^\//, '');
  const {
    Hostname,
    Image,
    OnBuild: _onBuild,
    MacAddress: _mac,
    ...config
  } = info.Config as ContainerInfo['Config'] & Record<string, unknown>;
  const { NetworkMode } = info.HostConfig;
  const shared = NetworkMode === 'host' || NetworkMode.startsWith('container:');
  const labels = Object.fromEntries(Object.entries(info.Config.Labels).filter(([label]) => !OF_ONE_ONLY.includes(label)));
  const health = info.Config.Healthcheck?.Test;
  return {
    configHash: labels[COMPOSE.configHash] ?? '',
    imageId: info.Image,
    image: Image,
    useImage: info.Image,
    prefix: name.replace(/\d+$/, ''),
    ownName: name,
    config: {
      ...config,
      // The engine names a container after its id unless the file gives it a name; on another's network it has that one's.
      ...(Hostname !== undefined && !shared && !info.Id.startsWith(Hostname) ? { Hostname } : {}),
      Labels: labels,
    },
    hostConfig: { ...(info.HostConfig as unknown as Record<string, unknown>) },
    endpoints: shared
      ? {}
      : Object.fromEntries(
          Object.entries(info.NetworkSettings.Networks)
            .filter(([network]) => networks.includes(network))
            .map(([network, endpoint]) => {
              const { Links, DriverOpts, GwPriority } = endpoint as typeof endpoint & Record<string, unknown>;
              const aliases = (endpoint.Aliases ?? []).filter((alias) => alias !== info.Id.slice(0, 12));
              return [network, { Aliases: aliases, Links, DriverOpts, ...(GwPriority ? { GwPriority } : {}) }];
            }),
        ),
    stopSignal: info.Config.StopSignal || 'SIGTERM',
    restartPolicy: info.HostConfig.RestartPolicy.Name,
    hasHealthcheck: health !== undefined && health.length > 0 && health[0] !== 'NONE',
    need: { cpus: info.HostConfig.NanoCpus / 1e9, memoryBytes: info.HostConfig.Memory },
  };
}

export const nameOf = (template: Template, number: number): string => `${template.prefix}${number}`;

/** The body of the engine's create call for container `number`. `image` is a name that means the template's image, or its id. */
export function createSpec(template: Template, number: number, image: string): object {
  const name = nameOf(template, number);
  return {
    ...template.config,
    Image: image,
    Labels: { ...(template.config.Labels as Record<string, string>), [COMPOSE.number]: String(number) },
    HostConfig: template.hostConfig,
    NetworkingConfig: {
      EndpointsConfig: Object.fromEntries(
        Object.entries(template.endpoints).map(([network, endpoint]) => [
          network,
          { ...endpoint, Aliases: (endpoint.Aliases as string[]).map((alias) => (alias === template.ownName ? name : alias)) },
        ]),
      ),
    },
  };
}
