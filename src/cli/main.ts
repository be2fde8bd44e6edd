import { CommanderError } from 'commander';
import { EXIT_CODES, Failure } from '../kit/errors.ts';
import type { Io } from './io.ts';
import { buildProgram } from './program.ts';

/** Runs one command line and answers its exit code. Nothing here ends the process. */
export async function main(argv: string[], io: Io): Promise<number> {
  const json = argv.includes('--json');
  const state: { code: number } = { code: 0 };
  try {
    await buildProgram(io, state).parseAsync(argv, { from: 'user' });
    return state.code;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT_CODES.USAGE;
    if (error instanceof Failure) {
      if (json)
        io.stdout(
          `${JSON.stringify({ error: { code: error.code, message: error.message, where: error.where, next: error.next, details: error.details } })}\n`,
        );
      else io.stderr(formatFailure(error));
      return error.exitCode;
    }
    if (error instanceof Error && error.name === 'AbortError') {
      io.stderr('interrupted\n');
      return EXIT_CODES.INTERRUPTED;
    }
    io.stderr(`this is a bug in composure, please report it:\n${error instanceof Error ? error.stack : String(error)}\n`);
    return 1;
  }
}

/** What failed and on what, the evidence, what to do next, and where the documentation has more. */
export function formatFailure(error: Failure): string {
  const lines = [`error: ${error.message}`];
  if (error.where) lines.push(`  at ${error.where}`);
  for (const detail of error.details) lines.push(`  | ${detail}`);
  if (error.next) lines.push(`  next: ${error.next}`);
  lines.push(`  (${error.code}, exit code ${error.exitCode}; composure help errors)`);
  return `${lines.join('\n')}\n`;
}
