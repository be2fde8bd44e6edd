import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';

test('every dependency has one line of reason, and no line is left over', async () => {
  const page = await readFile('docs/decisions/dependencies.md', 'utf8');
  const { dependencies, devDependencies } = JSON.parse(await readFile('package.json', 'utf8'));
  const [, runtime = '', development = ''] = page.split(/^## .*$/m);
  const reasoned = (section: string) => [...section.matchAll(/^\| `(.+?)` \| \S.{14,} \|$/gm)].map(([, name]) => name);
  expect(reasoned(runtime)).toEqual(Object.keys(dependencies).sort());
  expect(reasoned(development)).toEqual(Object.keys(devDependencies).sort());
});

test('the lock file serves every platform, names no registry and holds a checksum for every package', async () => {
  const lock = JSON.parse(await readFile('package-lock.json', 'utf8'));
  const entries = Object.entries<{ integrity?: string; resolved?: string; optionalDependencies?: Record<string, string> }>(lock.packages);
  const paths = entries.map(([path]) => path);
  const missing: string[] = [];
  for (const [path, entry] of entries) {
    if (path !== '' && !entry.integrity) missing.push(`${path}: integrity`);
    if (entry.resolved) missing.push(`${path}: resolved must not be written`);
    for (const name of Object.keys(entry.optionalDependencies ?? {})) {
      if (!paths.some((other) => other.endsWith(`node_modules/${name}`))) missing.push(`${path}: ${name}`);
    }
  }
  expect(missing, 'npm ci refuses such a lock file: choose a version whose packages all exist').toEqual([]);
});
