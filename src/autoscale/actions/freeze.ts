import { unpause } from '../../docker/thaw.ts';
import { markWorker, unmarkWorker, type WorkerMark } from '../../state/workers.ts';
import type { Crew } from '../crew.ts';
import { become, gone, type Hands, refuseIfHeld, setState } from './hands.ts';

/** Thawing is allowed at all times: it never harms, and a project that is held must not have a frozen container. */
export async function thaw(hands: Hands, crew: Crew, id: string): Promise<void> {
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

/**
 * The mark comes first and the lock is looked at after it, and again after the pause: a command that takes the lock and then looks for marks
 * either finds this one, or this finds the lock.
 */
export async function freeze(hands: Hands, crew: Crew, id: string): Promise<void> {
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
