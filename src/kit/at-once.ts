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
