import { once } from 'node:events';
import { Worker } from 'node:worker_threads';

/** The tables of a database with their rows, or why it is not whole. */
export type Inspected = { tables: { name: string; rows: number }[] } | { fault: string };

/**
 * Checks SQLite databases that nobody writes to, and counts the rows of their tables. In a thread of its own: SQLite answers when it has read
 * everything, and meanwhile a dump streams through this one. Throws when the signal aborts.
 */
export async function inspectDatabases(
  files: readonly string[],
  check: 'quick_check' | 'integrity_check',
  signal?: AbortSignal,
): Promise<Inspected[]> {
  if (files.length === 0) return [];
  const thread = new Worker(`(${inspect.toString()})()`, { eval: true, workerData: { files, check } });
  try {
    const [found] = (await once(thread, 'message', { signal })) as [Inspected[]];
    return found;
  } finally {
    void thread.terminate();
  }
}

/** Only its text goes into the thread: it has to bring all that it uses. */
function inspect(): void {
  const { parentPort, workerData } = process.getBuiltinModule('node:worker_threads');
  const { DatabaseSync } = process.getBuiltinModule('node:sqlite');
  const { files, check } = workerData as { files: string[]; check: string };
  /** Modules and collations that the application brings and this program has not. */
  const isForeign = (fault: string): boolean => /no such (module|collation)/.test(fault);

  const look = (file: string): Inspected => {
    const database = new DatabaseSync(file);
    try {
      const said = database.prepare(`PRAGMA ${check}(3)`).all();
      const faults = said.map((row) => String(Object.values(row)[0])).filter((fault) => fault !== 'ok' && !isForeign(fault));
      if (faults.length > 0) return { fault: faults.join('; ') };
      const tables = database
        .prepare(
          "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type IN ('table', 'shadow') AND name NOT LIKE 'sqlite!_%' ESCAPE '!' ORDER BY name",
        )
        .all();
      return {
        tables: tables.map((row) => {
          const name = String(row.name);
          const counted = database.prepare(`SELECT count(*) AS rows FROM "${name.replaceAll('"', '""')}"`).get();
          return { name, rows: Number(counted?.rows) };
        }),
      };
    } finally {
      database.close();
    }
  };

  const found = files.map((file): Inspected => {
    try {
      return look(file);
    } catch (error) {
      return { fault: (error as Error).message };
    }
  });
  parentPort?.postMessage(found);
}
