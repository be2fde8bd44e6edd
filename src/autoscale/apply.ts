import { type Docker, EngineError } from '../docker/api.ts';
import { unpause } from '../docker/thaw.ts';
import { formatMs } from '../kit/duration.ts';
import type { Report } from '../kit/events.ts';
import { sleep } from '../kit/wait.ts';
import { runHooks } from '../rollout/containers.ts';
import { markWorker, unmarkWorker, type WorkerMark } from '../state/workers.ts';
import type { Reading } from '../triggers/model.ts';
import { type Crew, freeNumber, type Member, noteReady, type Tell } from './crew.ts';
import { forgetAtEdge, leaveEdge, type Routed, returnToEdge } from './edge.ts';
import { HEARTBEAT_MS, proveIdle } from './idle.ts';
import type { Action, Worker } from './model.ts';
import { createSpec, nameOf, type Template } from './template.ts';

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
class NotDone extends Error {}

const NAME_TRIES = 5;

/**
 * Carries an action out, after whatever is being done to the same container. Nothing lies between the call and the engine unless it has to
 * wait. Ends when the action's answer has been told; never fails.
 */
export function apply(hands: Hands, crew: Crew, action: Action): Promise<void> {
  const before = crew.acting.get(action.worker);
  const step = (): Promise<void> => attempt(hands, crew, action);
  const done: Promise<void> = (before === undefined ? step() : before.then(step)).finally(() => {
    if (crew.acting.get(action.worker) === done) crew.acting.delete(action.worker);
  });
  crew.acting.set(action.worker, done);
  return done;
}

async function attempt(hands: Hands, crew: Crew, action: Action): Promise<void> {
  try {
    await carryOut(hands, crew, action);
  } catch (error) {
    const message = (error as Error).message;
    if (error instanceof EngineError && error.status === 404 && action.kind !== 'create') {
      gone(hands, crew, action.worker, 'somebody else has removed it');
      return;
    }
    if (!(error instanceof NotDone)) hands.report({ kind: 'warning', text: `${crew.tier.id}: ${action.kind} failed: ${message}` });
    hands.tell({ kind: 'action-failed', tier: crew.tier.id, worker: action.worker, action: action.kind, message });
  }
}

function carryOut(hands: Hands, crew: Crew, action: Action): Promise<void> {
  switch (action.kind) {
    case 'thaw':
      return thaw(hands, crew, action.worker);
    case 'start':
      return start(hands, crew, action.worker);
    case 'create':
      return create(hands, crew, action.worker, action.number);
    case 'freeze':
      return freeze(hands, crew, action.worker);
    case 'retire':
      return retire(hands, crew, action);
    case 'remove':
      return remove(hands, crew, action.worker);
  }
}

const label = (crew: Crew, id: string): string => crew.containers.get(id)?.name ?? `${crew.tier.id} ${id.slice(0, 12)}`;

