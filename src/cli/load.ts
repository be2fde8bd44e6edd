import { loadProject } from '../project/load.ts';
import type { Project } from '../project/model.ts';
import type { ProjectFlags } from './flags.ts';
import type { Io } from './io.ts';

export function projectOf(io: Io, flags: ProjectFlags): Promise<Project> {
  return loadProject({
    cwd: io.cwd,
    ...(flags.file ? { files: flags.file } : {}),
    ...(flags.projectName ? { projectName: flags.projectName } : {}),
    ...(flags.projectDirectory ? { projectDirectory: flags.projectDirectory } : {}),
    ...(flags.env ? { env: flags.env } : {}),
    ...(flags.profile ? { profiles: flags.profile } : {}),
    environment: io.env,
  });
}
