import type { EdgeProject, EdgeSettings } from '../edge/model.ts';
import type { Publisher } from '../edge/takeover.ts';
import type { RedirectAbility } from '../edge/takeover-redirect.ts';
import type { ReleaseRecord } from '../state/releases.ts';

/** A container of the project as the plan needs it. */
export interface ObservedContainer {
  id: string;
  name: string;
  service: string;
  number: number;
  state: 'created' | 'running' | 'paused' | 'restarting' | 'removing' | 'exited' | 'dead';
  /** 'none' when the container has no health check. */
  health: 'none' | 'starting' | 'healthy' | 'unhealthy';
  configHash: string;
  imageId: string;
  createdMs: number;
  restartCount: number;
  exitCode: number;
  /** TCP ports of the host that this container itself publishes. */
  hostPorts: number[];
}

export interface ObservedImage {
  id: string;
  digest?: string;
  exposesPorts: boolean;
}

/** The world at one instant, read once, without any decision. */
export interface Observed {
  containers: ObservedContainer[];
  /** By service; absent when the image is not on this machine. */
  images: Record<string, ObservedImage>;
  /** Committed releases, oldest first. */
  releases: ReleaseRecord[];
  edge: { settings: EdgeSettings; project?: EdgeProject; running: boolean };
  /** Newest modification of the files behind a service's contentHash, milliseconds since 1970. */
  contentChangedMs: Record<string, number>;
  hostMemoryBytes: number;
  /** TCP ports of the host that running containers publish, whoever's they are. */
  publishers: Publisher[];
  redirect: RedirectAbility;
  /** A free port for each that might be taken over. */
  temporaryPorts: Record<number, number>;
  /** An agent runs on this host, which scales the services that have x-autoscale. */
  agent: boolean;
  /** Containers that the autoscaler has asked to end. They are on their way out: no release counts, stops or starts them. */
  draining: string[];
}

/** A container by its id, or "new:<service>:<slot>" for one that the plan itself makes. */
export type Ref = string;

export const newRef = (service: string, slot: number): Ref => `new:${service}:${slot}`;

/** Where the requests of one service go. Servers in neither list leave the edge. */
export interface Routing {
  service: string;
  ready: Ref[];
  drain: Ref[];
  /** Requests wait while nothing is ready. */
  hold: boolean;
}

export type Step = { id: string; why: string } & (
  | { kind: 'create'; totals: { service: string; add: number }[] }
  | { kind: 'run-job'; service: string; container: Ref; timeoutMs: number; oneOff: boolean }
  /** Compose refuses to work on a project that has a paused container. */
  | { kind: 'thaw'; containers: { service: string; ids: string[] }[] }
  | { kind: 'prepare-edge' }
  | { kind: 'start'; service: string; containers: Ref[] }
  | { kind: 'gate'; service: string; containers: Ref[]; timeoutMs: number; maxFailureRatio: number; of: number }
  | { kind: 'route'; routings: Routing[] }
  | { kind: 'drain'; service: string; containers: Ref[]; requestsMs: number; streamsMs: number }
  | { kind: 'wait'; ms: number }
  | { kind: 'stop'; service: string; containers: Ref[] }
  | { kind: 'remove'; service: string; containers: Ref[]; snapshot: boolean }
  | { kind: 'reload-proxy'; service: string; containers: Ref[]; command: string[] }
  | { kind: 'take-over-port'; port: number; temporary: number; redirect: boolean }
  | { kind: 'give-port'; port: number }
  /** Undo: the container that publishes the port gets new connections again. */
  | { kind: 'leave-port'; port: number }
  /** Undo: a container that was removed for its name is made again from its snapshot. */
  | { kind: 'restore'; service: string; containers: string[] }
  /** Undo: the edge's entry of the project as it was before the release. */
  | { kind: 'restore-edge' }
  | { kind: 'watch'; ms: number; drains: { service: string; containers: Ref[]; requestsMs: number; streamsMs: number }[] }
  | { kind: 'commit' }
  | { kind: 'record' }
);

export type StepKind = Step['kind'];

export type Order = 'start-first' | 'stop-first';

/** What happens to one service and why, in the plan's own words. */
export interface ServicePlan {
  service: string;
  /** `record`: no container changes; what the autoscaler makes of this service from now on is of this release. */
  action: 'keep' | 'first start' | 'replace' | 'scale' | 'job' | 'remove' | 'record';
  why: string;
  order?: Order;
  orderWhy?: string;
  routed: boolean;
  /** Running containers of this service before the release that it replaces or removes. */
  old: string[];
  /** Containers that serve before and after. */
  kept: string[];
  /** How many containers the plan makes; rollback may start kept ones instead. */
  count: number;
  /** Stopped containers of an earlier release that are started again instead of new ones. */
  reuse: string[];
  /** Why the release went on without this service (`failure_action: continue`): it stays at what it was. */
  left?: string;
}

export interface Plan {
  project: string;
  release: number;
  kind: 'deploy' | 'rollback';
  /** The release whose content comes back. */
  of?: number;
  services: ServicePlan[];
  steps: Step[];
  warnings: string[];
  /** What this costs: downtime, cut connections. Shown at the confirmation. */
  losses: string[];
  /** Running containers of the project before the release, by service. */
  before: Record<string, string[]>;
  /** The edge's entry of the project before the release. */
  edgeBefore?: EdgeProject;
  /** Every container of the project that exists before the release, in any state. */
  known: string[];
}

export const changesNothing = (plan: Plan): boolean => plan.steps.length === 0;
