import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { atOnce } from './at-once.ts';

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
