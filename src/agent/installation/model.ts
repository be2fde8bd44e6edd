import type { ContainerSummary } from '../../docker/api.ts';
import type { LockHolder } from '../../state/lock.ts';

export type InstalledForm = 'systemd' | 'container';

/** What an installation starts, and where its things are on this host. */
export interface Wanted {
  form: InstalledForm;
  /** Of the unit or the container; one for each state folder. */
  name: string;
  state: string;
  /** COMPOSURE_METRICS_DIR, where it is set. */
  metrics?: string;
  /** User and group that own the state folder: the agent runs as that user. */
  owner: { uid: number; gid: number };
  /** The engine's socket and the group that may use it. */
  socket: { path: string; gid: number };
  /** Form systemd: the program that runs the package. */
  node: string;
  script: string;
  /** Of this package. */
  version: string;
  /** Form container. */
  image: string;
  /** The image is ours to build and to remove. */
  builds: boolean;
}

/** What there is on this host. */
export interface Found {
  /** This process may write units. */
  root: boolean;
  /** systemd runs this host. */
  systemd: boolean;
  unit?: { path: string; text: string; ours: boolean; enabled: boolean; active: boolean };
  container?: { id: string; state: ContainerSummary['State']; image: string; spec: string; built: boolean };
  /** The wanted image is on this machine. */
  hasImage: boolean;
  /** Who is the agent now. */
  agent?: LockHolder;
  /** What the running agent says of itself. */
  agentForm?: string;
  agentVersion?: string;
}

export type InstallStep = { why: string } & (
  | { kind: 'write-unit'; path: string; text: string }
  | { kind: 'remove-unit'; path: string }
  | { kind: 'systemctl'; args: string[] }
  | { kind: 'build-image'; image: string }
  | { kind: 'create-container'; name: string; spec: object }
  /** Asked to end first, with its own grace. */
  | { kind: 'remove-container'; id: string }
  | { kind: 'remove-image'; image: string }
  /** Until the agent holds its lock and has written its status. */
  | { kind: 'await-agent'; form: InstalledForm }
);

export interface InstallPlan {
  action: 'install' | 'uninstall';
  form: InstalledForm;
  name: string;
  steps: InstallStep[];
  warnings: string[];
}

/**
 * What keeps the agent small, in every form. What it makes is small and soon gone: V8's default nursery of 16 MiB would make the process larger by a
 * fifth, and glibc's default of one heap for each thread, from which little is given back, by a tenth.
 */
export const SMALL = {
  NODE_OPTIONS: '--max-semi-space-size=1',
  MALLOC_ARENA_MAX: '1',
  MALLOC_TRIM_THRESHOLD_: '65536',
};

export const smallEnvironment = (): string[] => Object.entries(SMALL).map(([name, value]) => `${name}=${value}`);
