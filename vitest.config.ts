import { defineConfig } from 'vitest/config';
import LongestFirst from './scripts/longest-first.ts';

const outside = ['**/node_modules/**', '**/dist/**'];
const onTheEngine = ['**/*.engine.test.ts', 'test/scenarios/**/*.test.ts'];
/** What is compared with a simulation has to have the machine for itself, as the simulation has. */
const alone = ['test/scenarios/autoscale-live.test.ts'];
const patience = { testTimeout: 120_000, hookTimeout: 120_000, teardownTimeout: 30_000 };

export default defineConfig({
  test: {
    sequence: { sequencer: LongestFirst },
    reporters: [process.stdout.isTTY ? 'default' : ['default', { summary: false }], './scripts/closing-line.ts'],
    projects: [
      {
        test: {
          name: 'unit',
          include: ['{src,test,scripts,bench,examples}/**/*.test.ts'],
          exclude: [...outside, ...onTheEngine],
          // Against what hangs; a busy machine takes its time.
          testTimeout: 30_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        // Real Docker, proxies and databases: few at a time, because each starts containers of its own.
        test: {
          name: 'engine',
          globalSetup: ['./test/support/teardown.ts'],
          include: onTheEngine,
          exclude: [...outside, ...alone],
          ...patience,
          maxWorkers: 4,
          sequence: { groupOrder: 1 },
        },
      },
      { test: { name: 'alone', include: alone, exclude: outside, ...patience, maxWorkers: 1, sequence: { groupOrder: 2 } } },
    ],
  },
});
