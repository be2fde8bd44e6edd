import { lockPath, readUnfinished } from '../../rollout/journal.ts';
import { readLock } from '../../state/lock.ts';
import type { Crew } from '../crew.ts';
import { returnToEdge } from '../edge.ts';
import { tell } from './deciding.ts';
import type { Site } from './model.ts';

export const BY_HAND = 'another command, which ends or removes its containers';

/** Whoever works on the project's containers now, and may not be disturbed; undefined: nobody. */
export async function holderOf({ stateFolder, foreign }: Site, project: string): Promise<string | undefined> {
  const holder = await readLock(lockPath(stateFolder, project));
  if (holder) return `${holder.purpose} (pid ${holder.pid})`;
  if (await readUnfinished(stateFolder, project)) return 'a release that was broken off: composure recover ends it';
  return foreign.has(project) ? BY_HAND : undefined;
}

/** True: it is held, and decide() knows by whom. */
export async function noteHeld(site: Site, project: string): Promise<boolean> {
  const by = await holderOf(site, project);
  if (by === undefined) return false;
  if (by !== site.held.get(project)) hold(site, project, by);
  return true;
}

export function hold(site: Site, project: string, by: string): void {
  site.held.set(project, by);
  tell(site, { kind: 'held', project, by });
}

/** Only after its containers were looked at anew: a release has changed them. */
export async function noteFree(site: Site, project: string): Promise<void> {
  if (!site.held.has(project) || (await holderOf(site, project)) !== undefined) return;
  site.held.delete(project);
  for (const crew of site.crews.values()) if (crew.tier.project === project) await serveAgain(site, crew, crew.workers.keys());
  tell(site, { kind: 'held', project });
}

/** What was being taken out of its route and has not been asked to end has its requests again. */
export async function serveAgain({ fleet, hands }: Site, crew: Crew, ids: Iterable<string>): Promise<void> {
  for (const id of ids) {
    const routed = fleet.marks.has(id) || crew.acting.has(id) ? undefined : hands.routed(crew, id);
    if (routed) await returnToEdge(routed);
  }
}
