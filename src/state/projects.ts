import { createHash } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { readFileIfThere, writeFileDurably } from '../kit/files.ts';

const pathOf = (state: string, folder: string): string =>
  join(state, 'folders', createHash('sha256').update(folder).digest('hex').slice(0, 16));

/** Remembers which project a folder holds, so that `status` need not ask Compose. */
export async function rememberProject(state: string, folder: string, project: string): Promise<void> {
  if ((await rememberedProject(state, folder)) !== project) await writeFileDurably(pathOf(state, folder), project);
}

export const rememberedProject = (state: string, folder: string): Promise<string | undefined> => readFileIfThere(pathOf(state, folder));

/** Every project that something is kept of on this host. */
export const listProjects = (state: string): Promise<string[]> => readdir(join(state, 'projects')).catch(() => []);
