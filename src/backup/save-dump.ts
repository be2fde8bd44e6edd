import { createWriteStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { Failure } from '../kit/errors.ts';
import { storageFailure } from '../kit/files.ts';
import type { MadeContent } from './files/save-files.ts';
import type { DumpContext, DumpType, RunningDump, SavedStore, Store } from './model.ts';
import type { Restic } from './restic/program.ts';
import { saveStream, type Verdict } from './restic/save.ts';

interface OpenDump {
  dump: RunningDump;
  /** The dump, read along as it streams by. */
  stream: AsyncIterable<Uint8Array>;
  verdict: Verdict;
}

const fileOf = ({ extension }: DumpType, { name, kind }: Store): string => `${(name || kind).replaceAll('/', '_')}${extension}`;

async function openDump(type: DumpType, store: Store, context: DumpContext): Promise<OpenDump> {
  const dump = await type.dump(context);
  const check = type.check();
  async function* alongside(): AsyncGenerator<Uint8Array> {
    for await (const chunk of dump.stream) {
      check.write(chunk);
      yield chunk;
    }
  }
  return {
    dump,
    stream: alongside(),
    verdict: async () => {
      const { code, stderr } = await dump.ended;
      if (code !== 0) {
        const words = stderr.split('\n').filter(Boolean).at(-1) ?? '';
        return `${store.id}: the dump ended with exit code ${code}${words ? `: ${words}` : ''}`;
      }
      const fault = check.end();
      return fault === undefined ? undefined : `${store.id}: ${fault}`;
    },
  };
}

/** Writes a dump into a folder. One that fails, is cut short or is empty is Failure BACKUP_FAILED; throws DISK_FULL. */
export async function makeDump(type: DumpType, store: Store, context: DumpContext, folder: string): Promise<MadeContent> {
  const file = fileOf(type, store);
  const { dump, stream, verdict } = await openDump(type, store, context);
  try {
    const path = join(folder, file);
    await pipeline(stream, createWriteStream(path, { mode: 0o600, flags: 'wx' })).catch(async (error: NodeJS.ErrnoException) => {
      if (error.code !== undefined && error.syscall !== undefined) throw storageFailure(error, folder);
      const why = (await verdict().catch(() => undefined)) ?? `${store.id}: the dump broke off: ${error.message}`;
      throw new Failure('BACKUP_FAILED', why, { where: file });
    });
    const fault = await verdict();
    if (fault !== undefined) throw new Failure('BACKUP_FAILED', fault, { where: file });
    const { size } = await stat(path);
    return { tool: dump.tool, path: `/${file}`, bytes: size, contentAt: dump.contentAt, facts: await dump.facts() };
  } finally {
    await dump.close();
  }
}

/**
 * Saves one database as one snapshot. A dump that fails, is cut short or is empty leaves no snapshot: Failure BACKUP_FAILED says why.
 */
export async function saveDump(
  restic: Restic,
  type: DumpType,
  store: Store,
  context: DumpContext,
  { tags, scratch, host, onSettled }: { tags: readonly string[]; scratch: string; host: string; onSettled?: (() => void) | undefined },
): Promise<SavedStore> {
  const startedAt = new Date().toISOString();
  // restic makes its key meanwhile.
  const opening = openDump(type, store, context);
  opening.then(({ dump }) => dump.isSettled && onSettled?.()).catch(() => {});
  async function* stream(): AsyncGenerator<Uint8Array> {
    yield* (await opening).stream;
  }
  try {
    const saving = { file: fileOf(type, store), tags, scratch, host, stream: stream(), verdict: async () => (await opening).verdict() };
    const saved = await saveStream(restic, saving).catch(async (error: unknown) => {
      // Why there is no dump says more than that it broke off.
      await opening;
      throw error;
    });
    const { dump } = await opening;
    const facts = await dump.facts();
    return {
      ...store,
      tool: dump.tool,
      snapshot: saved.snapshot,
      path: `/${saving.file}`,
      bytes: saved.bytes,
      added: saved.added,
      startedAt,
      endedAt: new Date().toISOString(),
      contentAt: dump.contentAt,
      facts,
    };
  } finally {
    await opening.then(({ dump }) => dump.close()).catch(() => {});
  }
}
