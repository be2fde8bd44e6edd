/**
 * Writes what is generated from the code: docs/reference/ and schema/. With --check it writes nothing and fails when a file differs.
 */
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { readFileIfThere } from '../src/kit/files.ts';
import { type CommandLike, cliPage } from './docs/cli.ts';
import { errorsPage } from './docs/errors.ts';
import { composeSchema, keysPage } from './docs/keys.ts';

const root = join(import.meta.dirname, '..');

async function pages(): Promise<Record<string, string>> {
  const all: Record<string, string> = {
    'schema/composure.schema.json': `${JSON.stringify(composeSchema(), null, 2)}\n`,
    'docs/reference/compose-keys.md': keysPage(),
    'docs/reference/errors.md': errorsPage(),
  };
  const program = join(root, 'src/cli/program.ts');
  if (existsSync(program)) {
    const { buildProgram } = (await import(program)) as { buildProgram?: () => CommandLike };
    if (buildProgram) all['docs/reference/cli.md'] = cliPage(buildProgram());
  }
  return all;
}

const check = process.argv.includes('--check');
for (const [name, content] of Object.entries(await pages())) {
  const path = join(root, name);
  if ((await readFileIfThere(path)) === content) continue;
  if (check) {
    console.error(`${name} is not what the code says; run: npm run docs`);
    process.exitCode = 1;
  } else {
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, content);
    console.log(`wrote ${name}`);
  }
}
