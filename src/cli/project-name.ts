import { dirname } from 'node:path';
import { stateFolder } from '../state/folder.ts';
import { rememberedProject, rememberProject } from '../state/projects.ts';
import type { ProjectFlags } from './flags.ts';
import type { Io } from './io.ts';

/**
 * The project's name for commands that only read. Where nothing on the command line or in the environment chooses another project, the name
 * that this folder had at its last deploy is taken, because asking Compose takes longer than the rest of the command.
 */
export async function projectName(io: Io, flags: ProjectFlags): Promise<string> {
  if (flags.projectName) return flags.projectName;
  const asked = flags.file || flags.projectDirectory || flags.env || io.env.COMPOSE_FILE || io.env.COMPOSE_PROJECT_NAME;
  const state = stateFolder(io.env);
  if (!asked) {
    for (let folder = io.cwd; ; folder = dirname(folder)) {
      const name = await rememberedProject(state, folder);
      if (name) return name;
      if (folder === dirname(folder)) break;
    }
  }
  const { projectOf } = await import('./load.ts');
  const project = await projectOf(io, flags);
  if (!asked) await rememberProject(state, project.folder, project.name).catch(() => {});
  return project.name;
}
