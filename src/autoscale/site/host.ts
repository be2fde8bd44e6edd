import type { ContainerSummary } from '../../docker/api.ts';
import { hostBudget } from '../budget.ts';
import { tierIdOf } from '../crew.ts';
import { memoryPressure, observeHost } from '../host.ts';
import type { HostBudget } from '../model.ts';
import type { ScaledProject } from '../projects.ts';
import { tell } from './deciding.ts';
import type { Site } from './model.ts';
import { warnOf } from './say.ts';
import { tellTier } from './tier.ts';

/** What the host has room for beside its always-on containers; every tier's maximum may follow from it. `scaled`: "<project>/<service>". */
export async function lookAtHost(
  site: Site,
  listed: ContainerSummary[],
  scaled: ReadonlySet<string>,
  projects: readonly ScaledProject[],
): Promise<void> {
  const isScaled = ({ Labels }: ContainerSummary): boolean => scaled.has(tierIdOf(Labels) ?? '');
  const facts = site.host ?? (await observeHost(site.docker, site.machine, listed, isScaled, site.watched, reservations(projects)));
  const { budget, warnings } = hostBudget(facts);
  warnOf(site, 'host', warnings);
  site.budget = budget;
  if (JSON.stringify(budget) === site.toldBudget) return;
  tellBudget(site, budget);
  for (const post of site.posts.values()) tellTier(site, post);
}

/** Memory pressure tells nobody by itself. */
export async function lookAtPressure(site: Site): Promise<void> {
  const pressure = await memoryPressure();
  if (!site.budget || site.budget.pressure === pressure) return;
  // The words change with every look; that there is pressure at all is what matters.
  if (site.budget.pressure !== undefined && pressure !== undefined) return;
  const { pressure: _before, ...rest } = site.budget;
  site.budget = { ...rest, ...(pressure === undefined ? {} : { pressure }) };
  tellBudget(site, site.budget);
}

function tellBudget(site: Site, budget: HostBudget): void {
  site.toldBudget = JSON.stringify(budget);
  tell(site, { kind: 'host', budget: { ...budget } });
}

/** Cores that the files promise to a container of each service, by "<project>/<service>". */
const reservations = (projects: readonly ScaledProject[]): Map<string, number> =>
  new Map(
    projects.flatMap(({ name, services }) =>
      Object.values(services).flatMap((service): [string, number][] =>
        service.reservedCpus === undefined ? [] : [[`${name}/${service.name}`, service.reservedCpus]],
      ),
    ),
  );
