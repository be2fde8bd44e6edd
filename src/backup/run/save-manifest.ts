import { sleep } from '../../kit/wait.ts';
import type { BackupWorld, Manifest } from '../model.ts';
import type { Restic } from '../restic/program.ts';
import { saveStream } from '../restic/save.ts';
import { MANIFEST_FILE } from '../sets.ts';
import { type SetRequest, tagsFor, watched } from './save-together.ts';

/** How long restic may wait for the manifest with its key made. A connection at rest is cut sooner or later. */
const PATIENCE_MS = 60_000;

/**
 * Saves what makes a set of the stores, and answers the snapshot's id. May begin while the last stores are being saved: restic takes half a second
 * for its key, and is then ready when the manifest is. Where `manifest` fails there is no snapshot. Throws REPOSITORY_*, BACKUP_FAILED.
 */
export async function saveManifest(
  world: BackupWorld,
  restic: Restic,
  request: SetRequest,
  manifest: Promise<Manifest>,
  { patienceMs = PATIENCE_MS } = {},
): Promise<string> {
  const given = new AbortController();
  const save = async (content: Promise<Manifest>): Promise<string> => {
    const { snapshot } = await saveStream(watched(restic, world.signal), {
      file: MANIFEST_FILE,
      tags: tagsFor(world, request, 'manifest'),
      scratch: request.scratch,
      host: world.host,
      stream: printed(content),
      verdict: async () => undefined,
    });
    return snapshot;
  };
  let isLate = false;
  const soon = Promise.race([
    manifest,
    sleep(patienceMs, undefined, { signal: given.signal }).then(() => {
      isLate = true;
      throw new Error('the manifest is not there yet');
    }),
  ]);
  // Nobody may be reading yet when it fails.
  soon.catch(() => {});
  try {
    return await save(soon).catch(async (error: unknown) => {
      if (!isLate) throw error;
      return save(Promise.resolve(await manifest));
    });
  } finally {
    given.abort();
  }
}

async function* printed(manifest: Promise<Manifest>): AsyncGenerator<Uint8Array> {
  yield Buffer.from(`${JSON.stringify(await manifest, null, 2)}\n`);
}
