import type { ContainerInfo, Docker, DockerEvent } from '../docker/api.ts';
import { COMPOSE } from '../docker/labels.ts';
import type { Report } from '../kit/events.ts';
import { readWorkerMarks, unmarkWorker, type WorkerMark } from '../state/workers.ts';
import { gone } from './actions/hands.ts';
import {
  type Crew,
  currentIdentity,
  type Identity,
  isSameWorker,
  type Member,
  memberOf,
  noteReady,
  type Tell,
  tierIdOf,
  workerOf,
} from './crew.ts';
import type { Worker } from './model.ts';

/** What the fleet asks of a crew's project. */
export interface Origin {
  released: Identity | undefined;
  model: Identity;
  retired: ReadonlySet<string>;
}

export interface Fleet {
  deaths: Map<string, number>;
  making: Set<string>;
  marks: Map<string, WorkerMark>;
  /** Services of which Compose is making a container that is nobody's worker. */
  preparing: Set<string>;
  /** Brings crews of one project in line with what the engine lists, which is asked once for all of them, and tells what differs. */
  relist(...crews: Crew[]): Promise<void>;
  onEvent(event: DockerEvent): void;
  exited(id: string): Promise<void>;
}

/** Events that belong to one change come within this. */
const LOOK_MS = 5;
/** What one command removes comes within this, one after the other. */
const BY_HAND_MS = 2000;

/** Events of the engine that change what is known of containers. */
export const CONTAINER_EVENTS = ['create', 'start', 'kill', 'die', 'destroy', 'pause', 'unpause', 'health_status', 'rename'];

/**
 * Follows the containers of all crews by the engine's events. What this process does itself it knows from the engine's answers; of everything
 * else it looks at the one container that the event names.
 */
