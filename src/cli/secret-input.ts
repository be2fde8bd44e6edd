import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import { Failure } from '../kit/errors.ts';
import type { Io } from './io.ts';

/** A value that is typed without being shown, or comes by standard input or from a file; never from the command line, which others can see. */
export async function readSecretValue(io: Io, name: string, file: string | undefined): Promise<string> {
  if (file !== undefined) return readTextFile(io, file);
  if (io.stdin === undefined && process.stdin.isTTY) return typed(io, `Value of ${name} (not shown): `);
  const text = io.stdin ?? decode(await allOf(process.stdin), 'standard input');
  // `echo` and editors end a text with a newline that is no part of the value.
  return text.replace(/\r?\n$/, '');
}

export async function readTextFile(io: Io, file: string): Promise<string> {
  const path = resolve(io.cwd, file);
  let content: Buffer;
  try {
    content = await readFile(path);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    const why = code === 'ENOENT' ? 'does not exist' : code === 'EISDIR' ? 'is a folder' : `cannot be read (${code})`;
    throw new Failure('USAGE', `the file ${file} ${why}`, {
      where: path,
      next: 'check the path; it starts from the folder that the command runs in',
    });
  }
  return decode(content, file);
}

async function allOf(stream: AsyncIterable<Buffer | string>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
}

function decode(content: Buffer, from: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(content);
  } catch {
    throw new Failure('USAGE', `${from} is no text in UTF-8`, { next: 'store binary data as text, for example by base64' });
  }
}

async function typed(io: Io, question: string): Promise<string> {
  io.stderr(question);
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  const reader = createInterface({ input: process.stdin, output: silent, terminal: true });
  const interrupted = new Promise<never>((_resolve, reject) => {
    reader.once('SIGINT', () => reject(new Failure('INTERRUPTED', 'interrupted; nothing was changed')));
    reader.once('close', () => reject(new Failure('INTERRUPTED', 'no value was typed; nothing was changed')));
  });
  try {
    return await Promise.race([reader.question(''), interrupted]);
  } finally {
    interrupted.catch(() => {});
    reader.close();
    io.stderr('\n');
  }
}
