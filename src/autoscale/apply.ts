import { EngineError } from '../docker/api.ts';
import { freeze, thaw } from './actions/freeze.ts';
import { gone, type Hands, NotDone } from './actions/hands.ts';
import { remove, retire } from './actions/retire.ts';
import { create, start } from './actions/start.ts';
import type { Crew } from './crew.ts';
import type { Action } from './model.ts';

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
