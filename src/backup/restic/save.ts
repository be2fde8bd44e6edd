import { closeSync, constants, openSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { Socket } from 'node:net';
import { join } from 'node:path';
import { Failure } from '../../kit/errors.ts';
import { run } from '../../kit/spawn.ts';
import { sleep } from '../../kit/wait.ts';
import { rememberSnapshots } from '../known-snapshots.ts';
import { type ResticMessage, readMessages, resticFailure } from './outcome.ts';
import type { Restic } from './program.ts';

export interface Saved {
  snapshot: string;
  files: number;
  bytes: number;
  added: number;
  vanished: string[];
}

/**
 * restic saves a snapshot only when the program whose output it reads ends with 0, and this one does so only when the file "whole" is there.
 * It is made after the dump was found whole. A dump that fails, and a Composure that is killed, just close the pipe. Fixed text: data reaches
 * it as arguments. Opening the pipe both ways first keeps it from waiting for a writer that was killed before it came here.
 */
export const RELAY = ['sh', '-c', 'exec 3<>"$1" 4<"$1" 3>&-; cat <&4 && test -e "$2"', 'sh'];

/** What a finished dump came to: undefined when it is whole, else why not. */
export type Verdict = () => Promise<string | undefined>;

/**
 * Saves a stream as one file in a snapshot of its own. When the stream breaks or `verdict` finds a fault, there is no snapshot and Failure
 * BACKUP_FAILED says why.
 */
export async function saveStream(
  restic: Restic,
  {
    file,
    tags,
    scratch,
    stream,
    verdict,
    host,
  }: {
    file: string;
    tags: readonly string[];
    scratch: string;
    stream: AsyncIterable<Uint8Array>;
    verdict: Verdict;
    host: string;
  },
): Promise<Saved> {
  const folder = await mkdtemp(join(scratch, 'pipe-'));
  const pipe = join(folder, 'pipe');
  const whole = join(folder, 'whole');
  try {
    const made = await run('mkfifo', ['-m', '600', pipe]);
    if (made.code !== 0) throw new Failure('BACKUP_FAILED', `cannot make a pipe: ${made.stderr.trim()}`, { where: pipe });
    const ending = new AbortController();
    const first = firstWriter(pipe);
    const saving = restic
      .run(
        [
          'backup',
          '--json',
          '--host',
          host,
          ...tagArgs(tags),
          '--stdin-filename',
          `/${file}`,
          '--stdin-from-command',
          '--',
          ...RELAY,
          pipe,
          whole,
        ],
        { paths: [folder] },
      )
      .finally(() => ending.abort());
    const fault = await feed(first, pipe, whole, stream, verdict, ending.signal);
    const result = await saving;
    const summary = readMessages(result.stdout).find((message) => message.message_type === 'summary');
    if (fault !== undefined) {
      // The pipe was closed without "whole": restic has to have refused.
      if (summary?.snapshot_id) await takeBackSnapshot(restic, summary.snapshot_id);
      if (fault.kind === 'dump') throw new Failure('BACKUP_FAILED', fault.why, { where: file });
    }
    if (result.code !== 0 || !summary?.snapshot_id) {
      if (summary?.snapshot_id) await takeBackSnapshot(restic, summary.snapshot_id);
      throw resticFailure(result, `save ${file}`, restic.repository);
    }
    await remember(restic, summary, { tags, host });
    return savedOf(summary, []);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

type Fault = { kind: 'dump'; why: string } | { kind: 'restic' };

async function feed(
  first: number,
  pipe: string,
  whole: string,
  stream: AsyncIterable<Uint8Array>,
  verdict: Verdict,
  ended: AbortSignal,
): Promise<Fault | undefined> {
  const socket = await openPipe(pipe, ended).finally(() => closeSync(first));
  if (!socket) return { kind: 'restic' };
  let isBroken = false;
  socket.on('error', () => {
    isBroken = true;
  });
  try {
    for await (const chunk of untilEnded(stream, ended)) {
      if (isBroken || ended.aborted) return { kind: 'restic' };
      if (!socket.write(chunk)) await drained(socket);
    }
    if (isBroken || ended.aborted) return { kind: 'restic' };
    const why = await verdict();
    if (why !== undefined) return { kind: 'dump', why };
    await new Promise<void>((resolve) => socket.write('', () => resolve()));
    await writeFile(whole, '');
    return undefined;
  } catch (error) {
    return { kind: 'dump', why: (await verdict().catch(() => undefined)) ?? `the dump broke off: ${(error as Error).message}` };
  } finally {
    await new Promise<void>((resolve) => {
      socket.once('close', () => resolve());
      socket.end(() => socket.destroy());
      if (socket.destroyed) resolve();
    });
  }
}

const drained = (socket: Socket): Promise<void> =>
  new Promise((resolve) => {
    const go = () => {
      socket.off('drain', go).off('close', go).off('error', go);
      resolve();
    };
    socket.on('drain', go).on('close', go).on('error', go);
  });

/** The stream for as long as somebody takes it: a dump may wait for a lock of the database for hours, and nobody has to wait with it. */
async function* untilEnded(stream: AsyncIterable<Uint8Array>, ended: AbortSignal): AsyncGenerator<Uint8Array> {
  const chunks = stream[Symbol.asyncIterator]();
  const end = new Promise<{ done: true; value: undefined }>((resolve) => {
    const stop = (): void => resolve({ done: true, value: undefined });
    if (ended.aborted) stop();
    else ended.addEventListener('abort', stop, { once: true });
  });
  for (;;) {
    const next = await Promise.race([chunks.next(), end]);
    if (next.done) return;
    yield next.value;
  }
}

/** A writing end before there is a reader, so that the relay does not see the end of the pipe before anything was written. */
function firstWriter(pipe: string): number {
  const both = openSync(pipe, constants.O_RDWR);
  try {
    return openSync(pipe, constants.O_WRONLY | constants.O_NONBLOCK);
  } finally {
    closeSync(both);
  }
}

/** The writing end, once restic's relay has opened the other one; undefined when restic ended before. */
async function openPipe(pipe: string, ended: AbortSignal): Promise<Socket | undefined> {
  while (!ended.aborted) {
    try {
      return new Socket({ fd: openSync(pipe, constants.O_WRONLY | constants.O_NONBLOCK), readable: false, writable: true });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENXIO') throw error;
      await sleep(10);
    }
  }
  return undefined;
}

/**
 * Saves a folder's content, as the root of a snapshot. Files that vanish while they are read are named and no failure: a moment later they
 * would not have been there. Anything else that cannot be read leaves no snapshot.
 */
export async function saveFolder(
  restic: Restic,
  { folder, tags, exclude, host }: { folder: string; tags: readonly string[]; exclude: readonly string[]; host: string },
): Promise<Saved> {
  const result = await restic.run(
    ['backup', '--json', '--host', host, ...tagArgs(tags), ...exclude.flatMap((pattern) => ['--exclude', pattern]), '.'],
    { cwd: folder },
  );
  const messages = [...readMessages(result.stdout), ...readMessages(result.stderr)];
  const summary = messages.find((message) => message.message_type === 'summary');
  const errors = messages.filter((message) => message.message_type === 'error');
  const vanished = errors.filter(isVanished).map(({ item = '' }) => item);
  if (summary?.snapshot_id && (result.code === 0 || (result.code === 3 && vanished.length === errors.length && errors.length > 0))) {
    await remember(restic, summary, { tags, host });
    return savedOf(summary, vanished);
  }
  if (summary?.snapshot_id) await takeBackSnapshot(restic, summary.snapshot_id);
  throw resticFailure(result, `save ${folder}`, restic.repository);
}

const isVanished = ({ error, item }: ResticMessage): boolean =>
  item !== undefined && /no such file or directory/.test(error?.message ?? '');

/**
 * Removes a snapshot that is not whole. Where restic cannot, it is left to the end of its set, which says so: what counts for the caller is why the
 * snapshot is not whole.
 */
export async function takeBackSnapshot(restic: Restic, snapshot: string): Promise<void> {
  if (!restic.appendOnly) await restic.run(['forget', '--json', snapshot]);
}

const tagArgs = (tags: readonly string[]): string[] => tags.flatMap((tag) => ['--tag', tag]);

const savedOf = (summary: ResticMessage, vanished: string[]): Saved => ({
  snapshot: summary.snapshot_id ?? '',
  files: summary.total_files_processed ?? 0,
  bytes: summary.total_bytes_processed ?? 0,
  added: summary.data_added_packed ?? 0,
  vanished,
});

/** A snapshot's time is that of its beginning. */
async function remember(
  restic: Restic,
  { snapshot_id: id = '', backup_start: time }: ResticMessage,
  { tags, host }: { tags: readonly string[]; host: string },
): Promise<void> {
  if (time !== undefined) await rememberSnapshots(restic, [{ id, time, hostname: host, tags: [...tags] }]);
}