function become(hands: Hands, crew: Crew, id: string, change: Partial<Worker>, replaces?: string): void {
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

function setState(crew: Crew, id: string, state: Member['state']): void {
  const member = crew.containers.get(id);
  if (member) member.state = state;
}

/** Thawing is allowed at all times: it never harms, and a project that is held must not have a frozen container. */
async function thaw(hands: Hands, crew: Crew, id: string): Promise<void> {
  const answer = await unpause(hands.docker, id);
  if (answer === 'gone') return gone(hands, crew, id, 'somebody else has removed it');
  if (answer === 'thawed') {
    setState(crew, id, 'running');
    become(hands, crew, id, { phase: 'running' });
  }
  hands.marks.delete(id);
  await unmarkWorker(hands.stateFolder, crew.tier.project, id);
  if (answer === 'not paused') await hands.relist(crew);
}

async function start(hands: Hands, crew: Crew, id: string): Promise<void> {
  await refuseIfHeld(hands, crew);
  await startNow(hands, crew, id);
}

async function startNow(hands: Hands, crew: Crew, id: string, replaces?: string): Promise<void> {
  const files = crew.template?.files;
  if (files !== undefined && crew.containers.get(id)?.state === 'created')
    await hands.docker.putArchive(id, '/', Buffer.from(files, 'base64'));
  const deaths = hands.deaths.get(id) ?? 0;
  crew.booting.set(id, hands.now());
  await hands.docker.startContainer(id);
  if ((hands.deaths.get(id) ?? 0) !== deaths) {
    become(hands, crew, id, { phase: 'stopped' }, replaces);
    return;
  }
  setState(crew, id, 'running');
  const tells = crew.template?.hasHealthcheck === true;
  // With a framework its source names the worker once it is ready; without either, running is all there is to know.
  if (!tells && crew.tier.framework === undefined) noteReady(crew, id, hands.now());
  become(hands, crew, id, { phase: tells ? 'starting' : 'running' }, replaces);
  if (crew.hooks.postStart.length > 0) {
    await runHooks(hands.docker, await hands.docker.inspectContainer(id), crew.hooks.postStart, 'post_start', hands.report);
  }
}

async function create(hands: Hands, crew: Crew, placeholder: string, wanted: number): Promise<void> {
  await refuseIfHeld(hands, crew);
  const template = crew.template ?? (await hands.prepareTemplate(crew));
  for (let tries = 1; ; tries++) {
    const reserved = new Set([...hands.making].filter((name) => name.startsWith(template.prefix)).map((name) => numberIn(name, template)));
    const number = freeNumber(crew, reserved, wanted);
    const name = nameOf(template, number);
    hands.making.add(name);
    try {
      const { Id } = await hands.docker.createContainer(name, createSpec(template, number, template.useImage));
      crew.containers.set(Id, {
        id: Id,
        name,
        number,
        configHash: template.configHash,
        imageId: template.imageId,
        state: 'created',
        health: 'none',
        created: hands.now() / 1000,
        addresses: {},
      });
      // From here on it has two names.
      const acting = crew.acting.get(placeholder);
      if (acting !== undefined) crew.acting.set(Id, acting);
      try {
        await startNow(hands, crew, Id, placeholder);
      } catch (error) {
        // It has never run: nothing is lost with it.
        await hands.docker.removeContainer(Id).catch(() => {});
        crew.containers.delete(Id);
        crew.workers.delete(Id);
        throw error;
      } finally {
        crew.acting.delete(Id);
      }
      return;
    } catch (error) {
      if (!(error instanceof EngineError && error.status === 409 && /name .* in use/i.test(error.message)) || tries >= NAME_TRIES)
        throw error;
      await hands.relist(crew);
      // A name that no container of the service has is some stranger's, or one that is just being removed.
      if (freeNumber(crew, reserved, number) === number) wanted = number + 1;
    } finally {
      hands.making.delete(name);
    }
  }
}

const numberIn = (name: string, template: Template): number => Number(name.slice(template.prefix.length));

/**
 * The mark comes first and the lock is looked at after it, and again after the pause: a command that takes the lock and then looks for marks
 * either finds this one, or this finds the lock.
 */
async function freeze(hands: Hands, crew: Crew, id: string): Promise<void> {
  const { project, service } = crew.tier;
  const mark: WorkerMark = { kind: 'frozen', service, sinceMs: hands.now() };
  hands.marks.set(id, mark);
  await markWorker(hands.stateFolder, project, id, mark);
  try {
    await refuseIfHeld(hands, crew);
    await hands.docker.pauseContainer(id);
    setState(crew, id, 'paused');
    await refuseIfHeld(hands, crew);
  } catch (error) {
    if (crew.containers.get(id)?.state === 'paused') await unpause(hands.docker, id);
    setState(crew, id, 'running');
    hands.marks.delete(id);
    await unmarkWorker(hands.stateFolder, project, id);
    throw error;
  }
  become(hands, crew, id, { phase: 'frozen' });
}

async function retire(hands: Hands, crew: Crew, action: Extract<Action, { kind: 'retire' }>): Promise<void> {
  await refuseIfHeld(hands, crew);
  const { ended } = await askToEnd(hands, crew, action);
  await finishDraining(hands, crew, action.worker, action.then, ended);
}

/** Answers, once it was asked, with what resolves at its end. */
async function askToEnd(
  hands: Hands,
  crew: Crew,
  { worker: id, then, why }: Extract<Action, { kind: 'retire' }>,
): Promise<{ ended: Promise<void> }> {
  const { docker } = hands;
  const { tier } = crew;
  if (crew.containers.get(id)?.state === 'paused') await thaw(hands, crew, id);
  const read = (): Promise<Reading[]> => hands.read(crew);
  const options = hands.quietMs === undefined ? {} : { quietMs: hands.quietMs };
  const look = async (): Promise<void> => {
    const worker = crew.workers.get(id);
    if (!worker || worker.phase === 'stopped') throw new NotDone('it ended by itself');
    const evidence = await proveIdle(docker, tier, worker, read, options);
    if (evidence.idle !== true) throw new NotDone(`not ended, because ${evidence.why}`);
  };
  await look();
  const routed = hands.routed(crew, id);
  try {
    if (routed) await leaveEdge(routed, hands.signal);
    return await signalIdle(hands, crew, { id, then, why, look });
  } catch (error) {
    // A release that has come meanwhile says itself what serves.
    if (routed && (await hands.holder(crew.tier.project)) === undefined) await returnToEdge(routed);
    throw error;
  }
}

/** Asks once more whether it is idle, as late as can be, and sends the one signal. */
async function signalIdle(
  hands: Hands,
  crew: Crew,
  { id, then, why, look }: { id: string; then: 'keep' | 'remove'; why: string; look: () => Promise<void> },
): Promise<{ ended: Promise<void> }> {
  const { docker, stateFolder } = hands;
  const { tier } = crew;
  if (hands.routed(crew, id)) await look();
  await quiesce(hands, crew, id);
  const heartbeatMs = tier.framework ? HEARTBEAT_MS[tier.framework] : 0;
  if (heartbeatMs > 0) {
    await sleep(heartbeatMs);
    await look();
  }
  if (crew.hooks.preStop.length > 0) {
    await runHooks(docker, await docker.inspectContainer(id), crew.hooks.preStop, 'pre_stop', hands.report);
    await look();
  }
  await refuseIfHeld(hands, crew);
  const mark: WorkerMark = { kind: 'draining', service: tier.service, sinceMs: hands.now(), signalled: false, then, why };
  await markWorker(stateFolder, tier.project, id, mark);
  const exit = hands.exited(id);
  try {
    await docker.killContainer(id, crew.template?.stopSignal ?? 'SIGTERM');
  } catch (error) {
    await unmarkWorker(stateFolder, tier.project, id);
    // It ended in the meantime, which was the purpose.
    if (error instanceof EngineError && /not running/i.test(error.message)) throw new NotDone('it ended by itself');
    throw error;
  }
  const signalled: WorkerMark = { ...mark, signalled: true };
  hands.marks.set(id, signalled);
  if (crew.containers.get(id)?.state === 'running') become(hands, crew, id, { phase: 'draining' });
  await markWorker(stateFolder, tier.project, id, signalled);
  return { ended: exit };
}

/** Sidekiq takes no new job after TSTP; the others take none after their stop signal, which comes next. */
async function quiesce(hands: Hands, crew: Crew, id: string): Promise<void> {
  if (crew.tier.framework === 'sidekiq') await hands.docker.killContainer(id, 'SIGTSTP');
}

/** Waits as long as it takes: a worker that finishes a job for an hour, or that ignores the signal, is waited for and shown as draining. */
export async function finishDraining(
  hands: Hands,
  crew: Crew,
  id: string,
  then: 'keep' | 'remove',
  exit: Promise<void> = hands.exited(id),
): Promise<void> {
  const began = hands.now();
  await exit;
  const { docker, stateFolder, report } = hands;
  const routed = hands.routed(crew, id);
  if (routed) await forgetAtEdge(routed);
  const name = label(crew, id);
  if (then === 'remove') {
    await docker.removeContainer(id);
    gone(hands, crew, id, 'retired');
  } else {
    // `always` would start it again when the engine restarts; `unless-stopped` differs in nothing else.
    if (crew.template?.restartPolicy === 'always') await docker.setRestartPolicy(id, 'unless-stopped');
    setState(crew, id, 'exited');
    become(hands, crew, id, { phase: 'stopped' });
  }
  hands.marks.delete(id);
  await unmarkWorker(stateFolder, crew.tier.project, id);
  report({
    kind: 'note',
    text: `${crew.tier.id}: ${name} ended after ${formatMs(hands.now() - began)}${then === 'keep' ? ' and is kept' : ''}`,
  });
}

async function remove(hands: Hands, crew: Crew, id: string): Promise<void> {
  await refuseIfHeld(hands, crew);
  await hands.docker.removeContainer(id);
  gone(hands, crew, id, 'removed');
}

/** Costs no turn of the event loop while there is no lock file. */
function refuseIfHeld(hands: Hands, crew: Crew): Promise<void> {
  const asked = hands.holder(crew.tier.project);
  if (asked === undefined) return Promise.resolve();
  return asked.then((holder) => {
    if (holder !== undefined) throw new NotDone(`the project is held by ${holder}`);
  });
}
