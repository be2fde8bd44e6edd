import type { DumpContext, DumpType, SavedStore, Store } from './model.ts';
import type { Restic } from './restic/program.ts';
import { saveStream } from './restic/save.ts';

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
  const dump = await type.dump(context);
  if (dump.isSettled) onSettled?.();
  const check = type.check();
  async function* alongside(): AsyncGenerator<Uint8Array> {
    for await (const chunk of dump.stream) {
      check.write(chunk);
      yield chunk;
    }
  }
  const path = `${(store.name || store.kind).replaceAll('/', '_')}${type.extension}`;
  try {
    const saved = await saveStream(restic, {
      file: path,
      tags,
      scratch,
      host,
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
    });
    const facts = await dump.facts();
    return {
      ...store,
      tool: dump.tool,
      snapshot: saved.snapshot,
      path: `/${path}`,
      bytes: saved.bytes,
      added: saved.added,
      startedAt,
      endedAt: new Date().toISOString(),
      contentAt: dump.contentAt,
      facts,
    };
  } finally {
    await dump.close();
  }
}
