import type { z } from 'zod';

/** HPA's words. AverageValue divides by the workers there are; Value does not; Utilization is percent of what a container may use. */
export type MetricType = 'AverageValue' | 'Value' | 'Utilization';

/** Libraries whose queues we know: every key of theirs, what is in flight, what is due, which worker is idle. */
export const FRAMEWORKS = ['celery', 'bullmq', 'rq', 'sidekiq'] as const;
export type Framework = (typeof FRAMEWORKS)[number];

/** What a queue holds, in jobs. */
export interface QueueReading {
  /** Ready to be taken now: over all lists and priorities, delayed jobs that are due included. */
  waiting: number;
  /** Running on a worker now. Undefined: the source cannot tell. */
  active?: number;
  /** Held by a worker that does not run them yet: prefetched, or with a start that lies ahead. No other worker can take them. */
  held?: number;
  /** When the next delayed job becomes due, ms since 1970. Undefined: none is known. */
  nextDueMs?: number;
}

/** What the source knows of one worker. It is matched with a container by whichever of the two it names. */
export interface WorkerReading {
  /** The host name inside the container: the beginning of its id, unless the file says otherwise. */
  hostname?: string;
  /** Its address on a network of the project. */
  address?: string;
  /** It runs a job, or holds one. */
  busy: boolean;
}

export interface Reading {
  /** The metric as KEDA defines it for this type, to be held against target and activation. Of a queue: waiting and active. */
  value: number;
  /** Whether there is something to do, where KEDA's scaler decides it by more than the value. Undefined: value above activation. */
  active?: boolean;
  queue?: QueueReading;
  /** Undefined: the source does not tell workers apart. A worker that is missing in the list is unknown, not idle. */
  workers?: WorkerReading[];
}

/** What a source may use of the world around it. */
export interface TriggerContext {
  /**
   * Where this process reaches what containers of the scaled service call `host`: a service's name or alias on their networks becomes the
   * address of a container that runs now; any other name stays as it is. Ask for each connection: containers change addresses.
   */
  resolve(host: string, port: number): Promise<{ host: string; port: number }>;
  /** Environment of the scaled service, for metadata keys that end in FromEnv. It holds secrets: never print a value. */
  environment: Readonly<Record<string, string>>;
  /** `tier.framework` of the scaled service. */
  framework?: Framework;
  /** The trigger's own; undefined: the first of its type's metricTypes. */
  metricType?: MetricType;
  /** Runs a command in a running container of a service of the project; undefined: of the scaled service. */
  exec(service: string | undefined, command: string[]): Promise<{ code: number; output: string }>;
  /**
   * The scaled service's containers that run now, for libraries whose workers do not say which queue they serve. Left out: every worker
   * that is heard of counts as the service's.
   */
  workers?(): Promise<{ hostname: string; addresses: string[] }[]>;
  /** What each running container of the scaled service uses, in cores and bytes; its limits where it has them. */
  usage(): Promise<ContainerUsage[]>;
  /** ms since 1970. */
  now(): number;
}

export interface ContainerUsage {
  cpus: number;
  cpuLimit?: number;
  memoryBytes: number;
  memoryLimitBytes?: number;
}

/**
 * `changed`: read again, which also asks to be told of the next change. `lost`: nothing is told until a read succeeds again;
 * `forGood`: nor after that, because this server tells nobody. Poll it.
 */
export type TriggerNotice = { kind: 'changed' } | { kind: 'lost'; reason: string; forGood?: true };

/** A source that is being read. Calls do not overlap. */
export interface OpenTrigger {
  /** Reads now; connects first when there is no connection. Throws Failure TRIGGER_FAILED, whose text holds no secret. Ends within 5 s. */
  read(): Promise<Reading>;
  /** Only sources that tell of changes by themselves have it; the others are polled. Called once, before the first read. */
  watch?(listener: (notice: TriggerNotice) => void): void;
  /** Ends all connections. May be called at any time, more than once; a read that is under way fails. */
  close(): Promise<void>;
}

/**
 * A kind of trigger: one file each, listed in list.ts, held to contract.ts's shared tests. Names and meaning of `metadata` are those of
 * KEDA's scaler of the same type; a key of KEDA's that is not supported is refused by name, never ignored.
 */
export interface TriggerType<Metadata = unknown> {
  /** KEDA's name. */
  type: string;
  /** One sentence for the reference page. */
  summary: string;
  /** Strict. Every field has a description and samples; values may be written as text, as KEDA does. */
  metadata: z.ZodType<Metadata>;
  metricTypes: readonly [MetricType, ...MetricType[]];
  /** What one worker is to have (KEDA's target; undefined: none is written, and the tier's drainTarget decides), and activation (strictly above: active). */
  target(metadata: Metadata): { value: number | undefined; activation: number };
  /** False: it cannot lift a service from 0 (cpu, memory). */
  activates: boolean;
  /** True: consumers outlive being frozen, because the server does not drop a connection that stays silent. */
  freezable: boolean;
  /** Connects to nothing yet. Failure CONFIG_INVALID when the metadata asks for what the context does not have (an unset FromEnv variable). */
  open(metadata: Metadata, context: TriggerContext): OpenTrigger;
}
