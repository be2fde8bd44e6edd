import type { Docker } from '../../docker/api.ts';
import type { Edge } from '../../edge/model.ts';
import type { Report } from '../../kit/events.ts';
import type { TriggerType } from '../../triggers/model.ts';
import type { Hands } from '../actions/hands.ts';
import type { HostFacts } from '../budget.ts';
import type { Crew } from '../crew.ts';
import type { Fleet } from '../fleet.ts';
import type { Folders } from '../folders.ts';
import type { WatchedContainers } from '../host.ts';
import type { AutoscaleEvent, Decision, HostBudget } from '../model.ts';
import type { AutoscaleState } from '../policy/state.ts';
import type { ProjectCache, ScaledProject } from '../projects.ts';
import type { Recording } from '../recording.ts';
import type { Source } from '../sources.ts';
import type { AutoscaleStatus, TierStatus } from '../status.ts';
import type { ScaledService } from '../tiers.ts';
import type { UsageSamples } from '../usage.ts';

export interface AutoscalerOptions {
  stateFolder: string;
  docker: Docker;
  /** Without it containers that have a route are not taken out of it before they are asked to end. */
  edge?: Edge;
  report: Report;
  /** Ends the autoscaler: what is frozen is thawed, everything goes on running. */
  signal: AbortSignal;
  /** Decides and says what it would do; touches nothing and leaves no file. */
  dryRun?: boolean;
  /** Default: all there are. */
  types?: readonly TriggerType[];
  /** For tests: the host as it is to be seen, and how long a worker that nobody knows must keep quiet. */
  host?: HostFacts;
  quietMs?: number;
}

/**
 * One run of the autoscaler: what it was given, what it knows, and what it works with. Only knowledge: what runs is known by Docker's labels,
 * what was frozen or asked to end by marks in the state folder, so that the next run begins with an empty one.
 */
export interface Site extends Readonly<AutoscalerOptions> {
  readonly dryRun: boolean;
  /** As the engine says it. */
  readonly machine: { cores: number; memoryBytes: number };
  readonly agent: AutoscaleStatus['agent'];
  readonly fleet: Fleet;
  readonly hands: Hands;
  readonly folders: Folders;
  /** Undefined in a dry run. */
  readonly recording: Recording | undefined;

  /** By "<project>/<service>"; `crews` are theirs. */
  readonly posts: Map<string, Post>;
  readonly crews: Map<string, Crew>;
  readonly cache: ProjectCache;
  readonly watched: WatchedContainers;
  /** Project to who holds it, as decide() was told. */
  readonly held: Map<string, string>;
  /** By project: until when it counts as held because somebody ends its containers without a lock. */
  readonly foreign: Map<string, NodeJS.Timeout>;
  /** What was warned of at the last look, by what it is about. */
  readonly warned: { projects: string[]; host: string[]; tiers: string[] };
  budget: HostBudget | undefined;
  toldBudget: string;

  state: AutoscaleState;
  /** Events that came while one was being decided on. */
  readonly events: AutoscaleEvent[];
  deciding: boolean;

  wakeTimer: NodeJS.Timeout | undefined;
  statusTimer: NodeJS.Timeout | undefined;
  statusDueMs: number;
  lookTimer: NodeJS.Timeout | undefined;
  looking: Promise<void> | undefined;
  lookAgain: boolean;
  closed: boolean;
}

/** A scaled service while it is scaled. */
export interface Post {
  crew: Crew;
  project: ScaledProject;
  service: ScaledService;
  sources: Source[];
  /** What the sources were opened from. */
  openedFrom: string;
  usage: UsageSamples;
  told: { tier: string; pause: string; manual: number | undefined };
  triggers: Map<string, TierStatus['triggers'][number]>;
  decisions: Decision[];
  recent: TierStatus['recent'];
  /** Triggers whose server refuses to tell of changes. */
  polled: Set<string>;
  preparing?: Promise<void>;
}

/** How many decisions and doings of a tier its status shows. */
export const RECENT_KEPT = 20;
