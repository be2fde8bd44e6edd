import type { Project, Service } from '../../project/model.ts';
import { excluder, literalPattern } from '../files/exclude.ts';
import { isWithin } from '../files/mounts.ts';
import { BESIDE } from '../files/sqlite.ts';
import type { BackupPlan, PlannedStore } from '../model.ts';
import { detectDatabase } from './detect.ts';
import { isHostPath } from './host-paths.ts';
import type { Observed, ObservedFolder, ObservedMount } from './observe.ts';
import { storeId } from './store-id.ts';

type Mounted = ObservedMount & { service: Service };

/** A folder of the host with everybody who has it mounted. */
interface Shared {
  source: string;
  seen: ObservedFolder;
  mounts: Mounted[];
}

/** Volumes and bind mounts: what of them is saved as files, what as SQLite databases, and what not. Pure. */
export function planFolders(project: Project, observed: Observed): BackupPlan {
  const plan: BackupPlan = { stores: [], leftOut: [], warnings: [] };
  const raw: string[] = [];
  const saved: Shared[] = [];
  for (const shared of sharedFolders(project, observed, plan)) {
    const covered = rawDatabase(shared, observed);
    if (covered !== undefined) {
      raw.push(shared.source);
      plan.leftOut.push({ what: describe(shared), why: covered });
      continue;
    }
    const why = notData(project, shared, observed);
    if (why !== undefined) plan.leftOut.push({ what: describe(shared), why });
    else saved.push(shared);
  }
  for (const shared of saved) {
    const around = saved.find(({ source, seen }) => source !== shared.source && seen.kind === 'folder' && isWithin(shared.source, source));
    if (around) plan.leftOut.push({ what: describe(shared), why: `lies in ${around.source}, which is saved` });
    else plan.stores.push(...storesOf(shared, [...raw, ...ownPaths(project)], plan.warnings));
  }
  plan.warnings.push(...unusedPatterns(project, observed));
  return plan;
}

function sharedFolders(project: Project, observed: Observed, plan: BackupPlan): Shared[] {
  const found = new Map<string, Shared>();
  for (const service of Object.values(project.services)) {
    for (const mount of observed.services[service.name]?.mounts ?? []) {
      const { type, source, target, volume, key } = mount;
      if (type === 'volume' && key === undefined) continue;
      if (type === 'bind' && isHostPath(source)) {
        plan.leftOut.push({ what: `${source} (${service.name}:${target})`, why: 'belongs to the machine' });
        continue;
      }
      const seen = observed.folders[source];
      if (!seen) {
        const what = `volume ${volume}`;
        if (!plan.leftOut.some((one) => one.what === what)) plan.leftOut.push({ what, why: 'does not exist yet' });
        continue;
      }
      const shared = found.get(source) ?? { source, seen, mounts: [] };
      shared.mounts.push({ ...mount, service });
      found.set(source, shared);
    }
  }
  return [...found.values()];
}

function rawDatabase({ mounts }: Shared, observed: Observed): string | undefined {
  for (const { service, target } of mounts) {
    const traits = observed.services[service.name];
    const detected = traits && detectDatabase(service, traits);
    if (!traits || !detected?.type.dataPaths(traits.environment).some((path) => isWithin(target, path))) continue;
    return service.backup?.skip
      ? `raw files of ${detected.type.title}`
      : `raw files of ${detected.type.title}; its dump holds what is in them`;
  }
  return undefined;
}

function notData(project: Project, { source, seen, mounts }: Shared, observed: Observed): string | undefined {
  if (mounts.every(({ service }) => service.backup?.skip)) return 'x-backup.skip';
  if (seen.kind === 'other') return 'is a socket or a device';
  if (mounts.some(({ type }) => type === 'volume')) return undefined;
  if (seen.kind === 'file') return 'a single file: saved with the project';
  const isRead = mounts.every(({ writable }) => !writable);
  // Small ones that are only read are among the project's files, each of them.
  const files = observed.project.files.filter((file) => isWithin(file, source)).length;
  if (isRead && seen.kind === 'folder' && isWithin(source, project.folder) && files >= seen.files)
    return 'only read: saved with the project';
  const isStarted = mounts.some(({ service }) => observed.services[service.name]?.state !== 'none');
  return seen.kind === 'missing' && !isStarted ? 'does not exist yet' : undefined;
}

