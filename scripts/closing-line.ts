import type { Reporter, TestModule } from 'vitest/node';

/**
 * Ends every test run with `N passed, N failed` (and `, N skipped` where there are any) as the last line of output.
 * A file that cannot be loaded and an error outside of a test count as one failure each.
 */
export default class ClosingLine implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly unknown[]): void {
    const counts = { passed: 0, failed: unhandled.length, skipped: 0, pending: 0 };
    for (const module of modules) {
      for (const test of module.children.allTests()) counts[test.result().state] += 1;
      counts.failed += module.errors().length;
      for (const suite of module.children.allSuites()) counts.failed += suite.errors().length;
    }
    const skipped = counts.skipped + counts.pending;
    const line = `${counts.passed} passed, ${counts.failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}\n`;
    // Other reporters write on the same event: this comes after all of them.
    process.once('exit', () => process.stdout.write(line));
  }
}
