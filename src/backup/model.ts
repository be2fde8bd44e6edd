import type { ContainerInfo, Docker } from '../docker/api.ts';
import type { Report } from '../kit/events.ts';
import type { Project } from '../project/model.ts';

/**
 * What the parts of a backup tell each other. Words are restic's: repository, snapshot, forget, keep-*, prune, check. Times are ISO 8601 in
 * UTC, sizes bytes.
 */

/** The kinds of what is saved; each but `project` and `manifest` has a file in dumps/. */
export type StoreKind =
  | 'project'
  | 'postgres'
  | 'postgres-roles'
  | 'mysql'
  | 'mysql-accounts'
  | 'mongodb'
  | 'redis'
  | 'sqlite'
  | 'files'
  | 'manifest';

/** One thing that is saved as one snapshot. */
export interface Store {
  /** "<service>/<kind>[/<name>]"; "project" and "manifest" have no service. It is the snapshot's tag `store=<id>`. */
  id: string;
  kind: Exclude<StoreKind, 'manifest'>;
  /** Empty for the project itself. */
  service: string;
  /** Database, volume, or path in the container, by kind; empty where a service has one such store. */
  name: string;
}

/** What was counted when the store was saved, for a restore to be compared with. */
export type Facts =
  | { kind: 'tables'; tables: TableFact[] }
  /** Of a server: PostgreSQL's roles, MySQL's accounts. */
  | { kind: 'roles' | 'accounts'; names: string[] }
  /** `expiring`: keys with a time to live; they may be gone when the dump is loaded. */
  | { kind: 'keys'; keys: number; expiring: number }
  | { kind: 'collections'; collections: { name: string; documents: number; documentsAtMost?: number }[] }
  | FileFacts;

export interface TableFact {
  /** "schema.table", or "table" where there are no schemas. */
  name: string;
  rows: number;
  /** Rows when the dump had ended, where the count is not of the dump's own moment and others wrote meanwhile: a restore has between both. */
  rowsAfter?: number;
  /** The newest value of the column that says when a row was written, as the database prints it. */
  newest?: { column: string; value: string };
}

export interface FileFacts {
  kind: 'files';
  /** Regular files. */
  files: number;
  folders: number;
  /** Sum of the regular files' sizes. */
  bytes: number;
  /** Digest of every entry's path, kind, mode, owner, size and time: see files/facts.ts. What is in the files restic proves by itself. */
  listing: string;
  /** Where the file system began that a bind mount was read from: a disk that is no longer mounted shows here. */
  mountPoint?: string;
}

/** A finished store of a set. */
export interface SavedStore extends Store {
  /** The program that made the dump, with its version: "pg_dump (PostgreSQL) 18.0". */
  tool: string;
  /** Stores that are made for the backup share one: see save-made.ts. */
  snapshot: string;
  /** The one file in the snapshot for a dump, the folder for files: `restic restore <snapshot>:<path>`. */
  path: string;
  bytes: number;
  /** Bytes that the repository grew by. Of a shared snapshot it stands at the largest of its stores, and at the others 0. */
  added: number;
  startedAt: string;
  endedAt: string;
  /** The moment that the content is of: nothing written after it is in there. What a restore loses counts from here (RPO). */
  contentAt: string;
  facts?: Facts;
  /**
   * files, sqlite: what it was read from, for a restore to find the place again. The snapshot's root is the folder's content and says nothing of
   * the folder itself: whose it is and its mode (the lowest 12 bits) stand here. `volume` as in PlannedStore.
   */
  origin?: { volume?: string; folder: string; target: string; uid: number; gid: number; mode: number };
  /** Files that the application removed while they were read. */
  vanished?: string[];
}

/** The last snapshot of a set, tag `store=manifest`: a set without one does not count. */
export interface Manifest {
  version: 1;
  project: string;
  set: string;
  startedAt: string;
  endedAt: string;
  composure: string;
  /** Of Composure's own releases; undefined when the project was never deployed by it. */
  release?: number;
  host: string;
  images: Record<string, { reference: string; id: string; digest?: string }>;
  /** SHA-256 of Compose's resolved model. */
  composeHash: string;
  /** The services that alone were asked for (`backup run --only`): the set does not hold the whole project. */
  only?: string[];
  stores: SavedStore[];
}

/** A set as the repository knows it. */
export interface BackupSet {
  project: string;
  set: string;
  /** When its manifest (or, without one, its first snapshot) was saved. */
  at: string;
  /** False: it has no manifest, because the run failed, was killed, or is still at work. */
  complete: boolean;
  /** The services that alone were asked for: such a set is complete as far as it goes, and no drill, rebuild or retention rule takes it for one of the whole project. */
  only?: string[];
  /** Made to be able to take a restore back: of data that was about to be replaced. */
  safety: boolean;
  host: string;
  /** Id of the manifest's snapshot. */
  manifest?: string;
  snapshots: { id: string; stores: string[]; at: string }[];
}

/** What a dump works with. */
export interface DumpContext {
  docker: Docker;
  container: ContainerInfo;
  service: string;
  /** Name in the store's id: a database, or nothing. */
  name: string;
  report: Report;
}

