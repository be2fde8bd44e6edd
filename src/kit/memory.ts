import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/**
 * Collects garbage now. V8 does so when memory is asked for, which a process that rests after a busy start does not do: what the start left
 * behind would stay for hours.
 */
export function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
}

/**
 * From now on V8 compiles without its optimizing compilers (Maglev, Turbofan). A process that seldom computes gains nothing from them, and
 * pays with their own code, which is read from the disk into its memory, and with what they make.
 */
export function compileWithoutOptimizing(): void {
  setFlagsFromString('--no-maglev');
  setFlagsFromString('--no-turbofan');
}
