import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { expect, test } from 'vitest';
import { main } from '../../src/cli/main.ts';
import { allCommands, buildProgram } from '../../src/cli/program.ts';

/** Commands that change nothing, each with what it does instead. Every other one must have --dry-run. */
const READ_ONLY = new Set([
  'plan',
  'status',
  'releases',
  'logs',
  'simulate',
  'autoscale status',
  'autoscale explain',
  'autoscale export',
  'autoscale replay',
  'edge status',
  'secrets get',
  'secrets list',
  'secrets recipients list',
  'backup list',
  'backup show',
  'backup status',
  'backup verify',
  'agent status',
  'agent logs',
  'secrets get',
  'secrets list',
  'secrets recipients list',
  'help',
]);

const root = join(import.meta.dirname, '../..');

async function composure(...argv: string[]): Promise<{ code: number; out: string; err: string }> {
  const said = { out: '', err: '' };
  const write = (name: 'out' | 'err') => (text: string) => {
    said[name] += text;
  };
  const code = await main(argv, { cwd: '/', env: {}, stdout: write('out'), stderr: write('err'), isTTY: false });
  return { code, ...said };
}

function fullName(command: Command): string {
  const parent = command.parent;
  return parent?.parent ? `${fullName(parent)} ${command.name()}` : command.name();
}

const commands = allCommands(buildProgram()).map((command) => [fullName(command), command] as const);
const leaves = commands.filter(([, command]) => command.commands.length === 0);

test.each(commands)('%s has a description', (_name, command) => {
  expect(command.description()).toMatch(/\w{3}/);
  for (const argument of command.registeredArguments) expect(argument.description, argument.name()).toMatch(/\w/);
  for (const option of command.options) expect(option.description, option.flags).toMatch(/\w/);
});

test.each(leaves)('%s has an example of itself, --json, and --dry-run unless it changes nothing', async (name, command) => {
  const { code, out } = await composure(...name.split(' '), '--help');
  expect(code).toBe(0);
  const examples = out.slice(out.indexOf('\nExamples:\n'));
  expect(examples).toContain(`$ composure ${name}`);
  const flags = command.options.map(({ long }) => long);
  expect(flags).toContain('--json');
  expect(flags.includes('--dry-run')).toBe(!READ_ONLY.has(name));
});

test('the list above names commands that exist', () => {
  expect(leaves.map(([name]) => name)).toEqual(expect.arrayContaining([...READ_ONLY]));
});

test.each(leaves)('every example in the help of %s is understood by the command line', (name, command) => {
  const help: string[] = [];
  command.configureOutput({ writeOut: (text) => help.push(text) }).outputHelp();
  const examples = [...help.join('').matchAll(/^ {2}\$ composure (.*)$/gm)].map(([, words = '']) => words.split(' '));
  expect(examples.length).toBeGreaterThan(0);
  for (const words of examples) {
    const program = buildProgram();
    for (const one of allCommands(program)) one.action(() => {});
    expect(() => program.parse(words, { from: 'user' }), words.join(' ')).not.toThrow();
  }
  expect(examples.some((words) => words.join(' ').startsWith(name))).toBe(true);
});

test('the top level at a glance', async () => {
  expect((await composure('--help')).out).toMatchInlineSnapshot(`
    "Usage: composure [options] [command]

    Runs your Docker Compose project in production: releases that drop no request,
    rollback, routes and certificates.

    Options:
      -v, --version                       print the version
      -h, --help                          display help for command

    Commands:
      deploy [options] [service...]       release the project, or only the given
                                          services, without dropping a request
      plan [options] [service...]         print what deploy would do, and why; the
                                          same as deploy --dry-run
      rollback [options] [release]        go back to an earlier release; without a
                                          number to the one before
      recover [options]                   end what a killed command left half done:
                                          finish a committed release, take any other
                                          back
      status [options]                    services, replicas, health, release and
                                          edge
      releases [options]                  the releases on record, newest first
      logs [options] [service...]         logs of the services, as docker compose
                                          logs prints them
      down [options]                      take the project down and its routes out
                                          of the edge; volumes stay unless --volumes
                                          says otherwise
      autoscale                           services that follow their queues, see
                                          x-autoscale
      scale [options] <service=count...>  give scaled services a least count until
                                          it is released; the autoscaler decides
                                          above it
      simulate [options]                  play a workload against the scaled
                                          services in virtual time and compare
                                          policies; touches nothing
      edge                                the HAProxy in front of all projects of
                                          this host
      secrets                             values that the project needs and Git may
                                          hold only encrypted (age)
      backup                              backups that have been restored: encrypted
                                          by restic, proved by drills
      rebuild [options]                   make a project on a machine that has
                                          nothing of it, from its backup: files,
                                          images, data, routes, running; timed
      agent                               the one long-running process of this host:
                                          it scales services, follows containers and
                                          keeps certificates valid
      help [options] [topic...]           explain a command, or the errors and their
                                          exit codes

    Examples:
      $ composure deploy
      $ composure status
      $ composure rollback

    "
  `);
});

test('--version prints the package’s version', async () => {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
  expect(await composure('--version')).toEqual({ code: 0, out: `${version}\n`, err: '' });
});

test.each([
  [['deploy', '--dryrun'], "unknown option '--dryrun'", '--dry-run'],
  [['deplyo'], "unknown command 'deplyo'", 'deploy'],
  [['edge', 'upgarde'], "unknown command 'upgarde'", 'upgrade'],
  [['help', 'rolback'], 'there is no command rolback', 'rollback'],
  [['help', 'errors', 'PORT_INUSE'], 'there is no error PORT_INUSE', 'PORT_IN_USE'],
  [['deploy', '--wait', 'soon'], "'soon' is invalid", '30s, 5m'],
  [['deploy', '--pull', 'sometimes'], "'sometimes' is invalid", 'always, missing, never'],
  [['rollback', 'yesterday'], "'yesterday' is invalid", 'composure releases'],
  [['edge', 'start', '--http-port', '99999'], "'99999' is invalid", '1 to 65535'],
])('%j is refused with a hint, exit code 2, in words and as JSON', async (argv, problem, hint) => {
  const words = await composure(...argv);
  expect(words.code).toBe(2);
  expect(words.out).toBe('');
  expect(words.err).toContain(problem);
  expect(words.err).toContain(hint);
  const json = await composure(...argv, '--json');
  expect(json.code).toBe(2);
  expect(json.err).toBe('');
  const { error } = JSON.parse(json.out);
  expect(error).toMatchObject({ code: 'USAGE', exitCode: 2, next: expect.any(String), details: [] });
  expect(`${error.message} ${error.next}`).toContain(problem);
  expect(`${error.message} ${error.next}`).toContain(hint);
});

test('no command at all shows the help and is no success', async () => {
  const { code, err } = await composure();
  expect(code).toBe(2);
  expect(err).toContain('Usage: composure');
});

test('docs/reference/cli.md has every command with its flags, examples and exit codes', () => {
  const page = readFileSync(join(root, 'docs/reference/cli.md'), 'utf8');
  for (const [name, command] of leaves) {
    const section = page.split(/^## /m).find((text) => text.startsWith(`composure ${name}\n`)) ?? '';
    expect(section, name).toContain(command.description());
    for (const option of command.options) expect(section, name).toContain(option.long ?? '');
    expect(section, name).toContain(`$ composure ${name}`);
    expect(section, name).toMatch(/^Exit codes: .*\b0\b/m);
  }
});
