import type { Socket } from 'node:net';
import { PassThrough, type Readable } from 'node:stream';
import { waitFor } from '../kit/wait.ts';

/** A command in a container with its streams. */
export interface Attached {
  /** Of Buffers. */
  stdout: Readable;
  /** Writes to the command's input; resolves when more may be written. */
  write(chunk: Uint8Array | string): Promise<void>;
  endInput(): void;
  /**
   * Resolves when the command ended: its exit code, or undefined when the connection broke before that could be known. `stderr`: the last
   * 16 KiB of it.
   */
  ended: Promise<{ code: number | undefined; stderr: string }>;
  /** Lets go of the connection. The command sees its input end and its output closed. */
  close(): void;
}

const STDERR_KEPT = 16_384;
/** Of up to 32 KiB each, by the engine's choice. */
const CHUNKS_KEPT = 32;
/** Bytes before each frame. */
const HEAD = 8;
const NOTHING = Buffer.alloc(0);

/** The engine's framed streams (1 byte stream, 3 zero, 4 length, payload) taken apart as they arrive, with back pressure from stdout. */
export function attach({ socket, head: first }: { socket: Socket; head: Buffer }, exitCode: () => Promise<number | undefined>): Attached {
  // As objects, chunks are handed on as they came: as bytes, those that wait would be copied into one.
  const stdout = new PassThrough({ objectMode: true, highWaterMark: CHUNKS_KEPT });
  let stderr = Buffer.alloc(0);
  let head: Buffer = NOTHING;
  /** Of the frame that is being read: whose it is, and how much of it is to come. */
  let stream = 0;
  let left = 0;
  let isCut = false;
  // An error is told by `ended`; who reads stdout sees it end early.
  stdout.on('error', () => {});

  const give = (payload: Buffer): void => {
    if (stream === 2) stderr = Buffer.concat([stderr, payload]).subarray(-STDERR_KEPT);
    else if (!stdout.write(payload) && !socket.isPaused()) {
      socket.pause();
      stdout.once('drain', () => socket.resume());
    }
  };

  const take = (chunk: Buffer): void => {
    for (let at = 0; at < chunk.length; ) {
      if (left > 0) {
        const payload = chunk.subarray(at, at + left);
        left -= payload.length;
        at += payload.length;
        give(payload);
        continue;
      }
      const more = chunk.subarray(at, at + HEAD - head.length);
      at += more.length;
      head = head.length > 0 ? Buffer.concat([head, more]) : more;
      if (head.length < HEAD) continue;
      stream = head[0] ?? 0;
      left = head.readUInt32BE(4);
      head = NOTHING;
    }
  };

  const ended = new Promise<{ code: number | undefined; stderr: string }>((resolve) => {
    let isOver = false;
    const finish = async (): Promise<void> => {
      if (isOver) return;
      isOver = true;
      // The engine closes the streams a moment before it knows the exit code.
      const code = await waitFor(exitCode, { everyMs: 20, timeoutMs: 10_000 }).catch(() => undefined);
      // First the code: who has read everything asks for it at once.
      resolve({ code: isCut || left > 0 || head.length > 0 ? undefined : code, stderr: stderr.toString('utf8').trim() });
      stdout.end();
    };
    socket.on('end', finish);
    socket.on('close', finish);
    socket.on('error', () => {
      isCut = true;
      void finish();
    });
  });

  if (first.length > 0) take(first);
  socket.on('data', take);
  return {
    stdout,
    write: (chunk) =>
      new Promise((resolve, reject) => {
        socket.write(chunk, (error) => (error ? reject(error) : resolve()));
      }),
    endInput: () => void socket.end(),
    ended,
    close: () => {
      isCut = true;
      socket.destroy();
      stdout.destroy();
    },
  };
}
