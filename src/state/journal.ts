import { mkdir, open, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { readFileIfThere, storageFailure, syncFolder } from '../kit/files.ts';

/** An append-only file of JSON lines. An entry is on the disk when `append` returns. */
export interface Journal<Entry> {
  append(entry: Entry): Promise<void>;
  close(): Promise<void>;
}

export async function openJournal<Entry>(path: string, afterAppend?: (entry: Entry) => void): Promise<Journal<Entry>> {
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    const file = await open(path, 'a', 0o600);
    await syncFolder(dirname(path));
    return {
      async append(entry) {
        try {
          await file.appendFile(`${JSON.stringify(entry)}\n`);
          await file.datasync();
        } catch (error) {
          throw storageFailure(error, path);
        }
        afterAppend?.(entry);
      },
      close: () => file.close(),
    };
  } catch (error) {
    throw storageFailure(error, path);
  }
}

/** All complete entries, oldest first. A last line that a crash cut short was never acknowledged, so it is left out. */
export async function readJournal<Entry>(path: string): Promise<Entry[]> {
  const text = (await readFileIfThere(path)) ?? '';
  const entries: Entry[] = [];
  for (const line of text.split('\n')) {
    if (line === '') continue;
    try {
      entries.push(JSON.parse(line) as Entry);
    } catch {
      break;
    }
  }
  return entries;
}

/** Puts a finished journal away under another name, so that the next one begins empty. */
export async function archiveJournal(path: string, archive: string): Promise<void> {
  await mkdir(dirname(archive), { recursive: true, mode: 0o700 });
  await rename(path, archive);
  await syncFolder(dirname(path));
}
