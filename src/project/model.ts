import type { Framework, MetricType } from '../triggers/model.ts';

/**
 * The project as the rooms above see it: Compose's own resolved model plus our keys, checked and with defaults filled in.
 * Durations are milliseconds, sizes bytes.
 */
export interface Project {
  name: string;
  /** Absolute; relative paths of the files start here. */
  folder: string;
  /** What makes `docker compose` see the same project: its own global arguments and environment additions. */
  compose: ComposeTarget;
  /** Absolute paths of the compose files in use, in merge order. */
  files: string[];
  environment?: string;
  /** Services of the active profiles, by name. */
  services: Record<string, Service>;
  networks: Record<string, { name: string; external: boolean; definition: Record<string, unknown> }>;
  volumes: Record<string, { name: string; external: boolean }>;
  settings: ProjectSettings;
  /** Things that a person should know and that stop nothing. */
  warnings: string[];
  /** Variables without a value that Compose left blank; `where` is their first use, as file:line:column. A deploy refuses them. */
  unsetVariables: { name: string; where: string }[];
  /** Where services, and the keys of theirs that messages are about, are written: file:line:column. */
  places?: Record<string, { service?: string; image?: string; 'x-edge'?: string; 'x-autoscale'?: string; ports?: string }>;
  /**
   * The resolved model as Compose printed it, x- keys included, as JSON: a compose file that can be read back (dollars are doubled).
   * It holds secrets: never print it.
   */
  resolved: string;
}

export interface ComposeTarget {
  /** For example ["-p", "shop", "--project-directory", "/srv/shop", "-f", "/srv/shop/compose.yaml", "--env-file", "…", "--profile", "…"]. */
  args: string[];
  cwd: string;
  env: Record<string, string>;
}

export interface Service {
  name: string;
  image: string;
  /** Has a `build` section. */
  builds: boolean;
  /** Where the file says one; otherwise the image's own, which is not visible here. */
  command?: string[];
  pullPolicy?: string;
  /** From `docker compose config --hash`. */
  configHash: string;
  /** Content hash of what Compose's own hash does not see: files behind configs, secrets and bind-mounted files. */
  contentHash: string;
  /** The files that contentHash covers, absolute. */
  contentFiles: string[];
  /** Secrets and configs that come from a variable or from the compose file: to be put into each new container before it starts. */
  files?: ContainerFile[];
  replicas: number;
  dependsOn: Record<
    string,
    { condition: 'service_started' | 'service_healthy' | 'service_completed_successfully'; required: boolean; restart: boolean }
  >;
  healthcheck?: {
    disabled: boolean;
    intervalMs: number;
    timeoutMs: number;
    retries: number;
    startPeriodMs: number;
    startIntervalMs: number;
  };
  update: UpdateConfig;
  rollback: UpdateConfig;
  stopSignal?: string;
  /** Compose's default is 10 s. */
  stopGraceMs: number;
  postStart: Hook[];
  preStop: Hook[];
  containerName?: string;
  networkMode?: string;
  devices: boolean;
  privileged: boolean;
  /** Ports on the host that the containers themselves publish. */
  publishedPorts: { hostIp?: string; published: number; target: number; protocol: string }[];
  /** Container ports: published, exposed in the compose file. */
  exposedPorts: number[];
  mounts: { type: 'volume' | 'bind' | 'tmpfs' | 'other'; source: string; target: string; readOnly: boolean }[];
  environment: Record<string, string>;
  memoryLimitBytes: number;
  cpus: number;
  /** `deploy.resources.reservations.cpus`. */
  reservedCpus?: number;
  restart: string;
  /** Routes of x-edge; empty when the service has none. */
  edge: EdgeSpec[];
  /** x-release: run to completion once, in the new image, before anything is touched. Also set for services that others await with service_completed_successfully. */
  release?: ReleaseJob;
  /** x-autoscale, checked. The count is the autoscaler's then; `replicas` is what stands where no agent runs. */
  autoscale?: AutoscaleSpec;
  /** x-backup; undefined when the file says nothing. */
  backup?: ServiceBackup;
}

/** x-autoscale as it is written: what is not said is undefined, because defaults depend on the class, the host and what was measured. */
export interface AutoscaleSpec {
  triggers: AutoscaleTrigger[];
  pollingIntervalMs?: number;
  cooldownMs?: number;
  initialCooldownMs?: number;
  idle?: 0;
  min?: number;
  max?: number;
  fallback?: {
    failureThreshold: number;
    replicas: number;
    behavior: 'static' | 'currentReplicas' | 'currentReplicasIfHigher' | 'currentReplicasIfLower';
  };
  behavior: { scaleUp: AutoscaleRules; scaleDown: AutoscaleRules };
  scalingModifiers?: { formula: string; target: number; activationTarget: number; metricType: 'AverageValue' | 'Value' };
  pause: { paused: boolean; pausedReplicas?: number; pausedScaleIn: boolean; pausedScaleOut: boolean };
  forceActivation: boolean;
  tier: {
    class: 'light' | 'medium' | 'heavy';
    drainTargetMs?: number;
    concurrency?: number;
    framework?: Framework;
    warm?: { kind: 'frozen' | 'stopped' | 'none'; count: number };
    busy?: { kind: 'exec'; command: string[] } | { kind: 'http'; port: number; path: string } | { kind: 'file'; path: string };
  };
  /** Without effect here; kept for the export to KEDA. */
  keda: { restoreToOriginalReplicaCount?: boolean; hpaName?: string };
}

/** HPA v2's HPAScalingRules. */
export interface AutoscaleRules {
  stabilizationWindowMs?: number;
  selectPolicy: 'Max' | 'Min' | 'Disabled';
  policies?: { type: 'Pods' | 'Percent'; value: number; periodMs: number }[];
  tolerance?: number;
}

