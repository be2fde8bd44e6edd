import { chmod, cp, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { BackupSet, Manifest } from '../../src/backup/model.ts';
import { openRestic, type Restic } from '../../src/backup/restic/program.ts';
import { saveStream } from '../../src/backup/restic/save.ts';
import { listSets, MANIFEST_FILE, readManifest, tagsOf } from '../../src/backup/sets.ts';

export interface Spoiling {
  /** Of the copy. */
  folder: string;
  restic: Restic;
  /** The newest set of the whole project. */
  set: BackupSet;
  manifest: Manifest;
}

/** restic on a repository in a folder. */
export const openFolder = (folder: string, password: string): Promise<Restic> =>
  openRestic({ repository: folder, timezone: 'UTC', keep: {}, secrets: [] }, { RESTIC_PASSWORD: password });

/**
 * Copies a repository and spoils the newest set in the copy. A manifest that `spoil` answers takes the place of the set's own; without one
 * whatever it did to the folder is the fault.
 */
export async function spoilCopy(
  { from, to, password, project }: { from: string; to: string; password: string; project: string },
  spoil: (spoiling: Spoiling) => Promise<Manifest | undefined>,
): Promise<void> {
  await cp(from, to, { recursive: true });
  const restic = await openFolder(to, password);
  const set = (await listSets(restic, project)).find(({ complete, only }) => complete && only === undefined);
  if (!set?.manifest) throw new Error(`there is no whole set in ${from}`);
  const manifest = await spoil({ folder: to, restic, set, manifest: await readManifest(restic, set) });
  if (manifest === undefined) return;
  await forget(restic, set.manifest);
  const stream = (async function* () {
    yield Buffer.from(JSON.stringify(manifest));
  })();
  const tags = tagsOf(project, set.set, 'manifest');
  await saveStream(restic, { file: MANIFEST_FILE, tags, scratch: dirname(to), host: 'here', stream, verdict: async () => undefined });
}

export async function forget(restic: Restic, snapshot: string): Promise<void> {
  const done = await restic.run(['forget', snapshot]);
  if (done.code !== 0) throw new Error(`the snapshot could not be forgotten: ${done.stderr}`);
}

/** The pack with the most data of a repository in a folder. */
export async function largestPack(repository: string): Promise<string> {
  const files = await readdir(join(repository, 'data'), { recursive: true, withFileTypes: true });
  const sized = await Promise.all(
    files
      .filter((file) => file.isFile())
      .map(async (file) => {
        const path = join(file.parentPath, file.name);
        return { path, size: (await stat(path)).size };
      }),
  );
  const largest = sized.sort((a, b) => b.size - a.size)[0];
  if (!largest) throw new Error(`${repository} holds no data`);
  return largest.path;
}

/** One bit of a file, a third of the way into it. */
export async function flipBit(file: string): Promise<void> {
  const content = await readFile(file);
  const at = Math.floor(content.length / 3);
  content.writeUInt8((content[at] ?? 0) ^ 1, at);
  // restic's files may not be written to.
  await chmod(file, 0o600);
  await writeFile(file, content);
}
