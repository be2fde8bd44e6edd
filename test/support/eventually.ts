import { setTimeout as sleep } from 'node:timers/promises';

/** Calls `check` until it does not throw, and returns its value; after `timeoutMs` (default 10 000) throws what it threw last. */
export async function eventually<T>(check: () => Promise<T> | T, { timeoutMs = 10_000, everyMs = 100 } = {}): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    try {
      return await check();
    } catch (error) {
      if (performance.now() >= deadline) throw error;
    }
    await sleep(everyMs);
  }
}
