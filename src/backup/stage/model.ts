import type { Docker } from '../../docker/api.ts';
import type { Report } from '../../kit/events.ts';
import type { SavedStore } from '../model.ts';

/** Compose's resolved model: what `docker compose config` prints, dollars doubled. It holds secrets: never print it. */
export type ComposeModel = Record<string, unknown>;

/** What staging works with. A BackupWorld is one. */
export interface StageWorld {
  docker: Docker;
  report: Report;
  signal: AbortSignal;
}

/** Where a set's stores are put. Everything named here is empty and nobody uses it; `stageStores` looks again. */
export interface StageTargets {
  /** Compose's project name for the servers that load the dumps, of which nothing is left afterwards. There must be none of that name. */
  project: string;
  /** On the containers and the network of those servers: `scratchLabels`, for whoever comes after a killed process. */
  labels: Record<string, string>;
  /** The model that describes the services: that of the set. */
  model: ComposeModel;
  /** Image id by service, see `findImages`. */
  images: Record<string, string>;
  /** Variables for Compose: those that secrets and configs of the model are taken from. */
  env: Record<string, string>;
  /** The volume, made already, that takes the place of one of the set, by the name that it had: "shop_db" -> "composure-drill-4f1c_db". */
  volumes: Record<string, string>;
  /** The same for folders and files of the host; what lies in a named folder goes with it. */
  folders: Record<string, string>;
}

/** A store that is in its new place. */
export interface Staged {
  store: SavedStore;
  seconds: number;
  /** What was counted there other than the manifest says, one sentence each; empty when all is as it was. */
  differences: string[];
}