export interface AutoscaleTrigger {
  /** Unique within the service: its own name, or "<type>-<index>". */
  name: string;
  /** A type of src/triggers/list.ts. */
  type: string;
  metricType: MetricType;
  /** As the type's own schema turns it out: what its target() and open() take. */
  metadata: unknown;
  /** As it is written, for the export; scalars as text, as KEDA has them. May hold secrets that stand in the file. */
  written: { name?: string; metricType?: MetricType; useCachedMetrics?: boolean; metadata: Record<string, unknown> };
}

export interface ContainerFile {
  path: string;
  /** May be a secret: never print it. */
  content: string;
  uid: number;
  gid: number;
  mode: number;
  /** Changes with the content and does not reveal it. */
  fingerprint: string;
}

export interface Hook {
  command: string[];
  user?: string;
  privileged: boolean;
  workingDir?: string;
  environment: string[];
}

/** `deploy.update_config` / `deploy.rollback_config`, Compose Deploy Specification. */
export interface UpdateConfig {
  /** Undefined: not said in the file. */
  order?: 'start-first' | 'stop-first';
  /** How many at a time; 0 means all. Default 1. */
  parallelism: number;
  delayMs: number;
  /** How long new containers are watched after the switch. Default 5 s. */
  monitorMs: number;
  /** Default rollback: a release is all or none. */
  failureAction: 'rollback' | 'pause' | 'continue';
  maxFailureRatio: number;
}

export interface ReleaseJob {
  timeoutMs: number;
  /** Undefined: the service's own command. */
  command?: string[];
}

/** One entry of x-edge, checked, defaults filled in. */
export interface EdgeSpec {
  kind: 'http' | 'tcp';
  hosts: string[];
  path: string;
  /** Container port. */
  port: number;
  /** kind tcp: the host port. */
  listen?: number;
  health?: { path: string; status: string };
  healthIntervalMs: number;
  redirectFrom: string[];
  tls: 'none' | 'acme' | { certificateFile: string; keyFile: string };
  redirectToHttps: boolean;
  compress: boolean;
  maxBodyBytes: number;
  rateLimit?: { requests: number; perMs: number };
  securityHeaders: boolean;
  timeouts: { responseMs: number; tunnelMs: number };
  /** How long requests may wait at the edge while a stop-first service changes. Default 15 s. */
  holdMs: number;
  drain: {
    /** How long requests in flight on an old container may take. Default: stop_grace_period, at least 30 s. */
    requestsMs: number;
    /** How long WebSockets and event streams may stay on an old container. Default 30 s. */
    streamsMs: number;
  };
}

/** Top-level x-composure. */
export interface ProjectSettings {
  edge: {
    httpPort?: number;
    httpsPort?: number;
    acme?: { email: string; directory: string; caFile?: string };
  };
  /** Images that Composure itself starts, by their public name's key. */
  images: { haproxy?: string; restic?: string };
  /** Undefined where nothing is said about backups. */
  backup?: BackupSettings;
  release: {
    /** Limits of the watch after the switch: new against old. */
    maxErrorRatio: number;
    maxLatencyRatio: number;
    /** Fewer requests than this on the new containers decide nothing about ratios. */
    minRequests: number;
    /** How many previous releases keep their stopped containers. Default 1. */
    keep: number;
  };
}

/** restic's retention rules by their names, without the dashes. */
export interface KeepRules {
  last?: number;
  hourly?: number;
  daily?: number;
  weekly?: number;
  monthly?: number;
  yearly?: number;
  /** restic's durations: "1y5m7d2h". */
  within?: string;
}

/** x-composure.backup */
export interface BackupSettings {
  /** As restic writes it: a path (absolute here), s3:…, sftp:…, rest:…. Undefined: backups are not set up. */
  repository?: string;
  /** Cron with five fields. */
  schedule?: string;
  timezone: string;
  /** When the repository is checked (cron), and in how many parts it is read. Undefined: the agent does not. */
  verify?: { schedule: string; parts: number };
  /** When the latest set is restored into scratch containers (cron). Undefined: the agent does not. */
  drill?: { schedule: string };
  /** Who is told how it went; `secret` names the secret that holds the address. */
  notify?: { kind: 'webhook' | 'heartbeat'; secret: string }[];
  keep: KeepRules;
  /** Nothing can be removed from the repository from here: the agent does not prune it. */
  appendOnly?: boolean;
  /** KiB/s, restic's unit; undefined: no limit. */
  limitUpload?: number;
  limitDownload?: number;
  /** Processors that restic may use at a time. */
  cpus?: number;
  /** Names of the secrets that restic gets as variables: RESTIC_PASSWORD, AWS_ACCESS_KEY_ID and the like. */
  secrets: string[];
}

/** x-backup of one service. */
export interface ServiceBackup {
  skip: boolean;
  /** Says what the service is where its image does not tell. */
  type?: 'postgres' | 'mysql' | 'mongodb' | 'redis' | 'files';
  /** When the service alone is saved, besides the project's schedule: cron with five fields. */
  schedule?: string;
  /** Which of the sets of this service alone stay; undefined: those of the last 30 days. */
  keep?: KeepRules;
  /** restic's patterns, for the service's files. */
  exclude: string[];
  /** What happens to the service's containers while its files are read. */
  consistency: 'none' | 'pause' | 'stop';
  /** Run in the service's container before and after its stores are saved; `pre` failing fails the backup. */
  pre?: string[];
  post?: string[];
  /** Volumes of the service may be without files. */
  empty: boolean;
}
