import type { Project, Service } from '../../project/model.ts';
import { DUMP_TYPES } from '../dumps/list.ts';
import type { BackupPlan, PlannedStore } from '../model.ts';
import { detectDatabase } from './detect.ts';
import type { Observed } from './observe.ts';
import { planFolders } from './plan-folders.ts';
import { storeId } from './store-id.ts';
import { planWarnings } from './warnings.ts';

/**
 * What a backup of the project saves, leaves out, and what a person should know. Databases come before files, so that a row that names a file
 * is never newer than the file.
 */
export function planBackup(project: Project, observed: Observed): BackupPlan {
  const databases: PlannedStore[] = [];
  const leftOut: BackupPlan['leftOut'] = [];
  for (const service of Object.values(project.services)) {
    if (service.backup?.skip) {
      leftOut.push({ what: service.name, why: 'x-backup.skip' });
      continue;
    }
    databases.push(...planDatabases(service, observed));
  }
  const folders = planFolders(project, observed);
  const single = Object.values(project.services).flatMap(({ name, backup }) =>
    (backup?.skip ? [] : (observed.services[name]?.mounts ?? [])).flatMap(({ type, source }) =>
      type === 'bind' && observed.folders[source]?.kind === 'file' ? [source] : [],
    ),
  );
  const own: PlannedStore = {
    id: 'project',
    kind: 'project',
    service: '',
    name: '',
    why: 'compose and env files, resolved model, images, certificates',
    // Also those that lie in a folder which is saved: a rebuild reads env files and secrets before it brings any data.
    files: [...new Set([...observed.project.files, ...single])].sort(),
  };
  return {
    stores: [own, ...databases, ...folders.stores],
    leftOut: [...leftOut, ...folders.leftOut],
    warnings: [...planWarnings(project, observed), ...folders.warnings],
  };
}

function planDatabases(service: Service, observed: Observed): PlannedStore[] {
  const seen = observed.services[service.name];
  const detected = seen && detectDatabase(service, seen);
  if (!detected) return [];
  const { type, why } = detected;
  // Without names the store fails when it is saved, which says more than a plan without it.
  const names = seen.databases ?? [''];
  const stores = names.map(
    (name): PlannedStore => ({ id: storeId(service.name, type.kind, name), kind: type.kind, service: service.name, name, why }),
  );
  const serverWide = DUMP_TYPES.filter(({ server, kind }) => server === type.kind && !seen.closed?.includes(kind)).map(
    ({ kind }): PlannedStore => ({
      id: storeId(service.name, kind, ''),
      kind,
      service: service.name,
      name: '',
      why: 'they belong to the server and are in no database’s dump',
    }),
  );
  return [...serverWide, ...stores];
}
