import { Failure } from '../kit/errors.ts';
import { run } from '../kit/spawn.ts';
import { composeCommand } from './plugin.ts';

/** A Compose project whose one file is a model in memory, so that no copy of its secrets is written. */
export interface GivenModel {
  project: string;
  /** Relative paths and an .env file are looked for here: best an empty folder. */
  folder: string;
  model: Record<string, unknown>;
  /** Variables that its secrets and configs are taken from. */
  env: Record<string, string>;
}

/** What of the caller's own surroundings would make Compose see another project. */
const NOT_INHERITED = {
  COMPOSE_FILE: '',
  COMPOSE_PROJECT_NAME: '',
  COMPOSE_PROFILES: '',
  COMPOSE_ENV_FILES: '',
  COMPOSE_REMOVE_ORPHANS: '',
};

export interface ComposeAnswer {
  code: number;
  /** What it said, without its progress lines. */
  words: string[];
}

/** `docker compose <args>` on that project. An exit code other than 0 is an answer; a tool that is missing throws. */
export async function composeGiven(
  { project, folder, model, env }: GivenModel,
  args: string[],
  signal?: AbortSignal,
): Promise<ComposeAnswer> {
  const { program, prefix } = composeCommand({ ...process.env, ...env });
  const all = [
    ...prefix,
    '--progress',
    'plain',
    '--ansi',
    'never',
    '--project-name',
    project,
    '--project-directory',
    folder,
    '-f',
    '-',
    ...args,
  ];
  const result = await run(program, all, {
    cwd: folder,
    env: { ...env, ...NOT_INHERITED },
    input: JSON.stringify(model),
    ...(signal ? { signal } : {}),
  });
  if (result.code === 127) throw new Failure('COMPOSE_MISSING', '`docker compose` cannot be started', { details: [result.stderr.trim()] });
  const words = `${result.stdout}\n${result.stderr}`
    .split('\n')
    .map((line) => line.trim())
    .filter(
      (line) =>
        line !== '' && !/^(Container|Network|Volume|Image) \S+ +(Running|Creat|Start|Wait|Healthy|Exited|Recreat|Stopp|Remov)/.test(line),
    );
  return { code: result.code, words: words.slice(-12) };
}
