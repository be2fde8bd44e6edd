import { EngineError } from '../../docker/api.ts';
import { formatMs } from '../../kit/duration.ts';
import { sleep } from '../../kit/wait.ts';
import { runHooks } from '../../rollout/containers.ts';
import { markWorker, unmarkWorker, type WorkerMark } from '../../state/workers.ts';
import type { Reading } from '../../triggers/model.ts';
import type { Crew } from '../crew.ts';
import { forgetAtEdge, leaveEdge, mayLeave, returnToEdge } from '../edge.ts';
import { HEARTBEAT_MS, proveIdle } from '../idle.ts';
import type { Action } from '../model.ts';
import { thaw } from './freeze.ts';
import { become, gone, type Hands, label, NotDone, refuseIfHeld, setState } from './hands.ts';

export async function retire(hands: Hands, crew: Crew, action: Extract<Action, { kind: 'retire' }>): Promise<void> {
  await refuseIfHeld(hands, crew);
  const { ended } = await askToEnd(hands, crew, action);
  await finishDraining(hands, crew, action.worker, action.then, ended);
}

/** Those that go on serving: one that starts, which counts for the policy before it answers, and not one that is about to leave as well. */
const stayingBeside = ({ workers, acting }: Crew, id: string): string[] =>
  [...workers.values()]
    .filter((other) => other.id !== id && (other.phase === 'starting' || (other.phase === 'running' && !acting.has(other.id))))
    .map((other) => other.id);

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
  if (routed && !mayLeave(await routed.edge.stats(), id, stayingBeside(crew, id)))
    throw new NotDone('not ended, because nothing else answers on its route yet');
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
  if (heartbeatMs > 0) await sleep(heartbeatMs);
  if (crew.hooks.preStop.length > 0) {
    await look();
    await runHooks(docker, await docker.inspectContainer(id), crew.hooks.preStop, 'pre_stop', hands.report);
  }
  await refuseIfHeld(hands, crew);
  const mark: WorkerMark = { kind: 'draining', service: tier.service, sinceMs: hands.now(), signalled: false, then, why };
  await markWorker(stateFolder, tier.project, id, mark);
  const exit = hands.exited(id);
  try {
    // After everything that takes time, so that the signal follows the proof with nothing between.
    await look();
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

export async function remove(hands: Hands, crew: Crew, id: string): Promise<void> {
  await refuseIfHeld(hands, crew);
  await hands.docker.removeContainer(id);
  gone(hands, crew, id, 'removed');
}
