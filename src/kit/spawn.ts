import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import type { Writable } from 'node:stream';

export interface RunOptions {
  cwd?: string;
  /** Added to this process's environment. Secrets go here or to stdin, never into the arguments. */
  env?: Record<string, string>;
  input?: string;
  /** Leaves the standard input open after `input`, so that the program can see this process end. */
  holdInput?: boolean;
  timeoutMs?: number;
  signal?: AbortSignal;
  /** Called with each finished line of stdout and stderr as it arrives. */
  onLine?: (line: string, stream: 'stdout' | 'stderr') => void;
  /** The result's stdout is empty then: for output that is too long to be kept, and read by `onLine`. */
  discardStdout?: boolean;
}

export interface RunResult {
  /** Exit code; 127 when the program does not exist, 124 when it ran into the time limit. */
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs a program with an argument array. Never throws for a non-zero exit: the caller decides what it means. */
export function run(program: string, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  return new Promise((resolve) => {
    const child = spawn(program, args, {
      cwd: options.cwd,
      env: options.env ? { ...process.env, ...options.env } : process.env,
      stdio: [options.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
      ...(options.signal ? { signal: options.signal } : {}),
    });
    const out = { stdout: '', stderr: '' };
    const rest = { stdout: '', stderr: '' };
    let timedOut = false;
    const timer = options.timeoutMs
      ? setTimeout(() => {
          timedOut = true;
          child.kill('SIGKILL');
        }, options.timeoutMs)
      : undefined;
    for (const stream of ['stdout', 'stderr'] as const) {
      child[stream]?.setEncoding('utf8').on('data', (text: string) => {
        if (stream === 'stderr' || !options.discardStdout) out[stream] += text;
        if (!options.onLine) return;
        const lines = (rest[stream] + text).split('\n');
        rest[stream] = lines.pop() ?? '';
        for (const line of lines) options.onLine(line, stream);
      });
    }
    child.stdin?.on('error', () => {});
    sendInput(child.stdin, options);
    let failure: NodeJS.ErrnoException | undefined;
    child.on('error', (error: NodeJS.ErrnoException) => {
      failure = error;
      if (child.pid === undefined) finish(127);
    });
    child.on('close', (code, signal) => finish(timedOut ? 124 : (code ?? (signal ? 128 : 1))));
    function finish(code: number) {
      clearTimeout(timer);
      for (const stream of ['stdout', 'stderr'] as const) if (rest[stream]) options.onLine?.(rest[stream], stream);
      resolve({ code, stdout: out.stdout, stderr: out.stderr || (failure?.message ?? '') });
    }
  });
}

function sendInput(stdin: Writable | null, { input, holdInput }: RunOptions): void {
  if (input === undefined) return;
  if (holdInput) stdin?.write(input);
  else stdin?.end(input);
}

/** A program whose standard output is read as it comes, as bytes. */
export interface Streamed {
  output: AsyncIterable<Uint8Array>;
  /** Exit code as `run` has it, and what it said on stderr. Comes after the output was read to its end, or after `stop`. */
  ended: Promise<{ code: number; stderr: string }>;
  stop(): void;
}

/** Starts a program for its output. Never throws for a non-zero exit: the caller decides what it means. */
export function stream(program: string, args: readonly string[], options: Omit<RunOptions, 'timeoutMs' | 'onLine'> = {}): Streamed {
  const child = spawn(program, args, {
    cwd: options.cwd,
    env: options.env ? { ...process.env, ...options.env } : process.env,
    stdio: ['pipe', 'pipe', 'pipe'],
    ...(options.signal ? { signal: options.signal } : {}),
  });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  child.stdin.on('error', () => {});
  if (options.input === undefined) child.stdin.end();
  else sendInput(child.stdin, options);
  const ended = new Promise<{ code: number; stderr: string }>((resolve) => {
    let failure: NodeJS.ErrnoException | undefined;
    child.on('error', (error: NodeJS.ErrnoException) => {
      failure = error;
      if (child.pid === undefined) resolve({ code: 127, stderr: error.message });
    });
    child.on('close', (code, signal) => resolve({ code: code ?? (signal ? 128 : 1), stderr: stderr || (failure?.message ?? '') }));
  });
  return {
    output: child.stdout,
    ended,
    stop: () => {
      child.stdout.destroy();
      child.kill('SIGTERM');
    },
  };
}

/** Runs a program on this process's own terminal and answers its exit code; 127 when it cannot be started. `env` is its whole environment. */
export function runAttached(
  program: string,
  args: readonly string[],
  { cwd, env }: { cwd: string; env: NodeJS.ProcessEnv },
): Promise<number> {
  return new Promise((resolve) => {
    const child = spawn(program, args, { cwd, env, stdio: 'inherit' });
    // Ctrl-C reaches the program by the terminal; this process waits for what it makes of it.
    const ignore = () => {};
    const pass = () => child.kill('SIGTERM');
    process.on('SIGINT', ignore).on('SIGTERM', pass);
    const finish = (code: number): void => {
      process.off('SIGINT', ignore).off('SIGTERM', pass);
      resolve(code);
    };
    child.on('error', () => finish(127));
    child.on('close', (code, signal) => finish(code ?? (signal ? 128 + constants.signals[signal] : 1)));
  });
}
