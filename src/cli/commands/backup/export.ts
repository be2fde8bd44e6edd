import { placeOf, rootOf } from '../../../backup/export/place.ts';
import { exportSet } from '../../../backup/export/save.ts';
import { readManifest, readSet } from '../../../backup/sets.ts';
import { formatBytes } from '../../../kit/amounts.ts';
import type { Project } from '../../../project/model.ts';
import { checkRecipient } from '../../../secrets/encryption.ts';
import type { ProjectFlags } from '../../flags.ts';
import type { Io } from '../../io.ts';
import { newFile } from './new-file.ts';
import { openBackup } from './open.ts';

interface ExportFlags extends ProjectFlags {
  set?: string;
  at?: string;
  out?: string;
  recipient?: string[];
  dryRun?: boolean;
}

/** composure backup export: one set as one archive that needs neither restic nor Composure. */
export async function backupExportCommand(io: Io, flags: ExportFlags, loading: Promise<Project>): Promise<void> {
  const recipients = flags.recipient ?? [];
  for (const recipient of recipients) await checkRecipient(recipient);
  const { world, restic } = await openBackup(io, flags, loading);
  const manifest = await readManifest(restic, await readSet(restic, world.project.name, flags));
  const out = newFile(io, flags.out ?? `${rootOf(manifest)}.tar.zst${recipients.length > 0 ? '.age' : ''}`);
  const plain = 'it is not encrypted, and holds the project’s env files and databases: --recipient age1… encrypts it';
  if (recipients.length === 0) world.report({ kind: 'warning', text: plain });
  const bytes = flags.dryRun
    ? undefined
    : await exportSet(restic, manifest, { out, recipients, report: world.report, signal: world.signal });
  if (flags.json) {
    const stores = manifest.stores.map((store) => ({ id: store.id, path: `${rootOf(manifest)}/${placeOf(store)}`, bytes: store.bytes }));
    io.stdout(`${JSON.stringify({ set: manifest.set, file: out, written: !flags.dryRun, bytes, recipients, stores })}\n`);
    return;
  }
  const lines = [
    `${flags.dryRun ? `would export set ${manifest.set} to` : `exported set ${manifest.set}:`} ${out}${bytes === undefined ? '' : `, ${formatBytes(bytes)}`}`,
    ...manifest.stores.map((store) => `  ${placeOf(store)}  (${store.id}, ${formatBytes(store.bytes)})`),
    ...(flags.dryRun ? [] : ['  README.md inside says how each part is read without Composure and restic']),
  ];
  io.stdout(`${lines.join('\n')}\n`);
}
