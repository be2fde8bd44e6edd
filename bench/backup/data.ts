import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { appendFile, copyFile, mkdir, readdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { finished } from 'node:stream/promises';

const MIB = 1024 ** 2;
/** What is written again or added when a hundredth of the data changes. */
const PERCENT = 0.01;

/** Four kinds of files in equal parts: text that compresses well, uploads that do not, a SQLite database, programs of this machine. */
export async function fillFolder(folder: string, mib: number): Promise<void> {
  const part = Math.floor(mib / 4);
  for (const name of ['logs', 'uploads', 'programs']) await mkdir(join(folder, name), { recursive: true });
  for (let index = 0; index * 16 < part; index++)
    await writeLog(join(folder, 'logs', `${index}.jsonl`), index, Math.min(16, part - index * 16));
  await addUploads(folder, part);
  changeDatabase(join(folder, 'app.sqlite'), part);
  await copyPrograms(join(folder, 'programs'), part);
}

async function writeLog(file: string, seed: number, mib: number): Promise<void> {
  const stream = createWriteStream(file);
  for (let written = 0, row = 0; written < mib * MIB; ) {
    const lines = Array.from({ length: 1000 }, () => logLine(seed, row++)).join('');
    written += lines.length;
    if (!stream.write(lines)) await once(stream, 'drain');
  }
  stream.end();
  await finished(stream);
}

const logLine = (seed: number, row: number): string =>
  `${JSON.stringify({ at: 1_760_000_000 + row, level: row % 17 ? 'info' : 'warning', request: (row * 2_654_435_761 + seed) >>> 0, path: `/orders/${(row * 40_503) % 99_991}`, ms: (row * 7919) % 450 })}\n`;

async function addUploads(folder: string, mib: number): Promise<void> {
  const have = (await readdir(join(folder, 'uploads'))).length;
  const wanted = Math.round(mib * MIB);
  for (let written = 0, index = have; written < wanted; index++) {
    const content = randomBytes(Math.min(wanted - written, Math.round((0.2 + 2.8 * ((index * 0.618) % 1)) * MIB)));
    await writeFile(join(folder, 'uploads', `${index}.bin`), content);
    written += content.length;
  }
}

/** Adds about `mib` of rows at the end of the table. */
function changeDatabase(file: string, mib: number): void {
  const database = new DatabaseSync(file);
  try {
    database.exec('PRAGMA journal_mode = WAL; CREATE TABLE IF NOT EXISTS documents (id INTEGER PRIMARY KEY, title TEXT, body TEXT)');
    const insert = database.prepare('INSERT INTO documents (title, body) VALUES (?, ?)');
    database.exec('BEGIN');
    for (let row = 0; row < mib * 512; row++) insert.run(`document ${row}`, randomBytes(750).toString('hex').padEnd(1900, 'lorem '));
    database.exec('COMMIT; PRAGMA wal_checkpoint(TRUNCATE)');
  } finally {
    database.close();
  }
}

async function copyPrograms(folder: string, mib: number): Promise<void> {
  let [copied, files] = [0, 0];
  const copy = async (from: string): Promise<void> => {
    for (const entry of await readdir(from, { withFileTypes: true })) {
      if (copied >= mib * MIB) return;
      const path = join(from, entry.name);
      if (entry.isDirectory()) await copy(path);
      if (!entry.isFile()) continue;
      copied += (await stat(path)).size;
      await copyFile(path, join(folder, `${files++}-${entry.name}`));
    }
  };
  await copy('/usr/lib');
}

/** About a hundredth changes, as it does in a day: lines at the end of a log, new uploads, new rows. */
export async function changeFolder(folder: string, mib: number): Promise<void> {
  const part = (mib / 4) * PERCENT;
  const lines = Array.from({ length: Math.round((part * MIB) / 100) }, (_, row) => logLine(Date.now(), row)).join('');
  await appendFile(join(folder, 'logs', '0.jsonl'), lines);
  await addUploads(folder, part);
  changeDatabase(join(folder, 'app.sqlite'), part);
}

/** Rows of about 230 bytes, which `pg_dump` writes in about as many. */
export const fillTable = (rows: number): string =>
  `CREATE TABLE IF NOT EXISTS orders (id bigserial PRIMARY KEY, customer int, placed timestamptz, state text, note text);
   INSERT INTO orders (customer, placed, state, note)
   SELECT (i::bigint * 7919) % 99991, timestamptz '2026-01-01' + i * interval '7 seconds', (ARRAY['new','paid','sent'])[1 + i % 3],
          md5(i::text || clock_timestamp()::text) || md5(random()::text) || md5(random()::text) || md5(random()::text) || md5(random()::text)
   FROM generate_series(1, ${rows}) AS i; CHECKPOINT`;
