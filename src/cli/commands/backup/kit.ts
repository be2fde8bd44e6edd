import { rm, writeFile } from 'node:fs/promises';
import { type Kit, kitWarnings, sealKit } from '../../../backup/kit.ts';
import { resticFailure } from '../../../backup/restic/outcome.ts';
import { Failure } from '../../../kit/errors.ts';
import { storageFailure } from '../../../kit/files.ts';
import type { Project } from '../../../project/model.ts';
import { checkRecipient } from '../../../secrets/encryption.ts';
import { findIdentity } from '../../../secrets/identity.ts';
import { openSecrets } from '../../../secrets/open.ts';
import type { ProjectFlags } from '../../flags.ts';
import type { Io } from '../../io.ts';
import { newFile } from './new-file.ts';
import { openBackup } from './open.ts';

interface KitFlags extends ProjectFlags {
  recipient: string[];
  out?: string;
  dryRun?: boolean;
}

/** composure backup kit: one encrypted file with all that an empty machine needs. */
export async function backupKitCommand(io: Io, flags: KitFlags, loading: Promise<Project>): Promise<void> {
  for (const recipient of flags.recipient) await checkRecipient(recipient);
  const { world, restic } = await openBackup(io, flags, loading);
  const { project } = world;
  const out = newFile(io, flags.out ?? `${project.name}-recovery-kit.age`);
  // A kit that does not open the repository would be found out on the worst day.
  const opened = await restic.run(['cat', 'config', '--no-lock']);
  if (opened.code !== 0) throw resticFailure(opened, 'open the repository with what the kit would hold', restic.repository);
  const identity = await findIdentity(io.env);
  requireElsewhere(flags.recipient, identity?.recipients ?? []);
  const environment = project.environment;
  const secrets = await openSecrets({ folder: project.folder, ...(environment === undefined ? {} : { environment }) }, io.env);
  const kit: Kit = {
    version: 1,
    project: project.name,
    folder: project.folder,
    host: world.host,
    made: new Date().toISOString(),
    composure: world.version,
    restic: restic.version,
    // With a password that may stand in it, which the kit is for.
    repository: project.settings.backup?.repository ?? restic.repository,
    variables: world.secrets,
    identities: identity?.keys ?? [],
  };
  const warnings = kitWarnings(kit, secrets !== undefined);
  if (!flags.dryRun) await writeOnce(out, await sealKit(kit, flags.recipient));
  const holds = [
    `the address ${restic.repository}`,
    ...Object.keys(kit.variables),
    ...(kit.identities.length > 0 ? ['this machine’s identity'] : []),
  ];
  if (flags.json) {
    io.stdout(
      `${JSON.stringify({ file: out, written: !flags.dryRun, recipients: flags.recipient, repository: restic.repository, variables: Object.keys(kit.variables), identities: kit.identities.length, warnings })}\n`,
    );
    return;
  }
  const lines = [
    `${flags.dryRun ? 'would write' : 'recovery kit written:'} ${out}`,
    `  holds      ${holds.join(', ')}`,
    `  opens with the identity of ${flags.recipient.join(', ')}`,
    ...warnings.map((text) => `  warning: ${text}`),
    ...(flags.dryRun
      ? []
      : [
          `  read it    age --decrypt --identity KEY ${out}`,
          '  Move it off this machine, to two places; and keep the identity where the kit is not. Make a new one when the password changes.',
        ]),
  ];
  io.stdout(`${lines.join('\n')}\n`);
}

/** Throws USAGE for a kit that is lost with the machine that it is for. Pure. */
export function requireElsewhere(recipients: readonly string[], own: readonly string[]): void {
  if (recipients.some((one) => !own.includes(one))) return;
  throw new Failure('USAGE', 'that is this machine’s own recipient: a kit that only this machine can open is lost with it', {
    next: 'name one whose identity is kept elsewhere: on another machine, age-keygen -o key.txt prints it',
  });
}

async function writeOnce(file: string, content: string): Promise<void> {
  try {
    await writeFile(file, content, { mode: 0o600, flag: 'wx', flush: true });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') {
      // A part of a kit looks like one.
      await rm(file, { force: true });
      throw storageFailure(error, file);
    }
    throw new Failure('USAGE', 'there is a file of that name already', { where: file, next: 'remove it, or name another: --out FILE' });
  }
}
