import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { run } from '../kit/spawn.ts';
import { setSecrets } from './change.ts';
import { decryptValue } from './encryption.ts';
import { ensureIdentity, readIdentity } from './identity.ts';
import { readSecretsFile } from './store.ts';

let folder: string;
/** Folder of age and age-keygen; undefined when they cannot be had. */
let tools: string | undefined;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'composure-age-'));
  tools = await findAge();
  if (tools === undefined) console.warn('skipped: the age command is not installed, and apt-get cannot download the package "age"');
}, 60_000);
afterAll(() => rm(folder, { recursive: true, force: true }));

/** The installed command, or that of Debian's package, unpacked here and not installed. */
async function findAge(): Promise<string | undefined> {
  if ((await run('age', ['--version'])).code === 0) return '';
  const unpacked = join(folder, 'package');
  await mkdir(unpacked);
  if ((await run('apt-get', ['download', 'age'], { cwd: unpacked, timeoutMs: 50_000 })).code !== 0) return undefined;
  const [deb = ''] = await readdir(unpacked);
  if ((await run('dpkg', ['-x', deb, '.'], { cwd: unpacked })).code !== 0) return undefined;
  return join(unpacked, 'usr/bin/');
}

const age = (args: string[], input?: string) => run(`${tools}age`, args, input === undefined ? {} : { input });

test('the age command reads an entry of the file with the identity that Composure made', async ({ skip }) => {
  if (tools === undefined) skip();
  const env = { COMPOSURE_STATE_DIR: join(folder, 'state') };
  const file = join(folder, 'secrets.age.yaml');
  const { identity } = await ensureIdentity(env);
  await setSecrets(file, { TOKEN: 'ümlaut\nand more ' }, async () => ({ recipient: identity.recipients[0] ?? '', label: '' }));
  const entry = (await readSecretsFile(file))?.secrets.TOKEN ?? '';
  expect(await age(['--decrypt', '-i', identity.file], entry)).toEqual({ code: 0, stdout: 'TOKEN=ümlaut\nand more ', stderr: '' });
});

test('Composure reads with a key of age-keygen what age encrypted, and age’s key what Composure encrypted', async ({ skip }) => {
  if (tools === undefined) skip();
  const path = join(folder, 'keygen.key');
  expect((await run(`${tools}age-keygen`, ['-o', path])).code).toBe(0);
  const identity = await readIdentity({ COMPOSURE_IDENTITY: path });
  const { stdout } = await run(`${tools}age-keygen`, ['-y', path]);
  expect(identity.recipients).toEqual([stdout.trim()]);
  const { stdout: entry } = await age(['--encrypt', '--armor', '-r', stdout.trim()], 'TOKEN=by age');
  expect(await decryptValue('TOKEN', entry, identity.keys, 'f')).toBe('by age');
});
