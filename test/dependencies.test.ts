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
