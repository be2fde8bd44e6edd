import type { Project, Service } from '../../project/model.ts';
import type { Manifest } from '../model.ts';
import { type RestorePlan, type Spot, spotName, type Unit } from './model.ts';
import { startOrder, usersOf } from './order.ts';

export interface RestoreAsked {
  id: string;
  project: Project;
  manifest: Manifest;
  provenAt?: string;
  /** This machine, as sets name theirs. */
  host?: string;
  /** All of the set, with those that were chosen. */
  units: readonly Unit[];
  chosen: readonly Unit[];
  /** Services with running containers. */
  running: readonly string[];
}

/** What replacing the chosen units means for the project. Pure. */
export function planRestore({ id, project, manifest, provenAt, host, units, chosen, running }: RestoreAsked): RestorePlan {
  const stops = stopsOf(project, chosen, running);
  return {
    project: project.name,
    id,
    set: manifest.set,
    savedAt: manifest.endedAt,
    ...(provenAt === undefined ? {} : { provenAt }),
    units: [...chosen],
    stops,
    stopSeconds: Math.ceil(Math.max(0, ...stops.map(({ service }) => project.services[service]?.stopGraceMs ?? 0)) / 1000),
    leftAlone: [
      ...units
        .filter((unit) => !chosen.includes(unit))
        .map((unit) => ({ what: unit.title, why: unit.refused === undefined ? 'not asked for' : unit.refused })),
      ...manifest.stores
        .filter(({ kind }) => kind === 'project')
        .map(() => ({ what: 'the project’s own files', why: 'they are yours: --only project --to FOLDER writes them out' })),
    ],
    warnings: [
      ...(host === undefined || host === manifest.host
        ? []
        : [`the set was saved on ${manifest.host}, and this machine is ${host}: is it the data of this ${project.name}?`]),
      ...(provenAt === undefined ? [`the set ${manifest.set} has never been restored; it is proven before anything live is touched`] : []),
      ...chosen
        .filter(({ stores }) => stores.some(({ kind }) => kind === 'mysql') && !stores.some(({ kind }) => kind === 'mysql-accounts'))
        .map(
          ({ service, title }) =>
            `${title}: accounts that the variables of ${service} do not make are not in this set; they stay in the old content, and the new one is without them`,
        ),
      ...chosen
        .filter(({ answers }) => answers === false)
        .map(({ title }) => `${title} does not answer: its raw files are saved once it stands still, and it is started afterwards`),
    ],
  };
}

/**
 * Services whose containers see the data, or talk to the server whose data it is, directly or through others. They stop before what they use. Pure.
 */
export function stopsOf(project: Project, chosen: readonly Unit[], running: readonly string[]): RestorePlan['stops'] {
  const why = new Map<string, string>();
  for (const unit of chosen) {
    for (const { live } of unit.places) {
      if (!live) continue;
      for (const service of Object.values(project.services))
        if (mounts(project, service, live) && !why.has(service.name)) why.set(service.name, `has ${spotName(live)} mounted`);
    }
  }
  const reached = new Set(chosen.filter(({ kind }) => kind === 'database').map(({ service }) => service));
  for (const name of reached) {
    for (const user of usersOf(project, name)) {
      reached.add(user);
      if (!why.has(user)) why.set(user, `uses ${name}`);
    }
  }
  const order = startOrder(
    project,
    [...why.keys()].filter((name) => running.includes(name)),
  );
  return order.reverse().map((service) => ({ service, why: why.get(service) ?? '' }));
}

function mounts({ volumes }: Project, service: Service, spot: Spot): boolean {
  return service.mounts.some(({ type, source }) => {
    if (type === 'volume') return 'volume' in spot && (volumes[source]?.name ?? source) === spot.volume;
    if (type !== 'bind' || !('folder' in spot)) return false;
    // A folder above or below shows the same files.
    return [source, spot.folder].some((one, index, both) => `${both[1 - index]}/`.startsWith(`${one}/`));
  });
}
