import { accessSync, constants, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';

/** Where the docker command looks for its plugins, in its order, after the folders that its configuration names. */
const SYSTEM_FOLDERS = [
  '/usr/local/lib/docker/cli-plugins',
  '/usr/local/libexec/docker/cli-plugins',
  '/usr/lib/docker/cli-plugins',
  '/usr/libexec/docker/cli-plugins',
];

/** How to call Compose: a program and the arguments that come before Compose's own. */
export interface ComposeCommand {
  program: string;
  prefix: string[];
}

/**
 * The Compose plugin itself where it can be found, else by way of `docker compose`. The plugin is the same program either way; called
 * directly it answers in half the time, because docker asks every plugin for its name first.
 */
export function composeCommand(env: NodeJS.ProcessEnv = process.env): ComposeCommand {
  const byDocker = { program: 'docker', prefix: ['compose'] };
  // A machine without the docker command has no Docker to speak of, whatever is left of its plugins.
  if (!(env.PATH ?? '').split(delimiter).some((folder) => folder !== '' && isExecutable(join(folder, 'docker')))) return byDocker;
  const config = env.DOCKER_CONFIG || join(env.HOME || homedir(), '.docker');
  for (const folder of [join(config, 'cli-plugins'), ...extraFolders(config), ...SYSTEM_FOLDERS]) {
    const program = join(folder, 'docker-compose');
    if (isExecutable(program)) return { program, prefix: [] };
  }
  return byDocker;
}

function extraFolders(config: string): string[] {
  try {
    const { cliPluginsExtraDirs } = JSON.parse(readFileSync(join(config, 'config.json'), 'utf8')) as { cliPluginsExtraDirs?: string[] };
    return cliPluginsExtraDirs ?? [];
  } catch {
    return [];
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
