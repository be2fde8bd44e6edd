import { readFileIfThere } from '../kit/files.ts';
import type { BackupWorld } from './model.ts';
import { runningPath } from './places.ts';
import { readResults } from './proven.ts';
import { complaints } from './restic/outcome.ts';
import type { Restic } from './restic/program.ts';

/** The last run did not come to its end: it failed, was interrupted, or was killed. */
export async function didBreakOff(state: string, project: string): Promise<boolean> {
  if ((await readFileIfThere(runningPath(state, project))) !== undefined) return true;
  return (await readResults(state, project)).findLast(({ kind }) => kind === 'run')?.ok === false;
}

/**
 * Lets the next backup use what one that broke off has sent: restic writes down what is in its packs only now and then, and what is not
 * written down would be sent again, and go with the next prune. Reads the heads of those packs alone. When it cannot be done, for example
 * because somebody else works on the repository, nothing is lost but that.
 */
export async function indexLoosePacks({ report }: Pick<BackupWorld, 'report'>, restic: Restic): Promise<void> {
  const began = performance.now();
  const step = 'resume';
  report({ kind: 'step-start', step, text: 'look for what an earlier backup had sent before it broke off' });
  const result = await restic.run(['repair', 'index']);
  const packs = `${result.stdout}\n${result.stderr}`.match(/^adding pack file to index/gm)?.length ?? 0;
  const text = packs === 0 ? 'nothing' : `${packs} ${packs === 1 ? 'pack' : 'packs'} that need not be sent again`;
  report({
    kind: 'step-done',
    step,
    text: result.code === 0 ? text : `not looked: ${complaints(result).at(-1) ?? ''}`,
    ms: performance.now() - began,
  });
}
