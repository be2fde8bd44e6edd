/**
 * `npm run build`: dist/ as the package ships it. What every command loads is joined into a few files, because Node takes longer to find and
 * link some hundred small modules than to run them (docs/decisions/009). Clients that one trigger or one certificate needs stay packages of
 * their own.
 */
import { readFile, rm, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';

const root = fileURLToPath(new URL('../', import.meta.url));
/** Joined into our files; their licences go with them. */
const joined = ['commander', 'yaml', 'zod'];

const { dependencies } = JSON.parse(await readFile(`${root}package.json`, 'utf8')) as { dependencies: Record<string, string> };
const separate = Object.keys(dependencies).filter((name) => !joined.includes(name));

await rm(`${root}dist`, { recursive: true, force: true });
const bundle = await rolldown({
  input: `${root}src/cli/start.ts`,
  platform: 'node',
  external: (id) => separate.some((name) => id === name || id.startsWith(`${name}/`)),
});
await bundle.write({
  dir: `${root}dist`,
  format: 'esm',
  entryFileNames: 'cli/[name].js',
  chunkFileNames: 'cli/[name]-[hash].js',
});
await bundle.close();

const licences = await Promise.all(
  joined.map(async (name) => `${name}\n\n${await readFile(`${root}node_modules/${name}/LICENSE`, 'utf8')}`),
);
await writeFile(`${root}dist/THIRD-PARTY-LICENSES.txt`, licences.join('\n\n'));
