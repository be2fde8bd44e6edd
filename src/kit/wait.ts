import { setTimeout as sleep } from 'node:timers/promises';

export { sleep };

/**
 * Asks `look` every `everyMs` until it answers with something other than undefined, or until `timeoutMs` is over.
 * Returns undefined when time ran out. `look` may throw to give up at once.
 */
export async function waitFor<T>(
  look: () => Promise<T | undefined>,
  { everyMs, timeoutMs, signal }: { everyMs: number; timeoutMs: number; signal?: AbortSignal },
): Promise<T | undefined> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    signal?.throwIfAborted();
    const answer = await look();
    if (answer !== undefined) return answer;
    if (performance.now() >= deadline) return undefined;
    await sleep(Math.min(everyMs, Math.max(0, deadline - performance.now())));
  }
}