export function openFleet(options: {
  docker: Docker;
  stateFolder: string;
  crews: Map<string, Crew>;
  originOf(crew: Crew): Origin;
  tell: Tell;
  report: Report;
  now(): number;
  /** A container of a tier that is not known, or of no tier at all, came or went. */
  onStranger(project: string | undefined): void;
  /** Somebody else ends or removes containers of the project. */
  onForeign(project: string): void;
  /** The crew's present configuration or image is another one than before, or it has its first container. */
  onIdentity(crew: Crew): void;
  onReady(crew: Crew): void;
}): Fleet {
  const { docker, stateFolder, crews, tell, report, now } = options;
  const deaths = new Map<string, number>();
  const making = new Set<string>();
  const marks = new Map<string, WorkerMark>();
  const preparing = new Set<string>();
  const exits = new Map<string, (() => void)[]>();
  const looking = new Set<string>();
  const byHand = new Map<string, { removed: number; timer: NodeJS.Timeout }>();

  function resolveExit(id: string): void {
    for (const resolve of exits.get(id) ?? []) resolve();
    exits.delete(id);
  }

  const isDown = (member: Member | undefined): boolean =>
    member === undefined || !(member.state === 'running' || member.state === 'paused' || member.state === 'restarting');

  function settle(crew: Crew): void {
    const { released, model, retired } = options.originOf(crew);
    const eligible = [...crew.containers.values()].filter(({ id }) => !retired.has(id));
    const { byHand: changedByHand, ...current } = currentIdentity(eligible, released, model);
    const { configHash, imageId } = crew.current;
    if (current.configHash === configHash && current.imageId === imageId && crew.template !== undefined) return;
    const differs = configHash !== '' && (current.configHash !== configHash || current.imageId !== imageId);
    crew.current = current;
    if (changedByHand && differs) {
      report({
        kind: 'warning',
        text: `${crew.tier.id}: its containers are not those of the newest release; what was made last is scaled. composure deploy puts it on record`,
      });
    }
    options.onIdentity(crew);
  }

  function update(crew: Crew, member: Member): void {
    crew.containers.set(member.id, member);
    if (crew.acting.has(member.id)) return;
    const { retired } = options.originOf(crew);
    const worker = workerOf(member, crew, { mark: marks.get(member.id), retired, nowMs: now() });
    const before = crew.workers.get(member.id);
    if (!worker) {
      if (crew.workers.delete(member.id)) tell({ kind: 'worker-gone', tier: crew.tier.id, worker: member.id, why: 'kept for a rollback' });
      return;
    }
    if (before && isSameWorker(before, worker)) return;
    if (before?.phase === 'starting' && worker.phase === 'running' && noteReady(crew, member.id, now())) options.onReady(crew);
    crew.workers.set(member.id, worker);
    tell({ kind: 'worker', tier: crew.tier.id, worker: { ...worker } });
  }

  async function relist(...asked: Crew[]): Promise<void> {
    const before = asked.map((crew) => ({ crew, known: new Set(crew.containers.keys()), workers: new Map(crew.workers) }));
    const [first] = asked;
    if (!first) return;
    const { project, service } = first.tier;
    const labels = [`${COMPOSE.project}=${project}`];
    const found = await docker.listContainers(asked.length === 1 ? [...labels, `${COMPOSE.service}=${service}`] : labels);
    const listed = Map.groupBy(found, ({ Labels }) => tierIdOf(Labels));
    for (const { crew, known, workers } of before) compare(crew, (listed.get(crew.tier.id) ?? []).map(memberOf), known, workers);
  }

  /** `known` and `workers`: what was known before the engine was asked for its list. */
  function compare(crew: Crew, own: Member[], known: ReadonlySet<string>, workers: ReadonlyMap<string, Worker>): void {
    const members = own.filter((member) => known.has(member.id) || !(making.has(member.name) || preparing.has(crew.tier.id)));
    const present = new Set(own.map(({ id }) => id));
    /** Something has been told of it since the list was asked for. */
    const isNewer = (id: string): boolean => crew.acting.has(id) || crew.workers.get(id) !== workers.get(id);
    for (const member of members) if (!isNewer(member.id)) crew.containers.set(member.id, member);
    for (const id of known) {
      if (present.has(id)) continue;
      resolveExit(id);
      if (!crew.acting.has(id)) gone({ tell }, crew, id, 'the engine lists it no more');
    }
    settle(crew);
    for (const member of members) {
      if (isDown(member)) resolveExit(member.id);
      if (isNewer(member.id)) lookSoon(crew, member.id);
      else update(crew, member);
    }
  }

  function lookSoon(crew: Crew, id: string): void {
    if (looking.has(id)) return;
    looking.add(id);
    const go = (): void => {
      looking.delete(id);
      look(crew, id).catch((error: Error) => report({ kind: 'warning', text: `${crew.tier.id}: ${error.message}` }));
    };
    const acting = crew.acting.get(id);
    // Draining may take hours, and nothing but its end matters then.
    if (acting === undefined || marks.get(id)?.kind === 'draining') setTimeout(go, LOOK_MS);
    else void acting.then(() => setTimeout(go, LOOK_MS));
  }

  async function look(crew: Crew, id: string): Promise<void> {
    const before = crew.workers.get(id);
    const info = await docker.findContainer(id);
    if (crews.get(crew.tier.id) !== crew) return;
    if (crew.workers.get(id) !== before) {
      lookSoon(crew, id);
      return;
    }
    if (!info) {
      if (!crew.acting.has(id)) gone({ tell }, crew, id, 'somebody else has removed it');
      return;
    }
    if (crew.acting.has(id) && marks.get(id)?.kind !== 'draining') {
      lookSoon(crew, id);
      return;
    }
    const isNew = !crew.containers.has(id);
    crew.containers.set(id, memberOfInfo(info));
    // Containers of another configuration may be the first sign of a change by hand: all of them are judged anew.
    if (isNew) {
      settle(crew);
      for (const member of crew.containers.values()) update(crew, member);
    } else update(crew, memberOfInfo(info));
  }

  function onDie(crew: Crew, id: string): void {
    deaths.set(id, (deaths.get(id) ?? 0) + 1);
    const member = crew.containers.get(id);
    if (member) member.state = 'exited';
    resolveExit(id);
    crew.booting.delete(id);
    const worker = crew.workers.get(id);
    if (!worker || worker.phase === 'stopped') return;
    // Whoever waits for its end says what becomes of it, or will once all containers are known.
    if (marks.get(id)?.kind === 'draining') return;
    if (marks.delete(id)) void unmarkWorker(stateFolder, crew.tier.project, id);
    const stopped: Worker = { ...worker, phase: 'stopped', sinceMs: now() };
    crew.workers.set(id, stopped);
    tell({ kind: 'worker', tier: crew.tier.id, worker: { ...stopped } });
  }

  function onDestroy(crew: Crew, id: string): void {
    const member = crew.containers.get(id);
    if (!member) return;
    resolveExit(id);
    if (marks.delete(id)) void unmarkWorker(stateFolder, crew.tier.project, id);
    const ours = crew.acting.has(id);
    if (ours) return;
    gone({ tell }, crew, id, 'somebody else has removed it');
    noteByHand(crew);
  }

  /** Somebody who removes workers does not ask them whether they are busy: that deserves a word, one for all of them. */
  function noteByHand(crew: Crew): void {
    const id = crew.tier.id;
    const before = byHand.get(id);
    clearTimeout(before?.timer);
    const removed = (before?.removed ?? 0) + 1;
    const timer = setTimeout(() => {
      byHand.delete(id);
      report({
        kind: 'warning',
        text: `${id}: another command removed ${removed === 1 ? 'a container' : `${removed} containers`} without asking whether ${removed === 1 ? 'it was' : 'they were'} busy (docker compose up resets the count); composure deploy keeps it`,
      });
    }, BY_HAND_MS).unref();
    byHand.set(id, { removed, timer });
  }

  const isOurs = (crew: Crew | undefined, id: string): boolean =>
    crew !== undefined && (crew.acting.has(id) || preparing.has(crew.tier.id) || !crew.containers.has(id));

  function onEvent({ Action, Actor }: DockerEvent): void {
    const { ID: id, Attributes: labels } = Actor;
    const tier = tierIdOf(labels);
    const crew = tier === undefined ? undefined : crews.get(tier);
    const project = labels[COMPOSE.project];
    if ((Action === 'kill' || Action === 'destroy') && project !== undefined && !isOurs(crew, id)) options.onForeign(project);
    if (!crew) {
      options.onStranger(project);
      return;
    }
    if (Action === 'kill') return;
    if (Action === 'die') onDie(crew, id);
    else if (Action === 'destroy') onDestroy(crew, id);
    else if (Action === 'create') {
      if (!making.has(labels.name ?? '') && !preparing.has(crew.tier.id)) lookSoon(crew, id);
    } else if (crew.containers.has(id) || !preparing.has(crew.tier.id)) lookSoon(crew, id);
  }

  return {
    deaths,
    making,
    marks,
    preparing,
    relist,
    onEvent,
    exited: (id) => new Promise((resolve) => exits.set(id, [...(exits.get(id) ?? []), resolve])),
  };
}

function memberOfInfo(info: ContainerInfo): Member {
  return {
    id: info.Id,
    name: info.Name.replace(/^\//, ''),
    number: Number(info.Config.Labels[COMPOSE.number] ?? 0),
    configHash: info.Config.Labels[COMPOSE.configHash] ?? '',
    imageId: info.Image,
    state: info.State.Status,
    health: info.State.Health?.Status ?? 'none',
    created: Date.parse(info.Created) / 1000,
    addresses: Object.fromEntries(
      Object.entries(info.NetworkSettings.Networks).flatMap(([network, { IPAddress }]) => (IPAddress ? [[network, IPAddress]] : [])),
    ),
  };
}

/** All marks of a project, with those of containers that are gone taken away. */
export async function currentMarks(stateFolder: string, project: string, present: ReadonlySet<string>): Promise<Map<string, WorkerMark>> {
  const marks = await readWorkerMarks(stateFolder, project);
  for (const id of [...marks.keys()]) {
    if (present.has(id)) continue;
    marks.delete(id);
    await unmarkWorker(stateFolder, project, id);
  }
  return marks;
}
