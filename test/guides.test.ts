import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Command } from 'commander';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import type { ZodType } from 'zod';
import { buildProgram } from '../src/cli/program.ts';
import { KEYS } from '../src/project/keys.ts';

/** What people read by hand has to name what there is. The reference pages are generated and have a test of their own. */
const root = join(import.meta.dirname, '..');
const PAGES = globSync(['*.md', 'docs/**/*.md', 'examples/*/*.md', 'scripts/*.md'], { cwd: root, exclude: ['docs/reference/**'] }).sort();
const read = (page: string): string => readFileSync(join(root, page), 'utf8');

/** Command lines of a page: those of indented blocks, and those in the text between backquotes. */
function commandsOf(text: string): string[][] {
  const blocks = [...text.matchAll(/^ {4}(.*)$/gm)].flatMap(([, line = '']) => line.split(/ {2,}#| && | \| | \|\| /));
  const spans = [...text.matchAll(/`([^`\n]+)`/g)].map(([, span = '']) => span);
  return [...blocks, ...spans].flatMap((line) => {
    const words = line
      .trim()
      .replace(/^(sudo |[A-Z_]+=\S+ )+/, '')
      .split(/[\s[\]|]+/)
      .filter((word) => word !== '' && word !== '…');
    return words[0] === 'composure' ? [words.slice(1)] : [];
  });
}

/** What is wrong with a command line; undefined: nothing. */
function faultOf(program: Command, words: readonly string[]): string | undefined {
  let command = program;
  const rest = [...words];
  for (;;) {
    const inner = command.commands.find((one) => one.name() === rest[0] || one.aliases().includes(rest[0] ?? ''));
    if (!inner) break;
    command = inner;
    rest.shift();
  }
  const values: string[] = [];
  const options = [...command.options, ...inherited(command)];
  for (let word = rest.shift(); word !== undefined && word !== '--'; word = rest.shift()) {
    if (word === '--help') continue;
    if (!/^-/.test(word)) {
      values.push(word);
      continue;
    }
    const name = word.replace(/=.*/s, '');
    const option = options.find(({ long, short }) => long === name || short === name);
    if (!option) return `${command.name()} has no option ${name}`;
    if (option.required && !word.includes('=') && rest.shift() === undefined) return `${name} wants a value`;
  }
  const takes = command.registeredArguments;
  if (takes.at(-1)?.variadic) return undefined;
  return values.length > takes.length ? `${command.name()} takes no "${values[takes.length]}"` : undefined;
}

/** A group with a command of its own, such as agent, takes that one's options. */
const inherited = (command: Command): Command['options'] => command.commands.flatMap(({ options }) => options);

describe('what the guides name is there:', () => {
  const program = buildProgram() as Command;

  test.each(PAGES)('commands and options in %s', (page) => {
    const faults = commandsOf(read(page)).flatMap((words) => {
      const fault = faultOf(program, words);
      return fault === undefined ? [] : [`composure ${words.join(' ')}: ${fault}`];
    });
    expect(faults).toEqual([]);
  });

  // A block may also show what stands within a service, without the service around it.
  test.each(PAGES)('keys in %s', (page) => {
    const blocks = [...read(page).matchAll(/^```ya?ml\n(.*?)^```$/gms)].map(([, block = '']) => block);
    const faults = blocks.flatMap((block) => {
      const { services = {}, ...project } = (parse(block) ?? {}) as Record<string, Record<string, Record<string, unknown>>>;
      const outside = { ...KEYS.project, ...KEYS.service };
      return [...Object.values(services).flatMap((service) => faultsOf(KEYS.service, service)), ...faultsOf(outside, project)];
    });
    expect(faults).toEqual([]);
  });

  test.each(PAGES)('pages and headings that %s leads to', (page) => {
    const text = read(page).replace(/```.*?```/gs, '');
    const targets = [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) => target).filter((target) => !/^[a-z]+:/.test(target));
    const faults = targets.filter((target) => {
      const [path = '', heading] = target.split('#');
      const file = path === '' ? page : join(dirname(page), path);
      if (!existsSync(join(root, file))) return true;
      return heading !== undefined && !headingsOf(read(file)).includes(heading);
    });
    expect(faults).toEqual([]);
  });
});

const faultsOf = (keys: Record<string, ZodType>, found: Record<string, unknown> | null): string[] =>
  Object.entries(found ?? {}).flatMap(([key, value]) => {
    if (!key.startsWith('x-')) return [];
    const checked = keys[key]?.safeParse(value);
    if (checked === undefined) return [`there is no key ${key}`];
    return checked.success ? [] : checked.error.issues.map(({ path, message }) => `${[key, ...path].join('.')}: ${message}`);
  });

/** As GitHub makes anchors of headings. */
const headingsOf = (text: string): string[] =>
  [...text.replace(/```.*?```/gs, '').matchAll(/^#+ (.*)$/gm)].map(([, title = '']) =>
    title
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(/\s/g, '-'),
  );

test('a command, an option and a value that are not there are found', () => {
  const program = buildProgram() as Command;
  const faults = (text: string) => commandsOf(text).map((words) => faultOf(program, words));
  expect(faults('    composure backup restore --dry-run     # a look\n    sudo composure agent install && composure status\n')).toEqual([
    undefined,
    undefined,
    undefined,
  ]);
  expect(faults('`composure backup drill [--set ID | --at TIME]`, `composure down --volumes`')).toEqual([undefined, undefined]);
  expect(faults('`composure backup undo`')).toEqual(['backup takes no "undo"']);
  expect(faults('    composure backup run --now\n')).toEqual(['run has no option --now']);
  expect(faults('    composure backup drill 20261124\n')).toEqual(['drill takes no "20261124"']);
});
