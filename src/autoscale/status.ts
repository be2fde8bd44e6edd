import { mkdir, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { readFileIfThere } from '../kit/files.ts';
import { isAlive, type ProcessIdentity } from '../state/process.ts';
import type { Decision, HostBudget, Tier, Worker } from './model.ts';

/** What the running autoscaler knows, for those who ask from another process. At most a second old while something changes. */
export interface AutoscaleStatus {
  agent: ProcessIdentity;
  atMs: number;
  /** It decides and carries nothing out. */
  dryRun: boolean;
  budget?: HostBudget;
  tiers: TierStatus[];
  /** What a person should know, one line each: a service that is not scaled and why, an always-on container without a limit. */
  warnings: string[];
}

export interface TierStatus {
  tier: Tier;
  workers: Worker[];
  /** Who holds the project now. */
  heldBy?: string;
  manualReplicas?: number;
  /** What counts of the file's and people's pauses; undefined: not known yet. */
  pause?: Tier['pause'];
  /** Of each trigger: what it said last, or why it says nothing. */
  triggers: { name: string; type: string; atMs?: number; summary: string; failing: boolean }[];
  /** Newest last; only those that differ from the one before. */
  decisions: Decision[];
  /** Why there are as many as there are, in one screen of text. */
  explanation: string;
  /** What was done or tried, newest last. */
  recent: { atMs: number; text: string }[];
}

const statusPath = (state: string): string => join(state, 'autoscale', 'status.json');

/** Replaced as a whole, and not synced: after a power cut the agent writes a new one anyway. */
export async function writeStatus(state: string, status: AutoscaleStatus): Promise<void> {
  const path = statusPath(state);
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await writeFile(`${path}.tmp`, JSON.stringify(status), { mode: 0o600 });
  await rename(`${path}.tmp`, path);
}

/** Undefined when no agent has ever run here; `running` says whether the one that wrote it still does. */
export async function readStatus(state: string): Promise<{ status: AutoscaleStatus; running: boolean } | undefined> {
  const text = await readFileIfThere(statusPath(state));
  if (!text) return undefined;
  const status = JSON.parse(text) as AutoscaleStatus;
  return { status, running: isAlive(status.agent) };
}
