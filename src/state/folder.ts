import { createHash } from 'node:crypto';
import { join, resolve } from 'node:path';

const DEFAULT = '/var/lib/composure';

/** Where this host's durable state lives: COMPOSURE_STATE_DIR, or /var/lib/composure. */
export function stateFolder(env: NodeJS.ProcessEnv = process.env): string {
  return resolve(env.COMPOSURE_STATE_DIR || DEFAULT);
}

export const projectFolder = (state: string, project: string): string => join(state, 'projects', project);
export const edgeFolder = (state: string): string => join(state, 'edge');

/**
 * The name of the edge that belongs to a state folder: "composure-edge" for the host's own,
 * with a suffix for every other folder, so that test runs and trials never meet the real one.
 */
export const edgeName = (state: string): string => nameFor('composure-edge', state);

/** The name of the agent's unit or container; as with the edge one for each state folder. */
export const agentName = (state: string): string => nameFor('composure-agent', state);

/** The state folder of the host itself, not one that a trial or a test has beside it. */
export const isHostsOwn = (state: string): boolean => state === DEFAULT;

function nameFor(base: string, state: string): string {
  if (isHostsOwn(state)) return base;
  return `${base}-${createHash('sha256').update(state).digest('hex').slice(0, 8)}`;
}
