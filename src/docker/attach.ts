import type { Socket } from 'node:net';
import { PassThrough, type Readable } from 'node:stream';
import { waitFor } from '../kit/wait.ts';

/** A command in a container with its streams. */
export interface Attached {
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

/** The engine's framed streams (1 byte stream, 3 zero, 4 length, payload) taken apart as they arrive, with back pressure from stdout. */
export function attach({ socket, head }: { socket: Socket; head: Buffer }, exitCode: () => Promise<number | undefined>): Attached {
  const stdout = new PassThrough({ highWaterMark: 1 << 20 });
  let stderr = Buffer.alloc(0);
  let rest = Buffer.alloc(0);
  let isCut = false;
  // An error is told by `ended`; who reads stdout sees it end early.
  stdout.on('error', () => {});

  const take = (chunk: Buffer): void => {
    let data = rest.length > 0 ? Buffer.concat([rest, chunk]) : chunk;
    while (data.length >= 8) {
      const length = data.readUInt32BE(4);
      if (data.length < 8 + length) break;
      const payload = data.subarray(8, 8 + length);
      if (data[0] === 2) stderr = Buffer.concat([stderr, payload]).subarray(-STDERR_KEPT);
      else if (!stdout.write(payload) && !socket.isPaused()) {
        socket.pause();
        stdout.once('drain', () => socket.resume());
      }
      data = data.subarray(8 + length);
    }
    rest = Buffer.from(data);
  };

  const ended = new Promise<{ code: number | undefined; stderr: string }>((resolve) => {
    let isOver = false;
    const finish = async (): Promise<void> => {
      if (isOver) return;
      isOver = true;
      // The engine closes the streams a moment before it knows the exit code.
      const code = await waitFor(exitCode, { everyMs: 20, timeoutMs: 10_000 }).catch(() => undefined);
      // First the code: who has read everything asks for it at once.
      resolve({ code: isCut || rest.length > 0 ? undefined : code, stderr: stderr.toString('utf8').trim() });
      stdout.end();
    };
    socket.on('end', finish);
    socket.on('close', finish);
    socket.on('error', () => {
      isCut = true;
      void finish();
    });
  });

  if (head.length > 0) take(head);
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
