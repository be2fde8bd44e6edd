import type { PlannedStore } from '../model.ts';
import { isMade } from '../save-made.ts';

/** What is saved while everything runs. */
export interface FreeBatch {
  /** Each group by one call of restic: dumps by themselves, and together what is made first. */
  groups: PlannedStore[][];
  /** Read once it is settled what every one of the groups will hold. */
  files: PlannedStore[];
}

/** What is saved together. */
export interface Batch extends FreeBatch {
  /** Whose hooks run before and after it; undefined: nobody's. */
  service: string | undefined;
  /** Saved while these services' containers stand still. */
  held: { consistency: 'pause' | 'stop'; users: string[]; stores: PlannedStore[] }[];
}

const isRead = ({ kind }: PlannedStore): boolean => kind === 'files';

/** A paused container may hold a lock on its SQLite file; the copy through SQLite itself needs no standstill. */
const standstill = (store: PlannedStore): 'none' | 'pause' | 'stop' => (store.kind === 'files' ? store.consistency : 'none');

const disturbs = (store: PlannedStore, hooked: ReadonlySet<string>): boolean => standstill(store) !== 'none' || hooked.has(store.service);

/** Whether anybody's containers stand still for these stores or run a hook (`hooked` names the services that have some). Pure. */
export const disturbsSomebody = (stores: readonly PlannedStore[], hooked: ReadonlySet<string>): boolean =>
  stores.some((store) => disturbs(store, hooked));

/**
 * The order in which stores are saved: databases first and files after them, so that a file that a row names is there. What disturbs nobody is
 * pooled. All volumes of a service that are to be of one moment are saved within one standstill. `last` disturbs nobody, and may be empty. Pure.
 */
export function inOrder(stores: readonly PlannedStore[], hooked: ReadonlySet<string>): { first: Batch[]; last: FreeBatch } {
  const pooled = stores.filter((store) => !disturbs(store, hooked));
  const others = stores.filter((store) => disturbs(store, hooked));
  const rank = (service: string): number => (others.some((store) => store.service === service && !isRead(store)) ? 0 : 1);
  const services = [...new Set(others.map(({ service }) => service))].sort((a, b) => rank(a) - rank(b));
  const groups = groupsOf(pooled);
  const files = pooled.filter(isRead);
  if (services.length === 0) return { first: [], last: { groups, files } };
  const dumps = groups.length === 0 ? [] : [{ service: undefined, groups, files: [], held: [] }];
  return { first: [...dumps, ...services.map((service) => batchOf(service, others))], last: { groups: [], files } };
}

function groupsOf(stores: readonly PlannedStore[]): PlannedStore[][] {
  const made = stores.filter(isMade);
  const dumps = stores.filter((store) => !isRead(store) && !isMade(store)).map((store) => [store]);
  return made.length > 0 ? [...dumps, made] : dumps;
}

function batchOf(service: string, stores: readonly PlannedStore[]): Batch {
  const own = stores.filter((store) => store.service === service);
  const free = own.filter((store) => standstill(store) === 'none');
  return {
    service,
    groups: groupsOf(free),
    files: free.filter(isRead),
    held: (['pause', 'stop'] as const).flatMap((consistency) => {
      const still = own.filter((store) => standstill(store) === consistency);
      const users = [...new Set(still.flatMap((store) => ('users' in store ? store.users : [])))].sort();
      return still.length === 0 ? [] : [{ consistency, users, stores: still }];
    }),
  };
}
