import { Failure } from '../../kit/errors.ts';
import type { Report } from '../../kit/events.ts';
import type { Manifest, SavedStore } from '../model.ts';
import type { Restic } from '../restic/program.ts';
import { isFolder, placeOf, rootOf } from './place.ts';
import { exportReadme } from './readme.ts';
import { END, file, folder, memberHeader, padding } from './tar.ts';
import { underFolder } from './tar-read.ts';

/**
 * A set as one tar archive, as it is read from the repository. It throws, and so never ends well, when a snapshot cannot be read to its end or
 * is not as long as its manifest says. Throws REPOSITORY_*.
 */
export async function* archiveOf(restic: Restic, manifest: Manifest, report: Report, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const root = rootOf(manifest);
  const modified = Date.parse(manifest.endedAt) / 1000;
  yield* textFile(`${root}/README.md`, exportReadme(manifest, 'archive'), modified);
  yield* textFile(`${root}/manifest.json`, `${JSON.stringify(manifest, undefined, 2)}\n`, modified);
  for (const store of manifest.stores) {
    const began = performance.now();
    report({ kind: 'step-start', step: `export:${store.id}`, text: `read ${store.id}` });
    try {
      const member = { store, set: manifest.set, name: `${root}/${placeOf(store)}`, modified, signal };
      yield* isFolder(store) ? folderOf(restic, member) : dumpFile(restic, member);
    } catch (error) {
      report({ kind: 'step-failed', step: `export:${store.id}`, text: (error as Error).message, ms: performance.now() - began });
      throw error;
    }
    report({ kind: 'step-done', step: `export:${store.id}`, text: '', ms: performance.now() - began });
  }
  yield END;
}

function* textFile(name: string, text: string, modified: number): Generator<Uint8Array> {
  const content = Buffer.from(text);
  yield memberHeader(file(name, content.length, modified));
  yield content;
  yield padding(content.length);
}

/** A dump's bytes, or a folder's as a tar archive. */
export const readStore = (restic: Restic, store: SavedStore, set: string, signal: AbortSignal): AsyncGenerator<Uint8Array, void> =>
  restic.read(
    isFolder(store) ? ['dump', '--archive', 'tar', `${store.snapshot}:${store.path}`, '/'] : ['dump', store.snapshot, store.path],
    `read ${store.id} of set ${set}`,
    { signal },
  );

interface Member {
  store: SavedStore;
  set: string;
  /** Its path in the archive. */
  name: string;
  /** Seconds since 1970. */
  modified: number;
  signal: AbortSignal;
}

async function* dumpFile(restic: Restic, { store, set, name, modified, signal }: Member): AsyncGenerator<Uint8Array> {
  yield memberHeader(file(name, store.bytes, modified));
  let read = 0;
  for await (const chunk of readStore(restic, store, set, signal)) {
    read += chunk.length;
    if (read > store.bytes) break;
    yield chunk;
  }
  requireLength(store, set, read);
  yield padding(store.bytes);
}

/** Throws REPOSITORY_FAILED where a dump came out shorter or longer than it was saved. */
export function requireLength(store: SavedStore, set: string, bytes: number): void {
  if (bytes === store.bytes) return;
  throw new Failure('REPOSITORY_FAILED', `${store.id} of set ${set} is not as long as its manifest says`, {
    where: store.snapshot.slice(0, 8),
    next: 'composure backup verify --all reads everything and says what is damaged; take another set until then',
  });
}

/** restic’s archive does not have the folder itself, whose owner and mode stand in the manifest, and has nothing of an empty one. */
async function* folderOf(restic: Restic, { store, set, name, modified, signal }: Member): AsyncGenerator<Uint8Array> {
  yield memberHeader(folder(name, modified, store.origin));
  yield* underFolder(readStore(restic, store, set, signal), name);
}
