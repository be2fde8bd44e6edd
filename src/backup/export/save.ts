import { createWriteStream } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { Readable, type Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { constants, createZstdCompress } from 'node:zlib';
import { Failure } from '../../kit/errors.ts';
import type { Report } from '../../kit/events.ts';
import { storageFailure } from '../../kit/files.ts';
import type { Manifest } from '../model.ts';
import type { Restic } from '../restic/program.ts';
import { archiveOf } from './archive.ts';

export interface ExportOptions {
  /** Absolute; it must not exist. It appears when it is whole. */
  out: string;
  /** age's; none: it is not encrypted. */
  recipients: readonly string[];
  report: Report;
  signal: AbortSignal;
}

/** Writes a set as one archive, mode 600, and answers its length. Throws REPOSITORY_*, DISK_FULL, STATE_UNWRITABLE; leaves nothing then. */
export async function exportSet(restic: Restic, manifest: Manifest, { out, recipients, report, signal }: ExportOptions): Promise<number> {
  const draft = `${out}.part`;
  // On the disk before it has its name.
  const target = createWriteStream(draft, { mode: 0o600, flags: 'wx', flush: true });
  try {
    await writeArchive(restic, manifest, { recipients, report, signal }, target);
    await rename(draft, out);
    return target.bytesWritten;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') {
      throw new Failure('USAGE', `there is ${draft} already, of an export that is at work or was killed`, {
        where: draft,
        next: 'remove it if no export is at work, or name another file: --out FILE',
      });
    }
    await rm(draft, { force: true });
    throw storageFailure(error, out);
  }
}

async function writeArchive(
  restic: Restic,
  manifest: Manifest,
  { recipients, report, signal }: Omit<ExportOptions, 'out'>,
  target: Writable,
): Promise<void> {
  const archive = Readable.from(archiveOf(restic, manifest, report, signal), { objectMode: false });
  const zstd = createZstdCompress({ params: { [constants.ZSTD_c_checksumFlag]: 1 } });
  if (recipients.length === 0) return pipeline(archive, zstd, target, { signal });
  const { Encrypter } = await import('age-encryption');
  const encrypter = new Encrypter();
  for (const recipient of recipients) encrypter.addRecipient(recipient);
  const encrypted = async function* (plain: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    yield* await encrypter.encrypt(Readable.toWeb(Readable.from(plain)) as ReadableStream<Uint8Array>);
  };
  await pipeline(archive, zstd, encrypted, target, { signal });
}