/** One dump under way: `stream` is the backup. */
export interface RunningDump {
  stream: AsyncIterable<Uint8Array>;
  /** Resolves when the program in the container ended; its exit code and last words. */
  ended: Promise<{ code: number; stderr: string }>;
  /** Asked after a dump that ended well: what was counted at the dump's own moment where the database can do that. */
  facts(): Promise<Facts>;
  tool: string;
  contentAt: string;
  /** What the stream will hold is settled already: whatever is written from now on is not in it. Otherwise that is so at its end. */
  isSettled?: boolean;
  /** Ends what the dump needs besides its stream: a session, a temporary file. Safe to call at any time, more than once. */
  close(): Promise<void>;
}

/** Reads along while a dump streams by, and says at its end why it is not whole. */
export interface WholeCheck {
  write(chunk: Uint8Array): void;
  /** Undefined: whole. */
  end(): string | undefined;
}

/** A kind of database: one file in dumps/, one line in dumps/list.ts, proved by dumps/contract.ts. */
export interface DumpType {
  kind: Exclude<StoreKind, 'project' | 'files' | 'manifest' | 'sqlite'>;
  /** The kind whose servers this is a part of that belongs to none of their databases: it is saved and restored with them. */
  server?: DumpType['kind'];
  /** What people call it. */
  title: string;
  /** Image names without registry and tag, by their last part or last two. */
  images: readonly string[];
  /** Folders in the container that hold the raw database: they are left out of the files. */
  dataPaths(environment: Record<string, string>): string[];
  /** Extension of the file in the snapshot, with its dot. */
  extension: string;
  /** Names of what is to be dumped one by one: databases. [''] where one dump takes all, [] where the login may not read it. */
  list(context: Omit<DumpContext, 'name'>): Promise<string[]>;
  /** Accepts connections. */
  ready(context: Omit<DumpContext, 'name'>): Promise<boolean>;
  dump(context: DumpContext): Promise<RunningDump>;
  check(): WholeCheck;
  /** What is there now, in the form that the dump's own facts have. */
  count(context: DumpContext): Promise<Facts>;
  /** Loads a dump into the container's server, which is fresh: of the same image and not used by anybody. Throws Failure RESTORE_FAILED. */
  load(context: DumpContext, input: AsyncIterable<Uint8Array>): Promise<void>;
}

/** A store that is to be saved, with where it is read from. */
export type PlannedStore = Store & { why: string } & (
    | {
        kind: 'project';
        /** The project's own files, absolute: compose and env files, file of secrets, build contexts, files that are mounted one by one or only read. */
        files: string[];
      }
    | { kind: Exclude<StoreKind, 'project' | 'manifest' | 'files' | 'sqlite'> }
    | {
        kind: 'files' | 'sqlite';
        /** Folder on this host: a volume's mount point, or a bind's source. */
        folder: string;
        /** Name of the volume; undefined for a bind mount. */
        volume?: string;
        /** Where the service's containers see it. */
        target: string;
        /** sqlite: the databases' paths within `folder`. One snapshot has them all, where they lie in the folder. */
        databases?: string[];
        /** restic's patterns, with `folder` as the root: see files/exclude.ts. What a database's own dump covers is among them. */
        exclude: string[];
        /** The file system that /etc/fstab wants in or above the folder and that is not mounted. */
        unmounted?: string;
        consistency: 'none' | 'pause' | 'stop';
        /** Services whose containers have it mounted for writing: those that are paused or stopped. */
        users: string[];
        mayBeEmpty: boolean;
        /** What was seen when the plan was made; what is left out is counted too. */
        found?: { files: number; bytes: number };
      }
  );

/** What a backup would save, and what it would not: shown for confirmation at init, and by `backup run --dry-run`. */
export interface BackupPlan {
  stores: PlannedStore[];
  leftOut: { what: string; why: string }[];
  /** What nobody who restores would expect: anonymous volumes, a data path that the image no longer uses, an unmounted bind. */
  warnings: string[];
}

/** What was tried for a project and how it ended: a line of backup/history.jsonl in the project's state folder. */
export interface BackupResult {
  kind: 'run' | 'verify' | 'drill' | 'prune' | 'restore' | 'rebuild';
  /** By the agent's schedule, not by a person. */
  scheduled: boolean;
  startedAt: string;
  endedAt: string;
  ok: boolean;
  /** Id of the set that it was about. */
  set?: string;
  /** The services that alone were asked for. Such a run says nothing about the project's backups: it counts for no schedule, metric or heartbeat. */
  only?: string[];
  /** A Failure's code and message. */
  code?: string;
  message?: string;
  /** Figures by kind: bytes, addedBytes, stores; rtoSeconds, rpoSeconds; readBytes; removedSets. */
  numbers: Record<string, number>;
}

/** What a backup command works on. */
export interface BackupWorld {
  project: Project;
  docker: Docker;
  stateFolder: string;
  /** Variables for restic, secrets among them: environment of the child process only. */
  secrets: Record<string, string>;
  /** Addresses of the channels in x-composure.backup.notify, by the secret that holds each. Undefined: nobody is told. */
  addresses?: Record<string, string>;
  report: Report;
  signal: AbortSignal;
  /** Of this package. */
  version: string;
  host: string;
}
