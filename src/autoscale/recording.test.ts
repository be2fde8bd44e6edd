import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { AutoscaleEvent } from './model.ts';
import { openRecording, readRecording } from './recording.ts';

const HOUR = 3_600_000;
const NOW = 1_795_500_000_000 - (1_795_500_000_000 % HOUR);

async function withState(body: (state: string) => Promise<void>): Promise<void> {
  const state = await mkdtemp(join(tmpdir(), 'composure-recording-'));
  try {
    await body(state);
  } finally {
    await rm(state, { recursive: true, force: true });
  }
}
async function all(state: string, sinceMs?: number): Promise<string[]> {
  const found: string[] = [];
  for await (const event of readRecording(state, sinceMs)) found.push(`${event.kind}@${event.atMs - NOW}`);
  return found;
}
const reading = (atMs: number, value: number): AutoscaleEvent => ({
  atMs,
  kind: 'reading',
  tier: 'shop/worker',
  trigger: 'jobs',
  reading: { value },
});

test('every hour begins with all that is known; a reading that says nothing new is left out', () =>
  withState(async (state) => {
    let piece = 0;
    const recording = openRecording(
      state,
      () => [{ atMs: NOW + 1000 * piece++, kind: 'tick' }],
      (error) => expect(error).toBeUndefined(),
    );
    for (const event of [reading(NOW, 1), reading(NOW + 1, 1), reading(NOW + 2, 2), reading(NOW + HOUR, 2)]) recording.append(event);
    await recording.close();
    expect(await all(state)).toEqual(['tick@0', 'reading@0', 'reading@2', 'tick@1000', `reading@${HOUR}`]);
    expect(await all(state, NOW + HOUR)).toEqual(['tick@1000', `reading@${HOUR}`]);
    const file = await stat(join(state, 'autoscale', 'events', `${NOW}.jsonl`));
    expect(file.mode & 0o777).toBe(0o600);
  }));

test('what is older than a day goes, and a line that a crash cut short is passed over', () =>
  withState(async (state) => {
    const first = openRecording(
      state,
      () => [],
      () => {},
    );
    first.append(reading(NOW - 30 * HOUR, 1));
    await first.close();
    await writeFile(join(state, 'autoscale', 'events', `${NOW - HOUR}.jsonl`), `${JSON.stringify(reading(NOW - HOUR, 1))}\n{"kind":"rea`);
    const second = openRecording(
      state,
      () => [],
      () => {},
    );
    second.append(reading(NOW, 3));
    await second.close();
    await expect.poll(() => readdir(join(state, 'autoscale', 'events'))).toEqual([`${NOW - HOUR}.jsonl`, `${NOW}.jsonl`]);
    expect(await all(state)).toEqual([`reading@${-HOUR}`, 'reading@0']);
  }));
