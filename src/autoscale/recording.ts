import { createReadStream, createWriteStream, mkdirSync, type WriteStream } from 'node:fs';
import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Action, AutoscaleEvent, Decision } from './model.ts';
import type { AutoscaleState } from './policy/state.ts';
import type { Recorded } from './replay.ts';

/** Events are kept for this long, and never more bytes of them than this. */
const KEPT_MS = 24 * 3_600_000;
const KEPT_BYTES = 64 * 1024 * 1024;
/** One file for each hour. */
const PIECE_MS = 3_600_000;

const folderOf = (state: string): string => join(state, 'autoscale', 'events');
const pieceName = (atMs: number): string => `${Math.floor(atMs / PIECE_MS) * PIECE_MS}.jsonl`;

/** Where a replay can begin: what was known before the next line. The first line of every piece and of every agent's. */
interface StateLine {
  state: AutoscaleState;
}

/** An event with what was decided on it; empty lists are left out. */
interface EventLine {
  event: AutoscaleEvent;
  actions?: Action[];
  decisions?: Decision[];
}

/** A reading that said what the one of this trigger before it said, and on which nothing was done: most are. */
interface AgainLine {
  again: string;
  atMs: number;
}

type Line = StateLine | EventLine | AgainLine;

/**
 * The autoscaler's events and what was decided on them, as JSON lines, for replay. They hold numbers, names and ids, never a value of the
 * user's environment.
 */
export interface Recording {
  /** Before decide() is given the event, which it takes over together with the state. Answers how to go on when it has decided. */
  begin(event: AutoscaleEvent, state: AutoscaleState): (outcome: Pick<Recorded, 'actions' | 'decisions'>) => void;
  close(): Promise<void>;
}

/** Appends without waiting: recording is never in the way of an action, and what a crash cuts off is a loss for replay only. */
export function openRecording(state: string, onProblem: (error: Error) => void): Recording {
  let piece: { name: string; stream: WriteStream } | undefined;
  let broken = false;
  const lastReadings = new Map<string, string>();

  /** The stream of the event's hour; `start` is asked for what a new one begins with. */
  function streamFor(atMs: number, start: () => AutoscaleState): WriteStream {
    const name = pieceName(atMs);
    if (piece?.name === name) return piece.stream;
    piece?.stream.end();
    mkdirSync(folderOf(state), { recursive: true, mode: 0o700 });
    const stream = createWriteStream(join(folderOf(state), name), { flags: 'a', mode: 0o600 });
    stream.on('error', (error) => {
      broken = true;
      onProblem(error);
    });
    piece = { name, stream };
    lastReadings.clear();
    stream.write(`${JSON.stringify({ state: start() } satisfies StateLine)}\n`);
    prune(state, atMs).catch(onProblem);
    return stream;
  }

  function begin(event: AutoscaleEvent, before: AutoscaleState): ReturnType<Recording['begin']> {
    if (broken) return () => {};
    let stream: WriteStream;
    try {
      stream = streamFor(event.atMs, () => before);
    } catch (error) {
      broken = true;
      onProblem(error as Error);
      return () => {};
    }
    const { atMs } = event;
    const text = JSON.stringify(event);
    const reading = event.kind === 'reading' ? { key: `${event.tier} ${event.trigger}`, text: JSON.stringify(event.reading) } : undefined;
    return ({ actions, decisions }) => {
      const isQuiet = actions.length === 0 && decisions.length === 0;
      if (reading && isQuiet && lastReadings.get(reading.key) === reading.text) {
        stream.write(`${JSON.stringify({ again: reading.key, atMs } satisfies AgainLine)}\n`);
        return;
      }
      if (reading) lastReadings.set(reading.key, reading.text);
      const rest = `${actions.length > 0 ? `,"actions":${JSON.stringify(actions)}` : ''}${decisions.length > 0 ? `,"decisions":${JSON.stringify(decisions)}` : ''}`;
      stream.write(`{"event":${text}${rest}}\n`);
    };
  }

  return {
    begin,
    close: () =>
      new Promise((resolve) => {
        if (piece && !broken) piece.stream.end(resolve);
        else resolve();
      }),
  };
}

async function pieces(state: string): Promise<{ name: string; startMs: number; bytes: number }[]> {
  const names = (await readdir(folderOf(state)).catch(() => [] as string[])).filter((name) => /^\d+\.jsonl$/.test(name));
  const found = await Promise.all(
    names.map(async (name) => ({
      name,
      startMs: Number.parseInt(name, 10),
      bytes: (await stat(join(folderOf(state), name)).catch(() => undefined))?.size ?? 0,
    })),
  );
  return found.sort((a, b) => a.startMs - b.startMs);
}

async function prune(state: string, atMs: number): Promise<void> {
  const found = await pieces(state);
  let bytes = found.reduce((sum, one) => sum + one.bytes, 0);
  for (const one of found.slice(0, -1)) {
    if (one.startMs + PIECE_MS >= atMs - KEPT_MS && bytes <= KEPT_BYTES) break;
    await rm(join(folderOf(state), one.name), { force: true });
    bytes -= one.bytes;
  }
}

/** What one agent recorded within one hour: the state before it, and every event with what was decided on it, in order. */
export interface Segment {
  start: AutoscaleState;
  recorded: Recorded[];
}

/** What was recorded from the piece that holds `sinceMs` on, oldest first. A line that a crash cut short is passed over. */
export async function* readSegments(state: string, sinceMs = 0): AsyncGenerator<Segment> {
  for (const piece of await pieces(state)) {
    if (piece.startMs + PIECE_MS <= sinceMs) continue;
    let segment: Segment | undefined;
    const lastReadings = new Map<string, AutoscaleEvent & { kind: 'reading' }>();
    for await (const text of createInterface({ input: createReadStream(join(folderOf(state), piece.name), 'utf8') })) {
      let line: Line;
      try {
        line = JSON.parse(text) as Line;
      } catch {
        continue;
      }
      if ('state' in line) {
        if (segment) yield segment;
        segment = { start: line.state, recorded: [] };
        lastReadings.clear();
      } else if ('again' in line) {
        const same = lastReadings.get(line.again);
        if (same) segment?.recorded.push({ event: { ...structuredClone(same), atMs: line.atMs }, actions: [], decisions: [] });
      } else {
        const { event, actions = [], decisions = [] } = line;
        if (event.kind === 'reading') lastReadings.set(`${event.tier} ${event.trigger}`, event);
        segment?.recorded.push({ event, actions, decisions });
      }
    }
    if (segment) yield segment;
  }
}
