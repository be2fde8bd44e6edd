import { randomBytes } from 'node:crypto';
import { observeStores } from '../../../backup/discover/observe.ts';
import { planBackup } from '../../../backup/discover/plan.ts';
import { printBackupPlan } from '../../../backup/discover/print.ts';
import { createRepository, findRepository, sameDiskWarning, takenRepository } from '../../../backup/initialize.ts';
import type { BackupWorld } from '../../../backup/model.ts';
import { Failure } from '../../../kit/errors.ts';
import type { Project } from '../../../project/model.ts';
import { setSecrets } from '../../../secrets/change.ts';
import { secretsPath } from '../../../secrets/model.ts';
import { ask } from '../../context.ts';
import type { ProjectFlags } from '../../flags.ts';
import type { Io } from '../../io.ts';
import { describeNewIdentity, firstRecipient } from '../secrets.ts';
import { missingAddresses, openWorld, resticOf } from './open.ts';

export interface InitFlags extends ProjectFlags {
  yes?: boolean;
  dryRun?: boolean;
}

const PASSWORD = 'RESTIC_PASSWORD';

export async function backupInitCommand(io: Io, flags: InitFlags, loading: Promise<Project>): Promise<void> {
  const world = await openWorld(io, flags, loading);
  const { project } = world;
  const hasPassword = Boolean(world.secrets[PASSWORD]);
  // The new password is also what finds out whether there is a repository that has another one.
  const secrets = hasPassword ? world.secrets : { ...world.secrets, [PASSWORD]: randomBytes(32).toString('base64url') };
  const restic = await resticOf(io, { ...world, secrets });
  const found = await findRepository(restic);
  if (found === 'other password') throw takenRepository(restic.repository);
  const file = secretsPath({ folder: project.folder, ...(project.environment === undefined ? {} : { environment: project.environment }) });
  const warning = await sameDiskWarning(restic.repository, project.folder);
  const plan = planBackup(project, await observeStores(world));
  plan.warnings.push(...missingAddresses(world));
  const facts = {
    project: project.name,
    repository: restic.repository,
    restic: restic.version,
    exists: found === 'open',
    makesPassword: !hasPassword,
  };
  if (!flags.json) {
    io.stdout(`${printBackupPlan(project.name, plan)}\n`);
    io.stdout(
      found === 'open'
        ? `${restic.repository} is a repository already, and ${PASSWORD} opens it\n`
        : `+ create the repository ${restic.repository}, encrypted (restic ${restic.version})\n`,
    );
    if (!hasPassword) io.stdout(`+ make ${PASSWORD} and set it in ${file}\n`);
    if (warning) io.stdout(`warning: ${warning}\n`);
  }
  if (flags.dryRun) {
    if (flags.json) io.stdout(`${JSON.stringify({ ...facts, dryRun: true, warning, plan })}\n`);
    return;
  }
  if (found === 'missing' && !(await ask(io, 'Create it?', flags.yes))) throw new Failure('DECLINED', 'not confirmed; nothing was made');
  // First: a repository whose password is lost with this process could never be opened.
  const identity = hasPassword ? [] : await storePassword(io, file, secrets[PASSWORD] ?? '');
  const id = found === 'missing' ? await createRepository(restic) : undefined;
  if (flags.json) {
    io.stdout(`${JSON.stringify({ ...facts, dryRun: false, warning, plan, created: id !== undefined, id })}\n`);
    return;
  }
  if (id !== undefined) io.stdout(`created ${restic.repository} (${id.slice(0, 10)})\n`);
  io.stdout(identity.map((line) => `${line}\n`).join(''));
  io.stdout(`${next(world)}\n`);
}

async function storePassword(io: Io, file: string, password: string): Promise<string[]> {
  const { first, said } = firstRecipient(io);
  await setSecrets(file, { [PASSWORD]: password }, first);
  return [`${PASSWORD} set in ${file}`, ...describeNewIdentity(said())];
}

const next = ({ project }: BackupWorld): string =>
  [
    'Next',
    '  composure backup kit --recipient age1…   a recovery kit: without it, a server that is lost takes the password along',
    `  composure backup run                     the first backup of ${project.name}`,
    '  composure backup drill                   the proof that it can be restored',
  ].join('\n');
