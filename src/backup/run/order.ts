import type { PlannedStore } from '../model.ts';

/** What belongs to one service and is saved together, between its hooks. The project's own files have the service ''. */
export interface Batch {
  service: string;
  /** Saved while everything runs: dumps and copies that are of one moment by themselves, and files that nobody is held for. */
  free: PlannedStore[];
  /** Saved while these services' containers stand still. */
  held: { consistency: 'pause' | 'stop'; users: string[]; stores: PlannedStore[] }[];
}

const isDump = ({ kind }: PlannedStore): boolean => kind !== 'files' && kind !== 'sqlite' && kind !== 'project';

/**
 * The order in which stores are saved: databases first and files after them, so that a file that a row names is there; the project's own
 * files last. All volumes of a service that are to be of one moment are saved within one standstill. Pure.
 */
export function inOrder(stores: readonly PlannedStore[]): Batch[] {
  const services = [...new Set(stores.map(({ service }) => service))];
  const rank = (service: string): number =>
    service === '' ? 2 : stores.some((store) => store.service === service && isDump(store)) ? 0 : 1;
  return services
    .sort((a, b) => rank(a) - rank(b))
    .map((service) => {
      const own = stores.filter((store) => store.service === service);
      // A paused container may hold a lock on its SQLite file; the copy through SQLite itself needs no standstill.
      const standstill = (store: PlannedStore): 'none' | 'pause' | 'stop' => (store.kind === 'files' ? store.consistency : 'none');
      return {
        service,
        free: own.filter((store) => standstill(store) === 'none').sort((a, b) => Number(isDump(b)) - Number(isDump(a))),
        held: (['pause', 'stop'] as const).flatMap((consistency) => {
          const still = own.filter((store) => standstill(store) === consistency);
          const users = [...new Set(still.flatMap((store) => ('users' in store ? store.users : [])))].sort();
          return still.length === 0 ? [] : [{ consistency, users, stores: still }];
        }),
      };
    });
}
