import type { ContainerSummary } from '../../docker/api.ts';
import { COMPOSE } from '../../docker/labels.ts';
import { unpause } from '../../docker/thaw.ts';
import { unmarkWorker } from '../../state/workers.ts';
import { finishDraining } from '../actions/retire.ts';
import { type Crew, tierIdOf } from '../crew.ts';
import { currentMarks } from '../fleet.ts';
import { holderOf, serveAgain } from './held.ts';
import type { Post, Site } from './model.ts';

/** What an autoscaler before this one left frozen runs again; what it asked to end is known as such. */
export async function recover(site: Site, { crew }: Post, listed: ContainerSummary[]): Promise<void> {
  if (site.dryRun) return;
  const { docker, stateFolder, fleet } = site;
  const { id: tier, project, service } = crew.tier;
  const own = listed.filter(({ Labels }) => tierIdOf(Labels) === tier);
  for (const { Id, State } of own) {
    if (State !== 'paused') continue;
    await unpause(docker, Id);
    site.report({ kind: 'note', text: `${tier}: thawed ${Id.slice(0, 12)}, which was left frozen` });
  }
  const present = new Map(listed.filter(({ Labels }) => Labels[COMPOSE.project] === project).map(({ Id, State }) => [Id, State]));
  for (const [id, mark] of await currentMarks(stateFolder, project, new Set(present.keys()))) {
    if (mark.service !== service && mark.service !== '') continue;
    // One that was to end and has ended needs no signal, whoever sent the one that it had.
    const isAsked =
      mark.kind === 'draining' && (mark.signalled || present.get(id) === 'exited' || (await wasSignalled(site, id, mark.sinceMs)));
    if (isAsked) {
      fleet.marks.set(id, { ...mark, signalled: true });
    }
    // When the engine does not know either, the worker is asked for its idleness again before it is signalled.
    else await unmarkWorker(stateFolder, project, id);
  }
  if ((await holderOf(site, project)) !== undefined) return;
  await serveAgain(
    site,
    crew,
    own.map(({ Id }) => Id),
  );
}

/** Whoever left an unconfirmed mark may have died between the signal and its answer. */
async function wasSignalled({ docker }: Site, id: string, sinceMs: number): Promise<boolean> {
  const filters = { type: ['container'], event: ['kill'], container: [id] };
  return (await docker.pastEvents(filters, sinceMs, Date.now())).length > 0;
}

/** Waits for the end of what an autoscaler before this one asked to end, as if it had asked itself. */
export function goOnDraining({ fleet, hands, report }: Site, crew: Crew): void {
  for (const [id, mark] of fleet.marks) {
    if (mark.kind !== 'draining') continue;
    const member = crew.containers.get(id);
    if (!member) continue;
    const exit = member.state === 'running' || member.state === 'paused' ? fleet.exited(id) : Promise.resolve();
    const done = finishDraining(hands, crew, id, mark.then, exit)
      .catch((error: Error) => report({ kind: 'warning', text: `${crew.tier.id}: ${error.message}` }))
      .finally(() => crew.acting.delete(id));
    crew.acting.set(id, done);
  }
}