/** What must not be saved into itself. */
function ownPaths({ settings }: Project): string[] {
  const repository = settings.backup?.repository;
  return repository?.startsWith('/') ? [repository] : [];
}

function storesOf(shared: Shared, apart: readonly string[], warnings: string[]): PlannedStore[] {
  const { source, seen, mounts } = shared;
  const owner = ownerOf(mounts);
  const { service, target, type, volume, key } = owner;
  const name = key ?? target;
  const patterns = patternsFor(service, target);
  const isOut = excluder(patterns);
  const asFiles = service.backup?.type === 'files';
  const databases = asFiles ? [] : seen.databases.filter((file) => !isOut(file));
  const inside = apart.filter((path) => path !== source && isWithin(path, source)).map((path) => path.slice(source.length));
  if (seen.kind === 'missing') warnings.push(`${service.name}: ${source} is mounted at ${target} and does not exist; the backup will fail`);
  if (seen.unmounted !== undefined)
    warnings.push(`${service.name}: ${seen.unmounted} is in /etc/fstab and not mounted, and ${source} belongs to it; the backup will fail`);
  const common = {
    service: service.name,
    name,
    folder: source,
    ...(volume === undefined ? {} : { volume }),
    target,
    ...(seen.unmounted === undefined ? {} : { unmounted: seen.unmounted }),
    users: [...new Set(mounts.filter(({ writable }) => writable).map((mount) => mount.service.name))],
    found: { files: seen.files, bytes: seen.bytes },
  };
  const stores: PlannedStore[] = [];
  if (databases.length > 0) {
    stores.push({
      ...common,
      id: storeId(service.name, 'sqlite', name),
      kind: 'sqlite',
      why: `each as it is at one moment`,
      databases,
      exclude: [],
      consistency: 'none',
      mayBeEmpty: false,
      found: { files: databases.length, bytes: 0 },
    });
  }
  const apartFromFiles = databases.flatMap((file) => ['', ...BESIDE].map((end) => `/${literalPattern(`${file}${end}`)}`));
  stores.push({
    ...common,
    id: storeId(service.name, 'files', name),
    kind: 'files',
    why: type === 'volume' ? `volume ${volume}` : `bind mount ${source}`,
    exclude: [...patterns, ...inside.map((path) => literalPattern(path)), ...apartFromFiles],
    consistency: service.backup?.consistency ?? 'none',
    mayBeEmpty: service.backup?.empty === true || databases.length > 0 || inside.length > 0,
  });
  return stores;
}

/** Whose settings count for what several services share: the first that says something about backups, else the first that writes. */
function ownerOf(mounts: readonly Mounted[]): Mounted {
  const open = mounts.filter(({ service }) => !service.backup?.skip);
  return (open.find(({ service }) => service.backup) ?? open.find(({ writable }) => writable) ?? open[0] ?? mounts[0]) as Mounted;
}

/** The service's patterns with the mount as their root; those that begin with a slash are paths in the container. */
function patternsFor(service: Service, target: string): string[] {
  return (service.backup?.exclude ?? []).flatMap((pattern) => {
    const [not, body] = pattern.startsWith('!') ? ['!', pattern.slice(1)] : ['', pattern];
    if (!body.startsWith('/')) return [pattern];
    const root = target === '/' ? '' : target;
    return body.startsWith(`${root}/`) ? [`${not}${body.slice(root.length)}`] : [];
  });
}

function unusedPatterns(project: Project, observed: Observed): string[] {
  return Object.values(project.services).flatMap((service) => {
    const targets = (observed.services[service.name]?.mounts ?? []).map(({ target }) => target);
    return (service.backup?.exclude ?? [])
      .filter((pattern) => /^!?\//.test(pattern) && !targets.some((target) => isWithin(pattern.replace('!', ''), target)))
      .map((pattern) => `${service.name}: x-backup.exclude “${pattern}” is a path in the container below none of its mounts`);
  });
}

const describe = ({ source, mounts }: Shared): string => {
  const names = mounts.map(({ service, target }) => `${service.name}:${target}`).join(', ');
  return mounts[0]?.type === 'volume' ? `volume ${mounts[0].volume} (${names})` : `${source} (${names})`;
};
