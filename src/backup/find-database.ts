import { COMPOSE } from '../docker/labels.ts';
import { Failure } from '../kit/errors.ts';
import { runningFirst } from './discover/containers.ts';
import { DUMP_TYPES } from './dumps/list.ts';
import type { BackupWorld, DumpContext, DumpType, Store } from './model.ts';

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
