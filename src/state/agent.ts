import { mkdir, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { readFileIfThere } from '../kit/files.ts';
import { isAlive, type ProcessIdentity } from './process.ts';

/** How the agent was started: by an installation of ours, or by somebody at a terminal. */
export type AgentForm = 'systemd' | 'container' | 'foreground';

/** What the running agent says of itself, for those who ask from another process. */
export interface AgentStatus {
  process: ProcessIdentity;
  form: AgentForm;
  version: string;
  /** ISO 8601. */
  since: string;
  /** When this was written; a living agent writes every 15 s. */
  at: string;
  rssBytes: number;
  /** Projects whose routes or services it looks after. */
  projects: string[];
  /** Services that it scales, "<project>/<service>". */
  scaled: string[];
  /** What it said last, oldest first. It holds no secret. */
  messages: { at: string; kind: 'note' | 'warning'; text: string }[];
}

/** The agent holds this lock as long as it lives: one agent a state folder. */
export const agentLockPath = (state: string): string => join(state, 'agent', 'lock');

const statusPath = (state: string): string => join(state, 'agent', 'status.json');

/** Replaced as a whole, and not synced: what a power cut takes away says nothing that is still true. */
export async function writeAgentStatus(state: string, status: AgentStatus): Promise<void> {
  const path = statusPath(state);
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await writeFile(`${path}.tmp`, JSON.stringify(status), { mode: 0o600 });
  await rename(`${path}.tmp`, path);
}

/** Undefined when no agent ever ran here; `running` says whether the one that wrote it still does. */
export async function readAgentStatus(state: string): Promise<{ status: AgentStatus; running: boolean } | undefined> {
  const text = await readFileIfThere(statusPath(state));
  if (text === undefined) return undefined;
  const status = JSON.parse(text) as AgentStatus;
  return { status, running: isAlive(status.process) };
}
