import { COMPOSE } from '../docker/labels.ts';
import { Failure } from '../kit/errors.ts';
import { runningFirst } from './discover/containers.ts';
import { DUMP_TYPES } from './dumps/list.ts';
import { type SaveOptions, saveFiles } from './files/save-files.ts';
import type { BackupWorld, DumpContext, DumpType, PlannedStore, SavedStore, Store } from './model.ts';
import type { Restic } from './restic/program.ts';
import { saveDump } from './save-dump.ts';

/**
 * Saves one store of a plan as a snapshot of its own. `tags` are all of the snapshot's; `scratch` is a folder for what is needed only meanwhile, of which
 * nothing is left; `previous` is the store in the last complete set, with which a disk that is no longer mounted is noticed.
 * Throws BACKUP_FAILED, DISK_FULL, REPOSITORY_*; there is no snapshot then.
 */
export async function saveStore(
  world: BackupWorld,
  restic: Restic,
  store: PlannedStore,
  options: Omit<SaveOptions, 'signal'>,
): Promise<SavedStore> {
  const startedAt = new Date().toISOString();
  const { id, kind, service, name } = store;
  const own: Store = { id, kind, service, name };
  if (store.kind === 'files') {
    const saved = await saveFiles(restic, store, { ...options, signal: world.signal });
    return { ...own, startedAt, ...saved, endedAt: new Date().toISOString() };
  }
  const { type, context } = await findDatabase(world, own);
  return saveDump(restic, type, own, context, options);
}

/** The program that dumps a store, and the container that it runs in. Throws BACKUP_FAILED where none runs, or the server does not answer. */
export async function findDatabase(world: BackupWorld, store: Store): Promise<{ type: DumpType; context: DumpContext }> {
  const { project, docker, report } = world;
  const type = DUMP_TYPES.find(({ kind }) => kind === store.kind);
  if (!type) throw new Error(`no dump type ${store.kind}`);
  const all = await docker.listContainers([
    `${COMPOSE.project}=${project.name}`,
    `${COMPOSE.service}=${store.service}`,
    `${COMPOSE.oneoff}=False`,
  ]);
  const chosen = runningFirst(all)[0];
  if (chosen?.State !== 'running') {
    throw new Failure('BACKUP_FAILED', `${store.id}: ${store.service} has no running container, so its ${type.title} cannot be dumped`, {
      where: `service ${store.service}`,
      next: `start it: docker compose up -d ${store.service}; or leave it out: x-backup: {skip: true}`,
    });
  }
  const context = { docker, container: await docker.inspectContainer(chosen.Id), service: store.service, report };
  if (store.name === '' && !(await type.list(context)).includes('')) {
    throw new Failure('BACKUP_FAILED', `${store.id}: the databases of ${store.service} could not be listed when the backup was planned`, {
      where: `service ${store.service}`,
      next: 'the server may just have started: run the backup again',
    });
  }
  return { type, context: { ...context, name: store.name } };
}
