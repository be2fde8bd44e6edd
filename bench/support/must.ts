import { type RunOptions, run } from '../../src/kit/spawn.ts';

/** The output of a program that has to succeed. */
export async function must(program: string, args: string[], options: RunOptions = {}): Promise<string> {
  const result = await run(program, args, { timeoutMs: 300_000, ...options });
  if (result.code !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${result.code}:\n${result.stderr || result.stdout}`);
  return result.stdout.trim();
}

/** Lines of the output, without empty ones. */
export async function lines(program: string, args: string[], options: RunOptions = {}): Promise<string[]> {
  return (await must(program, args, options)).split('\n').filter((line) => line !== '');
}
