import { resolve } from 'node:path';
import type { BackupWorld, Manifest } from '../../../backup/model.ts';
import { provenSets, readResults } from '../../../backup/proven.ts';
import type { Restic } from '../../../backup/restic/program.ts';
import type { RestorePlan } from '../../../backup/restore/model.ts';
import { printRestore } from '../../../backup/restore/print.ts';
import { planOf, type RestoreDone, restoreInPlace } from '../../../backup/restore/restore.ts';
import { chooseStores, requireTarget, restoreToFolder } from '../../../backup/restore/to-folder.ts';
import { knownManifest, knownSets, readSet } from '../../../backup/sets.ts';
import { formatBytes } from '../../../kit/amounts.ts';
import { formatMs } from '../../../kit/duration.ts';
import type { Project } from '../../../project/model.ts';
import { ask } from '../../context.ts';
import type { ProjectFlags } from '../../flags.ts';
import type { Io } from '../../io.ts';
import { openBackup } from './open.ts';

export interface RestoreFlags extends ProjectFlags {
  set?: string;
  at?: string;
  only?: string[];
  to?: string;
  yes?: boolean;
  dryRun?: boolean;
  wait: number;
}

/** composure backup restore: into the running project, into a folder, or into another project's new volumes. */
export async function backupRestoreCommand(io: Io, flags: RestoreFlags, loading: Promise<Project>): Promise<void> {
  const { world, restic } = await openBackup(io, flags, loading);
  const manifest = await knownManifest(restic, await readSet(restic, world.project.name, flags, knownSets));
  if (flags.to === undefined) await inPlace(io, flags, world, restic, manifest);
  else if (isFolderName(flags.to)) await toFolder(io, flags, world, restic, manifest, resolve(io.cwd, flags.to));
  else await (await import('./restore-to-project.ts')).toProject(io, flags, world, restic, manifest);
}

/** A path has a slash, or is "." or ".."; anything else is the name of a project. */
export const isFolderName = (to: string): boolean => to.includes('/') || to === '.' || to === '..';

async function inPlace(io: Io, flags: RestoreFlags, world: BackupWorld, restic: Restic, manifest: Manifest): Promise<void> {
  const provenAt = provenSets(await readResults(world.stateFolder, world.project.name)).get(manifest.set);
  const request = { manifest, only: flags.only ?? [], ...(provenAt === undefined ? {} : { provenAt }) };
  const show = (plan: RestorePlan): string => printRestore(plan, Date.now());
  if (flags.dryRun) {
    const plan = await planOf(world, request);
    io.stdout(flags.json ? `${JSON.stringify({ plan })}\n` : show(plan));
    return;
  }
  const done = await restoreInPlace(world, restic, {
    ...request,
    waitMs: flags.wait,
    confirm: (plan) => {
      if (!flags.json) io.stdout(`${show(plan)}\n`);
      return ask(io, `Replace this data of ${plan.project}?`, flags.yes);
    },
  });
  const { set, safety, kept, numbers } = done;
  io.stdout(flags.json ? `${JSON.stringify({ project: world.project.name, set, safety, kept, ...numbers })}\n` : restoredText(done));
}

/** Pure. */
export function restoredText({ plan, safety, kept, numbers }: RestoreDone): string {
  const { bytes, stores, seconds, downSeconds } = numbers;
  return [
    `restored ${plan.project} from set ${plan.set}: ${stores} ${stores === 1 ? 'store' : 'stores'}, ${formatBytes(bytes)}, after ${formatMs(seconds * 1000)}`,
    ...(plan.stops.length > 0
      ? [`  ${plan.stops.map(({ service }) => service).join(', ')} stood still for ${formatMs(downSeconds * 1000)}`]
      : []),
    ...safety.map((set) => `  what was there before is set ${set}: composure backup restore --set ${set} takes this restore back`),
    ...kept.map((what) => `  and it is kept in ${what} until you remove it`),
    '',
  ].join('\n');
}

async function toFolder(
  io: Io,
  flags: RestoreFlags,
  world: BackupWorld,
  restic: Restic,
  manifest: Manifest,
  folder: string,
): Promise<void> {
  const stores = chooseStores(manifest, flags.only ?? []);
  if (flags.dryRun) {
    await requireTarget(folder, stores);
    io.stdout(
      flags.json
        ? `${JSON.stringify({ set: manifest.set, folder, stores: stores.map(({ id, bytes }) => ({ id, bytes })) })}\n`
        : [
            `would write to ${folder}, of set ${manifest.set}; nothing live is touched`,
            ...stores.map(({ id, bytes }) => `  ${id}, ${formatBytes(bytes)}`),
            '',
          ].join('\n'),
    );
    return;
  }
  const written = await restoreToFolder(world, restic, manifest, stores, folder);
  io.stdout(
    flags.json
      ? `${JSON.stringify({ set: manifest.set, folder, stores: written })}\n`
      : [
          `set ${manifest.set} is written to ${folder}`,
          ...written.map(({ id, path }) => `  ${id}: ${path}`),
          '  README.md there says how each part is read',
          '',
        ].join('\n'),
  );
}
