import type { Docker } from '../../docker/api.ts';
import type { Report } from '../../kit/events.ts';
import type { WorkerMark } from '../../state/workers.ts';
import type { Reading } from '../../triggers/model.ts';
import type { Crew, Member, Tell } from '../crew.ts';
import type { Routed } from '../edge.ts';
import type { Worker } from '../model.ts';
import type { Template } from '../template.ts';

/** What actions are done with. None of it decides anything. */
export interface Hands {
  docker: Docker;
  stateFolder: string;
  report: Report;
  tell: Tell;
  now(): number;
  /** Names of containers that are being created here, so that the engine's own word of them is not taken for somebody else's doing. */
  making: Set<string>;
  /** How often each container has ended while this process watched: a start may be over before its answer arrives. */
  deaths: Map<string, number>;
  marks: Map<string, WorkerMark>;
  /** Who holds the project, as its lock file says at this moment; undefined: nobody. */
  holder(project: string): Promise<string | undefined> | undefined;
  /** Reads all sources of the tier, from now on; a source that fails is an error. */
  read(crew: Crew): Promise<Reading[]>;
  /** Resolves once the container does not run. */
  exited(id: string): Promise<void>;
  /** Brings the crew's containers in line with what the engine lists. */
  relist(crew: Crew): Promise<void>;
  /** Finds out what the service's next container is made from. Throws when nothing tells. */
  prepareTemplate(crew: Crew): Promise<Template>;
  /** The container's place behind the edge; undefined when its service has no route, or nobody told of an edge. */
  routed(crew: Crew, id: string): Routed | undefined;
  /** Ends waiting: the autoscaler leaves. */
  signal: AbortSignal;
  /** For tests: how long a worker that nobody knows must keep quiet. */
  quietMs?: number;
}

/** An action that came to nothing, for a reason that is no fault. */
export class NotDone extends Error {}

/** Costs no turn of the event loop while there is no lock file. */
export function refuseIfHeld(hands: Hands, crew: Crew): Promise<void> {
  const asked = hands.holder(crew.tier.project);
  if (asked === undefined) return Promise.resolve();
  return asked.then((holder) => {
    if (holder !== undefined) throw new NotDone(`the project is held by ${holder}`);
  });
}

export const label = (crew: Crew, id: string): string => crew.containers.get(id)?.name ?? `${crew.tier.id} ${id.slice(0, 12)}`;

export function become(hands: Hands, crew: Crew, id: string, change: Partial<Worker>, replaces?: string): void {
  const before = crew.workers.get(id);
  const member = crew.containers.get(id);
  if (!member) return;
  const worker: Worker = {
    ...(before ?? { id, number: member.number, phase: 'stopped', obsolete: false, sinceMs: hands.now() }),
    ...change,
    ...(change.phase !== undefined && change.phase !== before?.phase ? { sinceMs: hands.now() } : {}),
  };
  crew.workers.set(id, worker);
  hands.tell({ kind: 'worker', tier: crew.tier.id, worker: { ...worker }, ...(replaces === undefined ? {} : { replaces }) });
}

export function gone(hands: Pick<Hands, 'tell'>, crew: Crew, id: string, why: string): void {
  crew.containers.delete(id);
  if (crew.workers.delete(id)) hands.tell({ kind: 'worker-gone', tier: crew.tier.id, worker: id, why });
}

export function setState(crew: Crew, id: string, state: Member['state']): void {
  const member = crew.containers.get(id);
  if (member) member.state = state;
}
