import { parseDurationMs } from '../kit/duration.ts';
import type { Hook, Service, UpdateConfig } from './model.ts';

type Mapping = Record<string, unknown>;

/** Service without what needs the disk, the config hash or our keys. */
export type PlainService = Omit<Service, 'configHash' | 'contentHash' | 'contentFiles' | 'edge' | 'release' | 'autoscale'>;

/** One service of Compose's resolved model (dollars already single) as the rooms above see it. Pure. */
export function readService(project: string, name: string, model: Mapping): PlainService {
  const deploy = mapping(model.deploy);
  const limits = mapping(mapping(deploy.resources).limits);
  const healthcheck = readHealthcheck(model.healthcheck);
  return {
    name,
    image: text(model.image) ?? `${project}-${name}`,
    builds: isMapping(model.build),
    ...given('command', Array.isArray(model.command) ? model.command.map(String) : undefined),
    ...given('pullPolicy', text(model.pull_policy)),
    replicas: number(model.scale) ?? number(deploy.replicas) ?? 1,
    dependsOn: Object.fromEntries(
      Object.entries(mapping(model.depends_on)).map(([other, value]) => [other, readDependency(mapping(value))]),
    ),
    ...given('healthcheck', healthcheck),
    update: readUpdateConfig(deploy.update_config),
    rollback: readUpdateConfig(deploy.rollback_config),
    ...given('stopSignal', text(model.stop_signal)),
    stopGraceMs: duration(model.stop_grace_period, 10_000),
    postStart: list(model.post_start).map(readHook),
    preStop: list(model.pre_stop).map(readHook),
    ...given('containerName', text(model.container_name)),
    ...given('networkMode', text(model.network_mode)),
    devices: usesDevices(model, deploy),
    privileged: model.privileged === true,
    publishedPorts: list(model.ports).flatMap((entry) => readPublished(mapping(entry))),
    exposedPorts: readExposed(model),
    mounts: list(model.volumes).map((entry) => readMount(mapping(entry))),
    environment: Object.fromEntries(
      Object.entries(mapping(model.environment)).flatMap(([key, value]) => (value === null ? [] : [[key, String(value)]])),
    ),
    memoryLimitBytes: number(limits.memory) ?? number(model.mem_limit) ?? 0,
    cpus: number(limits.cpus) ?? number(model.cpus) ?? 0,
    ...given('reservedCpus', number(mapping(mapping(deploy.resources).reservations).cpus)),
    restart: readRestart(model.restart, deploy.restart_policy),
  };
}

function readDependency(value: Mapping): Service['dependsOn'][string] {
  const condition = value.condition;
  return {
    condition: condition === 'service_healthy' || condition === 'service_completed_successfully' ? condition : 'service_started',
    required: value.required !== false,
    restart: value.restart === true,
  };
}

/** The engine's defaults where the file says nothing. An image's own health check is not visible here. */
function readHealthcheck(value: unknown): Service['healthcheck'] | undefined {
  if (!isMapping(value)) return undefined;
  const test = list(value.test);
  return {
    disabled: value.disable === true || test[0] === 'NONE',
    intervalMs: duration(value.interval, 30_000),
    timeoutMs: duration(value.timeout, 30_000),
    retries: number(value.retries) ?? 3,
    startPeriodMs: duration(value.start_period, 0),
    startIntervalMs: duration(value.start_interval, 5000),
  };
}

/** Defaults of the Compose Deploy Specification, except that a failure rolls back: a release is all or none. */
export function readUpdateConfig(value: unknown): UpdateConfig {
  const config = mapping(value);
  const order = config.order;
  const action = config.failure_action;
  return {
    ...(order === 'start-first' || order === 'stop-first' ? { order } : {}),
    parallelism: number(config.parallelism) ?? 1,
    delayMs: duration(config.delay, 0),
    monitorMs: duration(config.monitor, 5000),
    failureAction: action === 'pause' || action === 'continue' ? action : 'rollback',
    maxFailureRatio: number(config.max_failure_ratio) ?? 0,
  };
}

