import { createReadStream, createWriteStream, type WriteStream } from 'node:fs';
import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { AutoscaleEvent } from './model.ts';

/** Events are kept for this long, and never more bytes of them than this. */
const KEPT_MS = 24 * 3_600_000;
const KEPT_BYTES = 64 * 1024 * 1024;
/** One file for each hour. */
const PIECE_MS = 3_600_000;

const folderOf = (state: string): string => join(state, 'autoscale', 'events');
const pieceName = (atMs: number): string => `${Math.floor(atMs / PIECE_MS) * PIECE_MS}.jsonl`;

/** The autoscaler's events as JSON lines, for replay. They hold numbers, names and ids, never a value of the user's environment. */
export interface Recording {
  append(event: AutoscaleEvent): void;
  close(): Promise<void>;
}

/**
 * Appends without waiting: recording is never in the way of an action, and what a crash cuts off is a loss for replay only. A reading that
 * says what the one before said is left out. `snapshot` is asked at the start of every piece, so that a replay can begin there.
 */
export function openRecording(state: string, snapshot: () => AutoscaleEvent[], onProblem: (error: Error) => void): Recording {
  let piece: { name: string; stream: WriteStream } | undefined;
  let broken = false;
  const lastReadings = new Map<string, string>();

  function streamFor(atMs: number): WriteStream {
    const name = pieceName(atMs);
    if (piece?.name === name) return piece.stream;
    piece?.stream.end();
    const stream = createWriteStream(join(folderOf(state), name), { flags: 'a', mode: 0o600 });
    stream.on('error', (error) => {
      broken = true;
      onProblem(error);
    });
    piece = { name, stream };
    lastReadings.clear();
    for (const event of snapshot()) stream.write(`${JSON.stringify(event)}\n`);
    prune(state, atMs).catch(onProblem);
    return stream;
  }

  const ready = mkdir(folderOf(state), { recursive: true, mode: 0o700 });
  ready.catch((error: Error) => {
    broken = true;
    onProblem(error);
  });
  let early: AutoscaleEvent[] | undefined = [];
  ready.then(
    () => {
      const waiting = early ?? [];
      early = undefined;
      for (const event of waiting) append(event);
    },
    () => {},
  );

  function append(event: AutoscaleEvent): void {
    if (broken) return;
    if (early) {
      early.push(event);
      return;
    }
    const stream = streamFor(event.atMs);
    if (event.kind === 'reading') {
      const { atMs: _at, ...rest } = event;
      const key = `${event.tier} ${event.trigger}`;
      const text = JSON.stringify(rest);
      if (lastReadings.get(key) === text) return;
      lastReadings.set(key, text);
    }
    stream.write(`${JSON.stringify(event)}\n`);
  }

  return {
    append,
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

/** What was recorded from the piece that holds `sinceMs` on, oldest first. A line that a crash cut short is passed over. */
export async function* readRecording(state: string, sinceMs = 0): AsyncGenerator<AutoscaleEvent> {
  for (const piece of await pieces(state)) {
    if (piece.startMs + PIECE_MS <= sinceMs) continue;
    for await (const line of createInterface({ input: createReadStream(join(folderOf(state), piece.name), 'utf8') })) {
      try {
        yield JSON.parse(line) as AutoscaleEvent;
      } catch {}
    }
  }
}
