import { composeCommand } from '../../docker/plugin.ts';
import { run } from '../../kit/spawn.ts';
import { checkServices } from '../../rollout/checks.ts';
import type { Outcome, ProjectFlags } from '../flags.ts';
import type { Io } from '../io.ts';
import { projectOf } from '../load.ts';

/** The logs are Compose's own, of exactly the project that this command line means. */
export async function logsCommand(
  io: Io,
  services: string[],
  flags: ProjectFlags & { follow?: boolean; tail?: string; since?: string },
  outcome: Outcome,
): Promise<void> {
  const project = await projectOf(io, flags);
  checkServices(project, services);
  const { compose } = project;
  const { program, prefix } = composeCommand({ ...process.env, ...compose.env });
  const args = [
    ...prefix,
    ...compose.args,
    'logs',
    ...(flags.follow ? ['--follow'] : []),
    ...(flags.tail ? ['--tail', flags.tail] : []),
    ...(flags.since ? ['--since', flags.since] : []),
    ...services,
  ];
  const { code } = await run(program, args, {
    cwd: compose.cwd,
    env: compose.env,
    onLine: (text, stream) => {
      if (flags.json) io.stdout(`${JSON.stringify({ stream, text })}\n`);
      else (stream === 'stdout' ? io.stdout : io.stderr)(`${text}\n`);
    },
  });
  outcome.code = code;
}
