import { join } from 'node:path';
import { readFileIfThere, writeFileDurably } from '../kit/files.ts';
import { projectFolder } from '../state/folder.ts';
import type { Tier } from './model.ts';

/** What a person has told the autoscaler about a project's services, by service. It lasts until it is taken back. */
export interface Control {
  [service: string]: {
    /** Instead of what the compose file says. */
    pause?: Tier['pause'];
    /** `composure scale`: no fewer workers than these. */
    replicas?: number;
  };
}

/** Inside the project's folder, where the agent sees it change. */
export const CONTROL_FILE = 'autoscale.json';
const controlPath = (state: string, project: string): string => join(projectFolder(state, project), CONTROL_FILE);

export async function readControl(state: string, project: string): Promise<Control> {
  const text = await readFileIfThere(controlPath(state, project));
  return text ? (JSON.parse(text) as Control) : {};
}

/** Call it with the project's lock, or lose what another command writes at the same time. The agent follows within a second. */
export async function writeControl(state: string, project: string, control: Control): Promise<void> {
  const said = Object.entries(control).filter(([, { pause, replicas }]) => pause !== undefined || replicas !== undefined);
  await writeFileDurably(controlPath(state, project), `${JSON.stringify(Object.fromEntries(said), null, 2)}\n`);
}
