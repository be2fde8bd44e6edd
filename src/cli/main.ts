import { CommanderError } from 'commander';
import { EXIT_CODES, Failure } from '../kit/errors.ts';
import type { Io } from './io.ts';
import { buildProgram } from './program.ts';

/** Runs one command line and answers its exit code. Nothing here ends the process. */
export async function main(argv: string[], io: Io): Promise<number> {
  const json = argv.includes('--json');
  const state: { code: number } = { code: 0 };
  try {
    // With --json what is wrong with the command line is said once, as JSON.
    await buildProgram(io, state, json ? () => {} : io.stderr).parseAsync(argv, { from: 'user' });
    return state.code;
  } catch (thrown) {
    if (thrown instanceof CommanderError && (thrown.exitCode === 0 || !json)) return thrown.exitCode === 0 ? 0 : EXIT_CODES.USAGE;
    const failure = thrown instanceof Failure ? thrown : await explain(thrown, io);
    if (failure) {
      if (json) io.stdout(`${JSON.stringify({ error: publicFailure(failure) })}\n`);
      else io.stderr(formatFailure(failure));
      return failure.exitCode;
    }
    io.stderr(`this is a bug in composure, please report it:\n${thrown instanceof Error ? thrown.stack : String(thrown)}\n`);
    return 1;
  }
}

async function explain(thrown: unknown, io: Io): Promise<Failure | undefined> {
  if (thrown instanceof CommanderError) {
    return new Failure('USAGE', thrown.message.replace(/^error: /, '').replace(/\n/g, ' '), {
      next: 'add --help to the command to see what it takes',
    });
  }
  const { explainThrown } = await import('./failures.ts');
  return explainThrown(thrown, io.env);
}

const publicFailure = ({ code, exitCode, message, where, next, details }: Failure): object => ({
  code,
  exitCode,
  message,
  where,
  next,
  details,
});

/** What failed and on what, the evidence, what to do next, and where the documentation has more. */
export function formatFailure(error: Failure): string {
  const lines = [`error: ${error.message}`];
  if (error.where) lines.push(`  at ${error.where}`);
  for (const detail of error.details) lines.push(`  | ${detail}`);
  if (error.next) lines.push(`  next: ${error.next}`);
  lines.push(`  (${error.code}, exit code ${error.exitCode}; composure help errors ${error.code})`);
  return `${lines.join('\n')}\n`;
}
