import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { main } from '../../src/cli/main.ts';
import { EXIT_CODES } from '../../src/kit/errors.ts';

const root = join(import.meta.dirname, '../..');

const sources = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts') && name !== 'kit/errors.ts')
  .map((name) => readFileSync(join(root, 'src', name), 'utf8'))
  .join('\n');

async function help(...argv: string[]): Promise<{ code: number; out: string; err: string }> {
  const said = { out: '', err: '' };
  const code = await main(['help', ...argv], {
    cwd: '/',
    env: {},
    stdout: (text) => {
      said.out += text;
    },
    stderr: (text) => {
      said.err += text;
    },
    isTTY: false,
  });
  return { code, ...said };
}

test('every code of a Failure in the source has an exit code, and every exit code is used by a Failure', () => {
  const thrown = new Set([...sources.matchAll(/new Failure\(\s*'(\w+)'/g)].map(([, code]) => code));
  expect([...thrown].sort()).toEqual(Object.keys(EXIT_CODES).sort());
});

test('exit codes are those of the documented groups', () => {
  expect(new Set(Object.values(EXIT_CODES))).toEqual(new Set([2, 3, 4, 5, 6, 7, 8, 9, 130]));
});

test('help errors lists every code with its exit code', async () => {
  const { code, out } = await help('errors');
  expect(code).toBe(0);
  for (const [name, exit] of Object.entries(EXIT_CODES)) expect(out).toMatch(new RegExp(`^${name} +${exit} +\\S`, 'm'));
  const { errors } = JSON.parse((await help('errors', '--json')).out);
  expect(errors.map(({ code: name, exitCode }: { code: string; exitCode: number }) => [name, exitCode])).toEqual(
    Object.entries(EXIT_CODES),
  );
});

test.each(Object.entries(EXIT_CODES))('help errors %s says what it means and what to do', async (name, exit) => {
  const { code, out } = await help('errors', name.toLowerCase());
  expect(code).toBe(0);
  expect(out).toContain(`${name} (exit code ${exit})\n\n`);
  expect(out.length).toBeGreaterThan(60);
  expect(out).not.toMatch(/`|\]\(/);
  for (const line of out.split('\n')) expect(line.length).toBeLessThanOrEqual(80);
  expect(JSON.parse((await help('errors', name, '--json')).out)).toMatchObject({
    code: name,
    exitCode: exit,
    text: expect.stringMatching(/\w/),
  });
});

test('help of a command is that command’s --help', async () => {
  expect((await help('edge', 'start')).out).toContain('Usage: composure edge start');
  expect(JSON.parse((await help('deploy', '--json')).out)).toMatchObject({ command: 'deploy', help: expect.stringContaining('--dry-run') });
});
