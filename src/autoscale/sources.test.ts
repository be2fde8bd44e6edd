import { expect, test, vi } from 'vitest';
import { sleep } from '../kit/wait.ts';
import type { OpenTrigger, Reading, TriggerNotice } from '../triggers/model.ts';
import { openSource, type SourceOptions } from './sources.ts';

function trigger(answer: (read: number) => Promise<Reading>): OpenTrigger & { reads: number; notify(notice: TriggerNotice): void } {
  let listener: ((notice: TriggerNotice) => void) | undefined;
  const made = {
    reads: 0,
    overlapping: 0,
    read: () => answer(++made.reads),
    watch: (told: (notice: TriggerNotice) => void) => {
      listener = told;
    },
    notify: (notice: TriggerNotice) => listener?.(notice),
    close: async () => {},
  };
  return made;
}

function open(given: OpenTrigger, options: Partial<SourceOptions> = {}) {
  const said: string[] = [];
  const source = openSource({
    name: 'jobs',
    type: 'redis',
    trigger: given,
    pauseMs: () => 60_000,
    onReading: ({ value }) => said.push(`reading ${value}`),
    onFailure: (error) => said.push(`failed ${error.message}`),
    onNotice: () => said.push('notice'),
    onLost: (reason) => said.push(`lost ${reason}`),
    now: Date.now,
    ...options,
  });
  return { source, said };
}

test('a notice is told before the reading that follows it, and many notices make few readings', async () => {
  const given = trigger(async (read) => ({ value: read }));
  const { source, said } = open(given);
  await vi.waitFor(() => expect(said).toEqual(['reading 1']));
  for (let index = 0; index < 100; index++) given.notify({ kind: 'changed' });
  await sleep(150);
  expect(said.filter((text) => text === 'notice')).toHaveLength(100);
  expect(given.reads).toBe(2);
  expect(said.indexOf('notice')).toBeLessThan(said.indexOf('reading 2'));
  await source.close();
});

test('a fresh reading begins after it was asked for, and readings never overlap', async () => {
  let under = 0;
  let most = 0;
  const given = trigger(async (read) => {
    most = Math.max(most, ++under);
    await sleep(40);
    under--;
    return { value: read };
  });
  const { source } = open(given);
  await sleep(10);
  const [first, second] = await Promise.all([source.fresh(), source.fresh()]);
  expect([first.value, second.value, most, given.reads]).toEqual([2, 2, 1, 2]);
  await source.close();
});

test('a delayed job is read for when it is due', async () => {
  const dueMs = Date.now() + 200;
  const given = trigger(async (read) => ({ value: 0, queue: { waiting: 0, ...(read === 1 ? { nextDueMs: dueMs } : {}) } }));
  const times: number[] = [];
  const { source } = open(given, { onReading: () => times.push(Date.now()) });
  await vi.waitFor(() => expect(times).toHaveLength(2));
  expect((times[1] ?? 0) - dueMs).toBeGreaterThanOrEqual(0);
  await source.close();
});

test('a failure is told and tried again, and nothing is told after the end', async () => {
  const given = trigger(async (read) => {
    if (read === 1) throw new Error('no answer');
    return { value: read };
  });
  // Soon after a failure; a reading is not followed by another one while the test looks.
  const { source, said } = open(given, { pauseMs: (reading) => (reading ? 60_000 : 20) });
  await vi.waitFor(() => expect(said).toEqual(['failed no answer', 'reading 2']));
  await source.close();
  given.notify({ kind: 'changed' });
  await sleep(60);
  expect(said.filter((text) => text === 'notice')).toEqual([]);
  await expect(source.fresh()).rejects.toThrow('closed');
});
