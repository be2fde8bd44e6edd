import type { Framework, MetricType, Reading } from '../triggers/model.ts';

/** A scaled service, with every default filled in. Times in ms, CPU in cores, memory in bytes. */
export interface Tier {
  /** "<project>/<service>". */
  id: string;
  project: string;
  service: string;
  class: TierClass;
  /** How long a job may wait before its tier is said to be late (T). It decides the count where no target is written. */
  drainTargetMs: number;
  /** Jobs that one worker runs at a time. */
  concurrency: number;
  framework?: Framework;
  warm: Warm;
  /** How idleness of one worker is proved where no framework tells. */
  busy?: BusyProbe;
  min: number;
  max: number;
  /** idleReplicaCount; only 0 is possible. */
  idle?: 0;
  pollingIntervalMs: number;
  cooldownMs: number;
  initialCooldownMs: number;
  fallback?: Fallback;
  behavior: { scaleUp: ScalingRules; scaleDown: ScalingRules };
  scalingModifiers?: { formula: string; target: number; activationTarget: number; metricType: MetricType };
  /** KEDA's pause annotations, as fields. */
  pause: { paused: boolean; pausedReplicas?: number; pausedScaleIn: boolean; pausedScaleOut: boolean };
  forceActivation: boolean;
  triggers: TierTrigger[];
  /** Limits of one container: what it is entered into the ledger with. */
  need: Need;
  /** Start until ready, as last measured; an assumption until then. */
  bootMs: number;
}

export type TierClass = 'light' | 'medium' | 'heavy';

/** What stands ready while nothing is to do: `frozen` containers keep their memory, `stopped` ones only their disk. */
export interface Warm {
  kind: 'frozen' | 'stopped' | 'none';
  count: number;
}

export type BusyProbe =
  /** Exit code 0: idle; 1: busy; anything else: unknown. */
  | { kind: 'exec'; command: string[] }
  /** 2xx: idle; 409 or 503: busy; anything else: unknown. */
  | { kind: 'http'; port: number; path: string }
  /** The file's text begins with "idle" or with "busy". */
  | { kind: 'file'; path: string };

export interface Fallback {
  failureThreshold: number;
  replicas: number;
  behavior: 'static' | 'currentReplicas' | 'currentReplicasIfHigher' | 'currentReplicasIfLower';
}

/** HPA v2's HPAScalingRules. */
export interface ScalingRules {
  stabilizationWindowMs: number;
  selectPolicy: 'Max' | 'Min' | 'Disabled';
  /** Empty: no limit to the rate. */
  policies: { type: 'Pods' | 'Percent'; value: number; periodMs: number }[];
  /** Share of the target within which nothing changes. */
  tolerance: number;
}

export interface TierTrigger {
  /** Unique within the tier: its own name, or "<type>-<index>". */
  name: string;
  type: string;
  metricType: MetricType;
  /** What one worker is to have. Undefined: the tier's drain target decides. */
  target?: number;
  activation: number;
  activates: boolean;
  freezable: boolean;
}

export interface Need {
  cpus: number;
  memoryBytes: number;
}

/**
 * Where a worker's container is between create and exit. In the ledger all but `stopped` count with their memory and all but `stopped` and
 * `frozen` with their CPU.
 */
export type WorkerPhase = 'stopped' | 'starting' | 'running' | 'frozen' | 'draining';

export interface Worker {
  /** The container's id; of one that is being created a name, until the event `worker` replaces it. */
  id: string;
  /** Compose's container number. */
  number: number;
  phase: WorkerPhase;
  sinceMs: number;
  /** Undefined: nobody has told yet. */
  busy?: boolean;
  /** Since when every look found it idle. */
  idleSinceMs?: number;
  /** It has another configuration than the service has now: it goes first, and is not started again. */
  obsolete: boolean;
  /** How sources name it, where that is not the beginning of its id. WorkerReading is matched with them. */
  hostname?: string;
  address?: string;
  /** Its own limits, where they may differ from the tier's (it is obsolete). */
  need?: Need;
}

/** What all scaled services together may have: the host less its reserve and less what always runs. */
export interface HostBudget extends Need {
  /** Of the whole host: twice as many starts may be in flight. */
  cores: number;
  /** No grant while memory is short, whatever the ledger says. Why, or undefined. */
  pressure?: string;
}

/** Everything that can happen, as recorded and as replayed. `atMs` never needs the clock that decide() does not have. */
export type AutoscaleEvent = { atMs: number } & (
  | { kind: 'tick' }
  /** At the start the last of all, after the tiers and their containers: from then on workers are started. */
  | { kind: 'host'; budget: HostBudget }
  | { kind: 'tier'; tier: Tier }
  | { kind: 'tier-gone'; tier: string }
  /**
   * The source told of a change and has not been read yet: a frozen consumer may have been handed a job that no count shows. Also sent when
   * the loop starts, for what was told while nobody listened.
   */
  | { kind: 'notice'; tier: string; trigger: string }
  | { kind: 'reading'; tier: string; trigger: string; reading: Reading }
  | { kind: 'reading-failed'; tier: string; trigger: string; message: string }
  /**
   * The tier's containers as the engine lists them now; what is not in the list is gone, but for what is being created. Sent after the first
   * `tier` even if there are none, because nothing is started on the host before all tiers were listed, and whenever in doubt.
   */
  | { kind: 'workers'; tier: string; workers: Worker[] }
  /** One container as it is now. `replaces`: the name that the action `create` gave it. */
  | { kind: 'worker'; tier: string; worker: Worker; replaces?: string }
  | { kind: 'worker-gone'; tier: string; worker: string; why?: string }
  /** An action came to nothing: a worker that was to go proved busy, a container could not start. */
  | { kind: 'action-failed'; tier: string; worker?: string; action: Action['kind']; message: string }
  /** Stands until the next `paused` or `tier` of this tier. */
  | { kind: 'paused'; tier: string; pause: Tier['pause'] }
  /** `composure scale`: a floor until it is released (undefined). */
  | { kind: 'manual'; tier: string; replicas?: number }
  /** A release has the project (or has ended): nothing of it is touched meanwhile. */
  | { kind: 'held'; project: string; by?: string }
);

/** What is to be done to a container. The one who does it answers with `worker`, `worker-gone` or `action-failed`. */
export type Action = {
  tier: string;
  why: string;
} /** Create and start. `number` is the lowest that no container of the tier has; another one may be taken. */ & (
  | { kind: 'create'; worker: string; number: number }
  | { kind: 'start'; worker: string }
  | { kind: 'thaw'; worker: string }
  | { kind: 'freeze'; worker: string }
  /**
   * Safe scale-down: prove idle, look again, one signal, wait for the exit without a limit; then the container is kept or removed. A frozen
   * one is thawed first, because it may have been handed a job.
   */
  | { kind: 'retire'; worker: string; then: 'keep' | 'remove' }
  /** A stopped container goes. */
  | { kind: 'remove'; worker: string }
);

/** How a tier's count came about: what `explain` prints. */
export interface Decision {
  tier: string;
  atMs: number;
  /** What the triggers say, each in one line of words and numbers. */
  inputs: string[];
  /** The formula with the numbers in it. */
  formula: string;
  /** Before limits; after the window; after min and max; after the host's budget. */
  raw: number;
  stabilized: number;
  wanted: number;
  granted: number;
  /** What kept it from what it wants, in words: max, the window, the budget, a release, a pause, missing metrics. */
  limits: string[];
}
