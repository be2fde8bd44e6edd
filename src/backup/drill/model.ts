import type { SavedStore } from '../model.ts';
import type { ComposeModel } from '../stage/model.ts';

/** What is known before a drill is planned. */
export interface DrillObserved {
  /** Major version of the engine. */
  engine: number;
  /** Undefined where it cannot be seen from here. */
  freeBytes: number | undefined;
  availableBytes: number;
  /** Names of Compose projects, networks and volumes that exist. */
  taken: readonly string[];
  /** By service: image id, and the folders that the image itself declares as volumes. */
  images: Record<string, { id: string; volumes: string[] }>;
}

/** A volume that a drill makes, and what stands in its place in the live project. */
export interface DrillVolume {
  name: string;
  /** For people: "volume shop_db", "folder /srv/shop/uploads", "what db keeps in /var/lib/postgresql". */
  of: string;
  /** Filled from the set; else it is empty at first, or filled by a server that loads a dump. */
  store?: string;
}

export interface DrillPlan {
  /** Of everything that the drill makes. */
  id: string;
  /** Compose's project name of the scratch project. */
  project: string;
  set: string;
  stores: SavedStore[];
  volumes: DrillVolume[];
  /** The live project's volume names and folders, to the scratch volume. */
  places: { volumes: Record<string, string>; folders: Record<string, string> };
  /** Where the set's copy of the project's files will lie, and the paths that it stands for. */
  files: { tree: string; folders: Record<string, string> };
  /** The set's model, with a volume for each folder that only an image declares. */
  source: ComposeModel;
  services: string[];
  /** Those that run to their end before others start. */
  jobs: string[];
  /** Those that end by themselves and are not started again. */
  mayEnd: string[];
  /** Services that are not drilled. */
  left: { service: string; why: string }[];
  /** Of the host, and not in the set: empty for the service. */
  missing: { service: string; path: string }[];
  memoryBytes: number;
  diskBytes: number;
  /** Why it cannot be done; a drill that has one is not begun. */
  obstacles: string[];
}

export interface DrilledService {
  service: string;
  kind: 'healthy' | 'ended' | 'running' | 'failed';
  /** "healthy after 3.2 s", "ended with 0", "still running after 10 s". */
  text: string;
  /** Last words of one that failed. */
  log: string[];
}

/** What a drill found: printed, and kept as its evidence. */
export interface DrillEvidence {
  project: string;
  set: string;
  /** The services that alone the set holds: it proves nothing about the project. */
  only?: string[];
  startedAt: string;
  endedAt: string;
  passed: boolean;
  stores: { id: string; bytes: number; seconds: number; counted: string; differences: string[] }[];
  services: DrilledService[];
  left: { service: string; why: string }[];
  missing: { service: string; path: string }[];
  /** rtoSeconds: from the beginning to the application's health. rpoSeconds: age of the oldest content at the beginning. gapSeconds: longest time between two scheduled backups. */
  numbers: Record<string, number>;
  /** Where it was left for a look. */
  kept?: string;
}
