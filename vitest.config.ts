import { defineConfig } from 'vitest/config';

const outside = ['**/node_modules/**', '**/dist/**'];
const onTheEngine = ['**/*.engine.test.ts', 'test/scenarios/**/*.test.ts'];

export default defineConfig({
  test: {
    reporters: [process.stdout.isTTY ? 'default' : ['default', { summary: false }], './scripts/closing-line.ts'],
    projects: [
      {
        test: {
          name: 'unit',
          include: ['{src,test,scripts,bench,examples}/**/*.test.ts'],
          exclude: [...outside, ...onTheEngine],
          sequence: { groupOrder: 0 },
        },
      },
      {
        // Real Docker, proxies and databases: few at a time, because each starts containers of its own.
        test: {
          name: 'engine',
          globalSetup: ['./test/support/teardown.ts'],
          include: onTheEngine,
          exclude: outside,
          testTimeout: 120_000,
          hookTimeout: 120_000,
          teardownTimeout: 30_000,
          maxWorkers: 4,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
