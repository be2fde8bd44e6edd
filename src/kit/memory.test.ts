import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const module = fileURLToPath(new URL('./memory.ts', import.meta.url));
const BUSY = 'let sum = 0; const add = (n) => { sum += n % 7; }; for (let n = 0; n < 5e6; n += 1) add(n);';

/** How often V8 says that it optimized something while `script` ran. */
function optimized(script: string): number {
  const run = spawnSync(process.execPath, ['--trace-opt', '--input-type=module', '-e', script], { encoding: 'utf8' });
  expect(run.stderr).toBe('');
  expect(run.status).toBe(0);
  return run.stdout.split('completed optimizing').length - 1;
}

test('a process that asks for it is compiled without the optimizing compilers from then on', () => {
  expect(optimized(BUSY)).toBeGreaterThan(0);
  expect(optimized(`import { compileWithoutOptimizing } from ${JSON.stringify(module)}; compileWithoutOptimizing(); ${BUSY}`)).toBe(0);
});
