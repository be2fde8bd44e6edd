import { type FileHandle, open } from 'node:fs/promises';
import { connect } from 'node:net';
import { basename, dirname, join } from 'node:path';
import { edgeFolder } from '../state/folder.ts';

/** Longest path that fits into a socket address on Linux. */
const LONGEST_PATH = 107;

export const runFolder = (folder: string, generation: number): string => join(edgeFolder(folder), 'run', String(generation));
export const adminSocket = (folder: string, generation: number): string => join(runFolder(folder, generation), 'admin.sock');
export const masterSocket = (folder: string, generation: number): string => join(runFolder(folder, generation), 'master.sock');

/**
 * Sends one line (several commands joined by "; ", a payload after "<<") to a HAProxy socket and returns the whole answer.
 * The worker's socket must not be half-closed, or `wait` breaks off; the master's must be, or it never ends the answer.
 */
export async function ask(path: string, line: string, { master = false, timeoutMs = 10_000 } = {}): Promise<string> {
  let folder: FileHandle | undefined;
  try {
    let address = path;
    if (Buffer.byteLength(path) > LONGEST_PATH) {
      folder = await open(dirname(path), 'r');
      address = `/proc/self/fd/${folder.fd}/${basename(path)}`;
    }
    return await converse(address, line, master, timeoutMs);
  } finally {
    await folder?.close();
  }
}

function converse(path: string, line: string, master: boolean, timeoutMs: number): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = '';
    const socket = connect(path);
    const timer = setTimeout(() => socket.destroy(new Error(`no answer on ${path} within ${timeoutMs} ms`)), timeoutMs);
    socket.setEncoding('utf8');
    socket.on('connect', () => (master ? socket.end(`${line}\n`) : socket.write(`${line}\n`)));
    socket.on('data', (text: string) => {
      answer += text;
    });
    socket.on('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
    socket.on('close', () => {
      clearTimeout(timer);
      resolve(answer);
    });
  });
}

/** Nobody listens there: no such file, or one that a dead process left. */
export const isSilent = (error: unknown): boolean =>
  ['ENOENT', 'ECONNREFUSED', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '');

/** HAProxy reads a command line into one 16 kB buffer. */
export const LONGEST_LINE = 12_000;

/** Joins commands into as few lines as fit, in order. */
export function joinCommands(commands: string[], longest: number = LONGEST_LINE): string[] {
  const lines: string[] = [];
  for (const command of commands) {
    const line = lines.at(-1);
    if (line !== undefined && line.length + 2 + command.length <= longest) lines[lines.length - 1] = `${line}; ${command}`;
    else lines.push(command);
  }
  return lines;
}
