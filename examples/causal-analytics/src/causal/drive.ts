import { setImmediate } from 'node:timers/promises';

/** Work in small steps: yields how much is done (0 to 1), returns the result. */
export type Work<Result> = Generator<number, Result, undefined>;

/**
 * Runs work without holding the event loop for more than about `sliceMs`, so that a worker goes on answering its queue, its heartbeat and
 * its signals in the middle of a long computation. Throws the signal's reason when it is aborted; the work is then closed where it stands.
 */
export async function drive<Result>(
  work: Work<Result>,
  { onProgress, signal, sliceMs = 20 }: { onProgress?: (done: number) => void; signal?: AbortSignal; sliceMs?: number } = {},
): Promise<Result> {
  try {
    for (;;) {
      signal?.throwIfAborted();
      const until = performance.now() + sliceMs;
      let step = work.next();
      while (!step.done && performance.now() < until) step = work.next();
      if (step.done) return step.value;
      onProgress?.(step.value);
      await setImmediate();
    }
  } finally {
    work.return(undefined as never);
  }
}
