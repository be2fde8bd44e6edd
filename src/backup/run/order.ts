import type { PlannedStore } from '../model.ts';

/** What is saved together. */
export interface Batch {
  /** Whose hooks run before and after it; undefined: nobody's. */
  service: string | undefined;
  /** Copies that are of one moment by themselves, saved while everything runs. */
  databases: PlannedStore[];
  /** Read while everything runs, once it is settled what every one of the databases will hold. */
  files: PlannedStore[];
  /** Saved while these services' containers stand still. */
  held: { consistency: 'pause' | 'stop'; users: string[]; stores: PlannedStore[] }[];
}

const isDatabase = ({ kind }: PlannedStore): boolean => kind !== 'files' && kind !== 'project';

/** A paused container may hold a lock on its SQLite file; the copy through SQLite itself needs no standstill. */
const standstill = (store: PlannedStore): 'none' | 'pause' | 'stop' => (store.kind === 'files' ? store.consistency : 'none');

/**
 * The order in which stores are saved: databases first and files after them, so that a file that a row names is there. What needs neither hooks
 * (`hooked` names the services that have some) nor a standstill is pooled. All volumes of a service that are to be of one moment are saved within
 * one standstill. Pure.
 */
export function inOrder(stores: readonly PlannedStore[], hooked: ReadonlySet<string>): Batch[] {
  const isPooled = (store: PlannedStore): boolean => standstill(store) === 'none' && !hooked.has(store.service);
  const pooled = stores.filter(isPooled);
  const others = stores.filter((store) => !isPooled(store));
  const rank = (service: string): number => (others.some((store) => store.service === service && isDatabase(store)) ? 0 : 1);
  const services = [...new Set(others.map(({ service }) => service))].sort((a, b) => rank(a) - rank(b));
  const nobody = { service: undefined, databases: [], files: [], held: [] };
  const databases = pooled.filter(isDatabase);
  const files = pooled.filter((store) => !isDatabase(store));
  const batches =
    services.length === 0
      ? [{ ...nobody, databases, files }]
      : [{ ...nobody, databases }, ...services.map((service) => batchOf(service, others)), { ...nobody, files }];
  return batches.filter((batch) => batch.service !== undefined || batch.databases.length + batch.files.length > 0);
}

function batchOf(service: string, stores: readonly PlannedStore[]): Batch {
  const own = stores.filter((store) => store.service === service);
  const free = own.filter((store) => standstill(store) === 'none');
  return {
    service,
    databases: free.filter(isDatabase),
    files: free.filter((store) => !isDatabase(store)),
    held: (['pause', 'stop'] as const).flatMap((consistency) => {
      const still = own.filter((store) => standstill(store) === consistency);
      const users = [...new Set(still.flatMap((store) => ('users' in store ? store.users : [])))].sort();
      return still.length === 0 ? [] : [{ consistency, users, stores: still }];
    }),
  };
}