function readHook(value: unknown): Hook {
  const hook = mapping(value);
  const environment = hook.environment;
  return {
    command: list(hook.command).map(String),
    ...given('user', text(hook.user)),
    privileged: hook.privileged === true,
    ...given('workingDir', text(hook.working_dir)),
    environment: Array.isArray(environment)
      ? environment.map(String)
      : Object.entries(mapping(environment)).map(([key, entry]) => (entry === null ? key : `${key}=${String(entry)}`)),
  };
}

function usesDevices(model: Mapping, deploy: Mapping): boolean {
  const reserved = mapping(mapping(deploy.resources).reservations).devices;
  return list(model.devices).length > 0 || list(reserved).length > 0 || list(model.gpus).length > 0;
}

function readPublished(port: Mapping): Service['publishedPorts'] {
  const target = number(port.target);
  if (target === undefined || port.published === undefined || port.published === '') return [];
  // A range ("8000-8010") lets Docker choose: its first port stands for it.
  const published = Number.parseInt(String(port.published), 10);
  if (!Number.isInteger(published) || published === 0) return [];
  return [{ ...given('hostIp', text(port.host_ip)), published, target, protocol: text(port.protocol) ?? 'tcp' }];
}

function readExposed(model: Mapping): number[] {
  const ports = new Set<number>();
  for (const entry of list(model.ports)) {
    const { target, protocol } = mapping(entry);
    const port = number(target);
    if (port !== undefined && (protocol ?? 'tcp') === 'tcp') ports.add(port);
  }
  for (const entry of list(model.expose)) {
    const match = /^(\d+)(?:-(\d+))?(?:\/(\w+))?$/.exec(String(entry));
    if (!match || (match[3] ?? 'tcp') !== 'tcp') continue;
    for (let port = Number(match[1]); port <= Number(match[2] ?? match[1]); port++) ports.add(port);
  }
  return [...ports];
}

function readMount(mount: Mapping): Service['mounts'][number] {
  const type = mount.type;
  return {
    type: type === 'volume' || type === 'bind' || type === 'tmpfs' ? type : 'other',
    source: text(mount.source) ?? '',
    target: text(mount.target) ?? '',
    readOnly: mount.read_only === true,
  };
}

/** `deploy.restart_policy` outranks `restart`, as in Compose. */
function readRestart(restart: unknown, policy: unknown): string {
  if (!isMapping(policy)) return text(restart) ?? 'no';
  const attempts = number(policy.max_attempts);
  if (policy.condition === 'none') return 'no';
  if (policy.condition === 'on-failure') return attempts ? `on-failure:${attempts}` : 'on-failure';
  return 'always';
}

/** Single dollars again: Compose doubles them so that its output can be read back. */
export function undouble(value: unknown): unknown {
  if (typeof value === 'string') return value.replaceAll('$$', '$');
  if (Array.isArray(value)) return value.map(undouble);
  if (isMapping(value)) return Object.fromEntries(Object.entries(value).map(([key, inside]) => [key, undouble(inside)]));
  return value;
}

export function isMapping(value: unknown): value is Mapping {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}

export function mapping(value: unknown): Mapping {
  return isMapping(value) ? value : {};
}

function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

function text(value: unknown): string | undefined {
  return value === undefined || value === null || value === '' ? undefined : String(value);
}

function number(value: unknown): number | undefined {
  if (value === undefined || value === null || value === '') return undefined;
  const found = Number(value);
  return Number.isFinite(found) ? found : undefined;
}

function duration(value: unknown, fallback: number): number {
  return value === undefined || value === null ? fallback : (parseDurationMs(String(value)) ?? fallback);
}

function given<K extends string, V>(key: K, value: V | undefined): { [P in K]?: V } {
  return (value === undefined ? {} : { [key]: value }) as { [P in K]?: V };
}
