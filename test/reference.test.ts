import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { EXIT_CODES } from '../src/kit/errors.ts';

const root = join(import.meta.dirname, '..');

test('every error code has its heading and exit code in the reference, and no heading is without a code', () => {
  const page = readFileSync(join(root, 'docs/reference/errors.md'), 'utf8');
  const documented = [...page.matchAll(/^## (\w+)\n\nExit code (\d+)\.\n\n\S/gm)].map(([, code, exit]) => [code, Number(exit)]);
  expect(documented).toEqual(Object.entries(EXIT_CODES));
});

test('the reference and the schema for editors are what the code says', async () => {
  await expect(promisify(execFile)(process.execPath, ['scripts/docs.ts', '--check'], { cwd: root })).resolves.toMatchObject({ stderr: '' });
});
