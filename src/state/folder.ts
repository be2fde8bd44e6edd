import { createHash } from 'node:crypto';
import { join, resolve } from 'node:path';

const DEFAULT = '/var/lib/composure';

/** Where this host's durable state lives: COMPOSURE_STATE_DIR, or /var/lib/composure. */
export function stateFolder(env: NodeJS.ProcessEnv = process.env): string {
  return resolve(env.COMPOSURE_STATE_DIR || DEFAULT);
}

/** The host's own, not one of a trial or a test beside it. */
export const isHostState = (state: string): boolean => state === DEFAULT;

export const projectFolder = (state: string, project: string): string => join(state, 'projects', project);
export const edgeFolder = (state: string): string => join(state, 'edge');

/**
 * The name of the edge that belongs to a state folder: "composure-edge" for the host's own,
 * with a suffix for every other folder, so that test runs and trials never meet the real one.
 */
export function edgeName(state: string): string {
  if (isHostState(state)) return 'composure-edge';
  return `composure-edge-${createHash('sha256').update(state).digest('hex').slice(0, 8)}`;
}
