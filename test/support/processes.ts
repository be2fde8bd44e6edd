import { readdirSync, readFileSync } from 'node:fs';

export interface Process {
  pid: number;
  /** Arguments, the program's name without its folder first. */
  command: string[];
  /** NAME=value, one after the other. */
  environment: string;
}

/** A process of this machine by its program, and by a text in its arguments or its environment. Throws when there is none. */
export function processOf(program: string, text: string): Process {
  for (const pid of pids()) {
    const command = fileOf(pid, 'cmdline').split('\0').slice(0, -1);
    const environment = fileOf(pid, 'environ');
    if (command[0]?.split('/').at(-1) !== program || !(environment + command.join(' ')).includes(text)) continue;
    return { pid, command: [program, ...command.slice(1)], environment };
  }
  throw new Error(`no ${program} works on ${text}`);
}

/** The arguments of every process of this machine, as `ps` shows them to anybody. */
export const allCommandLines = (): string[] => pids().map((pid) => fileOf(pid, 'cmdline').replaceAll('\0', ' '));

const pids = (): number[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);

function fileOf(pid: number, name: string): string {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'latin1');
  } catch {
    return '';
  }
}
