/**
 * Does `work` for each item, at most `limit` at a time, begun in order. When one fails, `signal` aborts for the others, no further one is begun,
 * and the first failure is thrown once nothing is under way any more. Results are in the order of the items.
 */
export async function atOnce<T, R>(
  limit: number,
  items: readonly T[],
  outer: AbortSignal,
  work: (item: T, signal: AbortSignal) => Promise<R>,
): Promise<R[]> {
  const failed = new AbortController();
  const signal = AbortSignal.any([outer, failed.signal]);
  const results: R[] = [];
  const faults: unknown[] = [];
  const waiting = [...items.entries()];
  const lane = async (): Promise<void> => {
    for (let next = waiting.shift(); next && faults.length === 0; next = waiting.shift()) {
      const [index, item] = next;
      try {
        results[index] = await work(item, signal);
      } catch (error) {
        faults.push(error);
        failed.abort();
      }
    }
  };
  await Promise.all(Array.from({ length: Math.max(1, limit) }, lane));
  if (faults.length > 0) throw faults[0];
  return results;
}

/**
 * The same, and `close` as one more, which begins when nothing waits any more and a place is free: beside the last ones, given what all come to.
 * Answers what `close` does.
 */
export async function closedAtOnce<T, R, C>(
  limit: number,
  items: readonly T[],
  outer: AbortSignal,
  work: (item: T, signal: AbortSignal) => Promise<R>,
  close: (results: Promise<R[]>, signal: AbortSignal) => Promise<C>,
): Promise<C> {
  const parts = items.map((item) => ({ item, ...Promise.withResolvers<R>() }));
  const all = Promise.all(parts.map(({ promise }) => promise));
  // Where `close` has not begun, nobody waits for it.
  all.catch(() => {});
  const steps = parts.map(({ item, resolve, reject }) => async (signal: AbortSignal): Promise<C | undefined> => {
    try {
      resolve(await work(item, signal));
      return undefined;
    } catch (error) {
      reject(error);
      throw error;
    }
  });
  const ended = await atOnce(limit, [...steps, (signal) => close(all, signal)], outer, (step, signal) => step(signal));
  return ended.at(-1) as C;
}
