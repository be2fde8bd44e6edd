import { list, type Mapping, mapping } from './mapping.ts';
import type { ComposeModel } from './model.ts';
import { placedMount, placeOf, volumeNames } from './scratch-mounts.ts';

export interface ScratchOptions {
  project: string;
  labels: Record<string, string>;
  /** By service; one without an image is left out. */
  images: Record<string, string>;
  /** See StageTargets. */
  volumes: Record<string, string>;
  folders: Record<string, string>;
  /** Engine 28 and newer take the bridge's own address away by its gateway mode, older ones by not giving it any. */
  engine: number;
  /** Only these services, and without what they depend on; default all. */
  only?: readonly string[];
}

export interface ScratchModel {
  model: ComposeModel;
  /** Services that cannot run closed in, with the reason. */
  left: { service: string; why: string }[];
  /** Files and folders of the host that the set does not hold, which are empty for the service. */
  missing: { service: string; path: string }[];
}

/** Keys of a service that are taken as they are. Whatever is not named here does not reach the scratch container. */
const KEPT = [
  'command',
  'entrypoint',
  'environment',
  'working_dir',
  'user',
  'group_add',
  'hostname',
  'domainname',
  'healthcheck',
  'stop_signal',
  'stop_grace_period',
  'init',
  'tty',
  'stdin_open',
  'read_only',
  'tmpfs',
  'shm_size',
  'ulimits',
  'sysctls',
  'cap_drop',
  'cap_add',
  'security_opt',
  'platform',
  'cpus',
  'mem_limit',
  'memswap_limit',
  'mem_reservation',
  'pids_limit',
  'expose',
  'dns_search',
  'extra_hosts',
] as const;

/** What reaches out of a container however its network is. */
const STRONG_CAPABILITIES = ['ALL', 'SYS_ADMIN', 'SYS_MODULE', 'SYS_RAWIO', 'SYS_PTRACE', 'DAC_READ_SEARCH', 'BPF'];

/**
 * The services of a model as they may run beside the live ones: recorded images, other volumes, networks without any way out and not to the
 * host, no published ports, no names or labels that a proxy or another tool would follow, one replica each. Pure.
 */
export function scratchModel(source: ComposeModel, options: ScratchOptions): ScratchModel {
  const found = mapping(source.services);
  const names = Object.keys(found)
    .filter((name) => options.only?.includes(name) ?? true)
    .sort();
  const left: ScratchModel['left'] = [];
  const isLeft = (name: string): boolean => left.some(({ service }) => service === name);
  // Once more after one was left out: another may have been part of its network.
  for (let before = -1; before !== left.length; ) {
    before = left.length;
    const others = names.filter((name) => !isLeft(name));
    for (const service of others) {
      const why = options.images[service] === undefined ? 'its image is not in the set' : whyNot(mapping(found[service]), others);
      if (why !== undefined) left.push({ service, why });
    }
  }
  const running = names.filter((name) => !isLeft(name));
  const missing: ScratchModel['missing'] = [];
  const volumes = volumeNames(source, options.volumes);
  const used = new Set<string>();
  const services = Object.fromEntries(
    running.map((name) => {
      const service = mapping(found[name]);
      const mounts = list(service.volumes).map((mount) => {
        const placed = placedMount(mount, volumes, options.folders);
        if (placed.volume !== undefined) used.add(placed.volume);
        if (placed.missing !== undefined) missing.push({ service: name, path: placed.missing });
        return placed.mount;
      });
      return [name, { ...scratchService(service, name, running, options), ...(mounts.length > 0 ? { volumes: mounts } : {}) }];
    }),
  );
  return {
    model: {
      name: options.project,
      services,
      networks: scratchNetworks(source, options),
      ...(used.size > 0 ? { volumes: Object.fromEntries([...used].sort().map((name) => [name, { name, external: true }])) } : {}),
      ...filesOf(source, 'secrets', options.folders),
      ...filesOf(source, 'configs', options.folders),
    },
    left,
    missing,
  };
}

function whyNot(service: Mapping, names: readonly string[]): string | undefined {
  if (service.privileged === true) return 'it is privileged';
  if (list(service.devices).length > 0 || Array.isArray(service.gpus) || service.gpus === 'all') return 'it uses devices of the host';
  if (list(mapping(mapping(mapping(service.deploy).resources).reservations).devices).length > 0) return 'it uses devices of the host';
  const mode = String(service.network_mode ?? '');
  if (mode === 'host' || mode.startsWith('container:')) return `network_mode: ${mode}`;
  if (mode.startsWith('service:') && !names.includes(mode.slice('service:'.length))) return `network_mode: ${mode}`;
  if (service.pid === 'host') return 'pid: host';
  const strong = (Array.isArray(service.cap_add) ? service.cap_add.map(String) : []).find((name) =>
    STRONG_CAPABILITIES.includes(plainCapability(name)),
  );
  if (strong !== undefined) return `cap_add: ${strong}`;
  const socket = list(service.volumes).find(({ type, source }) => type === 'bind' && isOfTheHost(String(source)));
  return socket === undefined ? undefined : `it has ${String(socket.source)} of the host`;
}

