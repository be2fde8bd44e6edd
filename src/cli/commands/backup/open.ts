import { hostname } from 'node:os';
import type { BackupWorld } from '../../../backup/model.ts';
import { openRestic, type Restic } from '../../../backup/restic/program.ts';
import { secretValues } from '../../../backup/secret-values.ts';
import { engineSocket, openDocker } from '../../../docker/api.ts';
import { packageVersion } from '../../../kit/package.ts';
import type { Project } from '../../../project/model.ts';
import { stateFolder } from '../../../state/folder.ts';
import { followBackups, interruption, reporter } from '../../context.ts';
import type { ProjectFlags } from '../../flags.ts';
import type { Io } from '../../io.ts';

/** What every backup command works on. Secrets that the environment sets keep the value they have there. */
export async function openWorld(io: Io, flags: ProjectFlags & { dryRun?: boolean }, loading: Promise<Project>): Promise<BackupWorld> {
  const project = await loading;
  const world: BackupWorld = {
    project,
    docker: openDocker(engineSocket(io.env)),
    stateFolder: stateFolder(io.env),
    secrets: await valuesOf(io, project, project.settings.backup?.secrets ?? []),
    addresses: await valuesOf(io, project, project.settings.backup?.notify?.map(({ secret }) => secret) ?? []),
    report: reporter(io, flags),
    signal: io.signal ?? interruption(),
    version: packageVersion(),
    host: hostname(),
  };
  if (!flags.dryRun) await followBackups(io, flags, world);
  return world;
}

/** The same, with restic. Throws BACKUP_NOT_SET_UP, RESTIC_MISSING; asks nothing of the repository. */
export async function openBackup(io: Io, flags: ProjectFlags, loading: Promise<Project>): Promise<{ world: BackupWorld; restic: Restic }> {
  const world = await openWorld(io, flags, loading);
  return { world, restic: await resticOf(io, world) };
}

export function resticOf(io: Io, { project, secrets, report }: BackupWorld): Promise<Restic> {
  const image = project.settings.images.restic;
  return openRestic(project.settings.backup, secrets, { env: io.env, report, ...(image === undefined ? {} : { image }) });
}

/** Channels that could tell nobody of a failure: better said before there is one. */
export function missingAddresses({ project, addresses = {} }: BackupWorld): string[] {
  return (project.settings.backup?.notify ?? []).flatMap(({ kind, secret }) =>
    addresses[secret] === undefined ? [`the ${kind} ${secret} tells nobody yet: composure secrets set ${secret}`] : [],
  );
}

/** The agent started this command, by its schedule. */
export const isScheduled = (io: Io): boolean => io.env.COMPOSURE_SCHEDULED === '1';

function valuesOf(io: Io, { folder, environment }: Project, names: readonly string[]): Promise<Record<string, string>> {
  return secretValues({ folder, ...(environment === undefined ? {} : { environment }) }, names, io.env);
}
