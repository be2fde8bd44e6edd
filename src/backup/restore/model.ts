import type { SavedStore } from '../model.ts';

/** Where data lies: a volume by its name in Docker, or a folder of the host. */
export type Spot = { volume: string } | { folder: string };

export const spotName = (spot: Spot): string => ('volume' in spot ? `volume ${spot.volume}` : spot.folder);

/** A volume or folder that is replaced as a whole. */
export interface Place {
  service: string;
  /** Path in the service's containers. */
  target: string;
  /** What it was called when the set was saved. */
  saved: Spot;
  /** What the project of today has mounted there; undefined: nothing that outlives a container. */
  live?: Spot;
  /** The volume's name in the compose file. */
  key?: string;
}

/** What can be replaced on its own: the data of one database server, or one volume or folder of files. */
export interface Unit {
  kind: 'database' | 'files';
  service: string;
  /** "PostgreSQL of db", "files of app at /data". */
  title: string;
  stores: SavedStore[];
  places: Place[];
  /** A database: its own server says so. False: it cannot be dumped, so its raw files are saved before they are replaced. */
  answers?: boolean;
  /** Why it cannot be replaced where it is. */
  refused?: string;
}

/** What a restore does, as it is shown and confirmed. */
export interface RestorePlan {
  project: string;
  /** Of the restore: in the names of what is kept. */
  id: string;
  set: string;
  /** When the set was saved, and when it was last restored and found whole. */
  savedAt: string;
  provenAt?: string;
  units: Unit[];
  /** Services whose running containers stand still meanwhile, in the order that they stop. */
  stops: { service: string; why: string }[];
  /** How long the longest of them may take to stop. */
  stopSeconds: number;
  leftAlone: { what: string; why: string }[];
  warnings: string[];
}