const plainCapability = (name: string): string => name.toUpperCase().replace(/^CAP_/, '');

const isOfTheHost = (path: string): boolean =>
  path === '/' ||
  /\/(docker|containerd|podman|crio)\.sock$/.test(path) ||
  /^\/(proc|sys|dev)(\/|$)/.test(path) ||
  /^\/var\/(run|lib\/docker)$/.test(path) ||
  path === '/run';

function scratchService(service: Mapping, name: string, running: readonly string[], options: ScratchOptions): Mapping {
  const kept = Object.fromEntries(
    KEPT.flatMap((key) => (service[key] === undefined || service[key] === null ? [] : [[key, service[key]]])),
  );
  const needs = Object.entries(mapping(service.depends_on)).filter(([other]) => options.only === undefined && running.includes(other));
  const resources = limitsOf(service);
  return {
    ...kept,
    ...linksOf(service, running, options.only !== undefined),
    image: options.images[name],
    pull_policy: 'never',
    restart: 'no',
    labels: options.labels,
    // A log driver of the service's own would carry its words to the outside: the engine sends them, not the container.
    logging: { driver: 'json-file', options: { 'max-size': '10m' } },
    ...(needs.length > 0 ? { depends_on: Object.fromEntries(needs.map(([other, how]) => [other, without(mapping(how), 'restart')])) } : {}),
    ...(resources === undefined ? {} : { deploy: { resources } }),
    ...networkOf(service),
    ...references(service, 'secrets'),
    ...references(service, 'configs'),
  };
}

const without = (value: Mapping, key: string): Mapping => Object.fromEntries(Object.entries(value).filter(([name]) => name !== key));

/** Links are names for others; one to a service that is not here would keep this one from starting. */
function linksOf({ links }: Mapping, running: readonly string[], isAlone: boolean): Mapping {
  const there = (Array.isArray(links) ? links.map(String) : []).filter((link) => !isAlone && running.includes(link.split(':')[0] ?? ''));
  return there.length > 0 ? { links: there } : {};
}

function limitsOf(service: Mapping): Mapping | undefined {
  const limits = mapping(mapping(service.deploy).resources).limits;
  return limits === undefined || limits === null ? undefined : { limits };
}

/** Names by which others call the service stay; addresses of the live networks go. */
function networkOf(service: Mapping): Mapping {
  const mode = String(service.network_mode ?? '');
  if (mode === 'none' || mode.startsWith('service:')) return { network_mode: mode };
  const alias = typeof service.container_name === 'string' ? [service.container_name] : [];
  const joined = Object.entries(mapping(service.networks));
  const networks = joined.length > 0 ? joined : [['default', null] as const];
  return {
    networks: Object.fromEntries(
      networks.map(([name, settings]) => {
        const given = mapping(settings).aliases;
        const aliases = [...new Set([...(Array.isArray(given) ? given.map(String) : []), ...alias])];
        return [name, aliases.length > 0 ? { aliases } : null];
      }),
    ),
  };
}

function scratchNetworks(source: ComposeModel, { project, labels, engine }: ScratchOptions): Mapping {
  const closed =
    engine >= 28
      ? { 'com.docker.network.bridge.gateway_mode_ipv4': 'isolated', 'com.docker.network.bridge.gateway_mode_ipv6': 'isolated' }
      : { 'com.docker.network.bridge.inhibit_ipv4': 'true' };
  return Object.fromEntries(
    [...new Set(['default', ...Object.keys(mapping(source.networks))])]
      .sort()
      .map((name) => [
        name,
        { name: `${project}_${name}`, driver: 'bridge', internal: true, enable_ipv6: false, driver_opts: closed, labels },
      ]),
  );
}

function references(service: Mapping, kind: 'secrets' | 'configs'): Mapping {
  return Array.isArray(service[kind]) && service[kind].length > 0 ? { [kind]: service[kind] } : {};
}

/** Secrets and configs from files are read from where the set's files lie now; those from variables and from the model itself stay. */
function filesOf(source: ComposeModel, kind: 'secrets' | 'configs', folders: Record<string, string>): Mapping {
  const all = Object.entries(mapping(source[kind])).map(([name, value]) => {
    const { file, environment, content } = mapping(value);
    if (typeof file === 'string') return [name, { file: placeOf(file, folders) ?? file }];
    return [name, typeof environment === 'string' ? { environment } : { content: content ?? '' }];
  });
  return all.length > 0 ? { [kind]: Object.fromEntries(all) } : {};
}
