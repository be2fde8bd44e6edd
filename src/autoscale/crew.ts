import type { ContainerSummary } from '../docker/api.ts';
import { COMPOSE } from '../docker/labels.ts';
import type { Hook } from '../project/model.ts';
import type { WorkerMark } from '../state/workers.ts';
import type { AutoscaleEvent, Tier, Worker, WorkerPhase } from './model.ts';
import type { Template } from './template.ts';

/** An event before the loop gives it its time. */
export type Untimed<Event = AutoscaleEvent> = Event extends unknown ? Omit<Event, 'atMs'> : never;
export type Tell = (event: Untimed) => void;

/** A scaled service and its containers, as the loop holds them. Docker's labels are the truth; this follows them. */
export interface Crew {
  tier: Tier;
  /** Names in Docker of the networks that the file gives the service. */
  networks: string[];
  /** Files inside its containers that Compose puts there when it starts them. */
  injected: string[];
  hooks: { postStart: Hook[]; preStop: Hook[] };
  /** What a container must carry to be of the service as it is now. */
  current: Identity;
  template?: Template;
  /** Undefined: none can be made; why. */
  templateProblem?: string;
  /** By id: every container of the service but one-off ones, whether the autoscaler may use it or not. */
  containers: Map<string, Member>;
  /** By id: those that decide() knows, as it was told. */
  workers: Map<string, Worker>;
  /** By worker: what is being done to it; what comes meanwhile is done after that. */
  acting: Map<string, Promise<void>>;
  /** The network on which sources see the service's containers, once one was reached. */
  seenOn?: string;
  /** By container: when its start was asked for, until it is ready. */
  booting: Map<string, number>;
  /** Start until ready, as last measured. */
  bootMs?: number;
}

/** The worker is ready, as far as anybody tells; the first word of it ends the measurement of its start. */
export function noteReady(crew: Crew, id: string, nowMs: number): boolean {
  const began = crew.booting.get(id);
  if (began === undefined) return false;
  crew.booting.delete(id);
  crew.bootMs = nowMs - began;
  return true;
}

export interface Identity {
  configHash: string;
  imageId: string;
}

/** What is kept of a container in the engine's list. */
export interface Member extends Identity {
  id: string;
  name: string;
  number: number;
  state: ContainerSummary['State'];
  health: 'none' | 'starting' | 'healthy' | 'unhealthy';
  /** Seconds since 1970. */
  created: number;
  addresses: Record<string, string>;
}

export const tierIdOf = (labels: Record<string, string>): string | undefined => {
  const [project, service] = [labels[COMPOSE.project], labels[COMPOSE.service]];
  if (project === undefined || service === undefined || labels[COMPOSE.oneoff]?.toLowerCase() === 'true') return undefined;
  return `${project}/${service}`;
};

export function memberOf(container: ContainerSummary): Member {
  const health = /\((?:health: )?(starting|healthy|unhealthy)\)/.exec(container.Status)?.[1];
  return {
    id: container.Id,
    name: container.Names[0]?.replace(/^\//, '') ?? container.Id.slice(0, 12),
    number: Number(container.Labels[COMPOSE.number] ?? 0),
    configHash: container.Labels[COMPOSE.configHash] ?? '',
    imageId: container.ImageID,
    state: container.State,
    health: (health as Member['health'] | undefined) ?? 'none',
    created: container.Created,
    addresses: Object.fromEntries(
      Object.entries(container.NetworkSettings?.Networks ?? {}).flatMap(([network, { IPAddress }]) =>
        IPAddress ? [[network, IPAddress]] : [],
      ),
    ),
  };
}

/**
 * What the service is now. The newest release says so, unless none of the containers carries it: then somebody has changed the service by
 * hand since, and what was made last is what is wanted.
 */
export function currentIdentity(
  members: Iterable<Member>,
  released: Identity | undefined,
  model: Identity,
): Identity & { byHand: boolean } {
  const all = [...members];
  const wanted = released ?? model;
  const isWanted = (member: Member): boolean =>
    member.configHash === wanted.configHash && (wanted.imageId === '' || member.imageId === wanted.imageId);
  if (all.length === 0 || all.some(isWanted)) return { ...wanted, byHand: false };
  const newest = all.reduce((a, b) => (b.created > a.created || (b.created === a.created && b.number > a.number) ? b : a));
  return { configHash: newest.configHash, imageId: newest.imageId, byHand: released !== undefined };
}

export const isObsolete = (member: Identity, current: Identity): boolean =>
  member.configHash !== current.configHash || (current.imageId !== '' && member.imageId !== current.imageId);

export function phaseOf(member: Pick<Member, 'state' | 'health'>, mark: WorkerMark | undefined): WorkerPhase {
  switch (member.state) {
    case 'paused':
      return 'frozen';
    case 'restarting':
      return 'starting';
    case 'running':
      if (mark?.kind === 'draining' && mark.signalled) return 'draining';
      return member.health === 'starting' ? 'starting' : 'running';
    default:
      return 'stopped';
  }
}

/**
 * The container as decide() knows it, or undefined when it is none of the autoscaler's: `retired` containers stand by for a rollback to
 * their release.
 */
export function workerOf(
  member: Member,
  crew: Pick<Crew, 'current' | 'workers' | 'seenOn' | 'networks'>,
  { mark, retired, nowMs }: { mark: WorkerMark | undefined; retired: ReadonlySet<string>; nowMs: number },
): Worker | undefined {
  const obsolete = isObsolete(member, crew.current);
  const phase = phaseOf(member, mark);
  if (phase === 'stopped' && obsolete && retired.has(member.id)) return undefined;
  const before = crew.workers.get(member.id);
  const address = addressOf(member, crew);
  return {
    id: member.id,
    number: member.number,
    phase,
    sinceMs: before?.phase === phase ? before.sinceMs : mark && mark.sinceMs > 0 && phase !== 'running' ? mark.sinceMs : nowMs,
    obsolete,
    ...(address === undefined ? {} : { address }),
  };
}

/** Where sources see it: on the network that they were last reached on, else on the first that the file names. */
export function addressOf(member: Pick<Member, 'addresses'>, crew: Pick<Crew, 'seenOn' | 'networks'>): string | undefined {
  for (const network of [...(crew.seenOn ? [crew.seenOn] : []), ...crew.networks]) {
    const address = member.addresses[network];
    if (address !== undefined) return address;
  }
  return undefined;
}

/** The number, or the lowest that no container of the service has. */
export function freeNumber(crew: Pick<Crew, 'containers'>, reserved: ReadonlySet<number>, wanted: number): number {
  const taken = new Set([...crew.containers.values()].map(({ number }) => number));
  for (const number of reserved) taken.add(number);
  if (!taken.has(wanted)) return wanted;
  let number = 1;
  while (taken.has(number)) number++;
  return number;
}

/** The same in everything that decide() looks at. */
export const isSameWorker = (a: Worker, b: Worker): boolean =>
  a.phase === b.phase && a.obsolete === b.obsolete && a.number === b.number && a.address === b.address;
