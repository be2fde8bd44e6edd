import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from 'commander';
import { EXIT_CODES, Failure } from '../../kit/errors.ts';
import { packageFolder } from '../../kit/package.ts';
import { closest } from '../../project/suggest.ts';
import type { Io } from '../io.ts';
import { table } from '../render/table.ts';

interface ErrorHelp {
  code: string;
  exitCode: number;
  text: string;
}

/** `help`, `help COMMAND`, `help errors` and `help errors CODE`; the words about errors are the reference's own. */
export async function helpCommand(io: Io, program: Command, topic: string[], flags: { json?: boolean }): Promise<void> {
  if (topic[0] === 'errors') {
    await helpErrors(io, topic[1], flags);
    return;
  }
  let command = program;
  for (const word of topic) {
    const next = command.commands.find((one) => one.name() === word);
    if (!next) throw unknown(`there is no command ${topic.join(' ')}`, word, [...command.commands.map((one) => one.name()), 'errors']);
    command = next as Command;
  }
  if (flags.json) io.stdout(`${JSON.stringify({ command: command.name(), help: command.helpInformation() })}\n`);
  else command.outputHelp();
}

async function helpErrors(io: Io, code: string | undefined, flags: { json?: boolean }): Promise<void> {
  const page = await readFile(join(packageFolder(), 'docs/reference/errors.md'), 'utf8');
  const errors = readErrors(page);
  if (code === undefined) {
    if (flags.json) io.stdout(`${JSON.stringify({ errors })}\n`);
    else {
      const rows = errors.map(({ code: name, exitCode, text }) => [name, String(exitCode), firstSentence(text)]);
      io.stdout(`${table(['CODE', 'EXIT', 'MEANS'], rows)}\ncomposure help errors CODE says more and what to do\n`);
    }
    return;
  }
  const found = errors.find((entry) => entry.code === code.toUpperCase());
  if (!found) throw unknown(`there is no error ${code}`, code.toUpperCase(), Object.keys(EXIT_CODES));
  io.stdout(flags.json ? `${JSON.stringify(found)}\n` : `${found.code} (exit code ${found.exitCode})\n\n${wrap(plain(found.text), 80)}\n`);
}

/** The sections of docs/reference/errors.md. */
export function readErrors(page: string): ErrorHelp[] {
  return [...page.matchAll(/^## (\w+)\n\nExit code (\d+)\.\n\n([\s\S]*?)(?=\n## |$(?![\s\S]))/gm)].map(
    ([, code = '', exit, text = '']) => ({
      code,
      exitCode: Number(exit),
      text: text.trim(),
    }),
  );
}

const plain = (text: string): string => text.replace(/\[([^\]]+)\]\([^)]+\)/g, '$1').replaceAll('`', '');
const firstSentence = (text: string): string => (plain(text).split(/(?<=[.:])\s/)[0] ?? '').replace(/:$/, '.');

export function wrap(text: string, width: number): string {
  const lines = [''];
  for (const word of text.split(/\s+/)) {
    const line = lines.at(-1) ?? '';
    if (line !== '' && line.length + 1 + word.length > width) lines.push(word);
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`;
  }
  return lines.join('\n');
}

function unknown(message: string, word: string, known: string[]): Failure {
  const guess = closest(word, known);
  return new Failure('USAGE', message, { next: guess ? `did you mean ${guess}?` : 'composure --help lists what there is' });
}
