import { appendFile, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { queueTypes, scaledService } from './fixtures.ts';
import type { AutoscaleEvent } from './model.ts';
import { createState, decide } from './policy/decide.ts';
import { openRecording, readSegments, type Segment } from './recording.ts';
import { printReplay, replay } from './replay.ts';
import { tierOf } from './tiers.ts';

const HOUR = 3_600_000;
const BEGIN = Date.UTC(2026, 0, 1, 11, 59, 50);

async function withFolder(body: (state: string) => Promise<void>): Promise<void> {
  const state = await mkdtemp(join(tmpdir(), 'composure-recording-'));
  try {
    await body(state);
  } finally {
    await rm(state, { recursive: true, force: true });
  }
}

const { tier } = tierOf('shop', scaledService(), { types: queueTypes });
const reading = (atMs: number, waiting: number): AutoscaleEvent => ({
  atMs,
  kind: 'reading',
  tier: tier.id,
  trigger: 'queue-0',
  reading: { value: waiting, queue: { waiting, active: 0 } },
});
/** A tier from nothing: idle, then jobs, over the turn of an hour. */
const events = (): AutoscaleEvent[] => [
  { atMs: BEGIN, kind: 'host', budget: { cores: 4, cpus: 3, memoryBytes: 8 * 1024 ** 3 } },
  { atMs: BEGIN, kind: 'tier', tier: structuredClone(tier) },
  { atMs: BEGIN, kind: 'workers', tier: tier.id, workers: [] },
  ...[1, 2, 3, 4].map((second) => reading(BEGIN + second * 1000, 0)),
  reading(BEGIN + 5000, 3),
  reading(BEGIN + 15_000, 3),
  { atMs: BEGIN + 16_000, kind: 'tick' },
];

async function record(state: string, all: AutoscaleEvent[]): Promise<void> {
  const problems: Error[] = [];
  const recording = openRecording(state, (error) => problems.push(error));
  let now = createState(BEGIN);
  for (const event of all) {
    const end = recording.begin(event, now);
    const outcome = decide(now, event);
    now = outcome.state;
    end(outcome);
  }
  await recording.close();
  expect(problems).toEqual([]);
}

async function segments(state: string, sinceMs?: number): Promise<Segment[]> {
  const found: Segment[] = [];
  for await (const segment of readSegments(state, sinceMs)) found.push(segment);
  return found;
}

test('what was recorded is decided the same again, from the start of every hour', () =>
  withFolder(async (state) => {
    await record(state, events());
    const found = await segments(state);
    expect(found.map(({ recorded }) => recorded.map(({ event }) => event))).toEqual([
      events().filter(({ atMs }) => atMs < BEGIN + 10_000),
      events().filter(({ atMs }) => atMs >= BEGIN + 10_000),
    ]);
    expect(found.flatMap(({ recorded }) => recorded).flatMap(({ actions }) => actions).length).toBeGreaterThan(0);
    for (const { start, recorded } of found)
      expect(printReplay(replay(start, recorded))).toBe(`${recorded.length} events, decided as recorded\n`);
    expect((await segments(state, BEGIN + HOUR)).length).toBe(1);
  }));

test('a reading that says nothing new takes a short line', () =>
  withFolder(async (state) => {
    await record(state, events());
    const [piece] = (await readdir(join(state, 'autoscale', 'events'))).sort();
    const lines = (await readFile(join(state, 'autoscale', 'events', piece ?? ''), 'utf8')).trim().split('\n');
    expect(lines.filter((line) => line.startsWith('{"again"'))).toHaveLength(3);
  }));

test('a second agent within the hour begins anew, a line that was cut is passed over, old and strange files are left out', () =>
  withFolder(async (state) => {
    const early = events().filter(({ atMs }) => atMs < BEGIN + 10_000);
    await record(state, early);
    const folder = join(state, 'autoscale', 'events');
    const [piece] = await readdir(folder);
    await appendFile(join(folder, piece ?? ''), '{"event":{"atMs":1,"ki\n');
    await record(state, early);
    await writeFile(join(folder, 'notes.txt'), 'mine');
    const found = await segments(state);
    expect(found.map(({ recorded }) => recorded.length)).toEqual([early.length, early.length]);
  }));

test('decided otherwise now is said with what was decided then', () =>
  withFolder(async (state) => {
    await record(state, events());
    const [first] = await segments(state);
    if (!first) throw new Error('nothing recorded');
    const text = printReplay(
      replay(first.start, first.recorded, (event) =>
        event.kind === 'reading' ? { ...event, reading: { value: 0, queue: { waiting: 0, active: 0 } } } : event,
      ),
    );
    expect(text).toMatch(/events, \d+ decided otherwise/);
    expect(text).toMatch(/^ {2}- /m);
  }));
