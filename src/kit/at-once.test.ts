import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { atOnce, closedAtOnce } from './at-once.ts';

const never = new AbortController().signal;

test('no more than the limit at a time, results in the order of the items', async () => {
  let [now, most] = [0, 0];
  const results = await atOnce(2, [30, 5, 10, 1], never, async (ms) => {
    now++;
    most = Math.max(most, now);
    await sleep(ms);
    now--;
    return ms * 2;
  });
  expect(results).toEqual([60, 10, 20, 2]);
  expect(most).toBe(2);
});

test('the first failure stops the others, and is thrown when they have ended', async () => {
  const ended: string[] = [];
  const done = atOnce(2, ['slow', 'bad', 'never begun'], never, async (item, signal) => {
    if (item === 'bad') throw new Error('bad');
    await sleep(10_000, undefined, { signal }).catch(() => {});
    ended.push(item);
    throw new Error('aborted');
  });
  await expect(done).rejects.toThrow('bad');
  expect(ended).toEqual(['slow']);
});

test('who gives up from outside ends what is under way', async () => {
  const outer = new AbortController();
  const done = atOnce(3, [1], outer.signal, (_, signal) => sleep(10_000, undefined, { signal }));
  outer.abort();
  await expect(done).rejects.toThrow();
});

test('who closes begins when a place is free, beside the last ones, and gets what all come to', async () => {
  const seen: string[] = [];
  const closed = await closedAtOnce(
    2,
    [5, 40],
    never,
    async (ms) => {
      await sleep(ms);
      seen.push(`${ms} done`);
      return ms * 2;
    },
    async (results) => {
      seen.push('closing');
      return (await results).join(' and ');
    },
  );
  expect(closed).toBe('10 and 80');
  expect(seen).toEqual(['5 done', 'closing', '40 done']);
});

test('of nothing there is only what closes; with one place it comes last', async () => {
  expect(await closedAtOnce(3, [], never, sleep, async (results) => (await results).length)).toBe(0);
  const seen: number[] = [];
  await closedAtOnce(
    1,
    [1, 2],
    never,
    async (item) => void seen.push(item),
    async () => void seen.push(3),
  );
  expect(seen).toEqual([1, 2, 3]);
});

test('who closes is given no results of work that failed, and that failure is thrown', async () => {
  let given: unknown;
  const closed = closedAtOnce(
    2,
    ['bad'],
    never,
    async () => {
      await sleep(5);
      throw new Error('bad');
    },
    async (results) => {
      given = await results.catch((error: unknown) => error);
      throw new Error('nothing to close');
    },
  );
  await expect(closed).rejects.toThrow('bad');
  expect(given).toEqual(new Error('bad'));
});
