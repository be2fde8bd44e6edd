import { mkdir, mkdtemp, readdir, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { must } from '../support/must.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/** A form in which composure can be on a machine: the file that Node is given. */
export interface Installation {
  kind: 'package' | 'checkout';
  bin: string;
}

export const checkout: Installation = { kind: 'checkout', bin: join(ROOT, 'bin/composure.js') };

/**
 * What `npm install composure` puts on a machine: the packed package, unpacked in a temporary folder, beside its dependencies
 * (the checkout's own, by a link). The caller removes `folder`.
 */
export async function installPackage(): Promise<Installation & { folder: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'composure-bench-package-'));
  await must('npm', ['pack', '--pack-destination', folder], { cwd: ROOT });
  const archive = (await readdir(folder)).find((name) => name.endsWith('.tgz'));
  if (!archive) throw new Error('npm pack made no archive');
  await mkdir(join(folder, 'node_modules'));
  await must('tar', ['-xzf', join(folder, archive), '-C', folder]);
  await symlink(join(ROOT, 'node_modules'), join(folder, 'package/node_modules'));
  return { kind: 'package', bin: join(folder, 'package/bin/composure.js'), folder };
}
