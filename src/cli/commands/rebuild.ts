import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { resolve } from 'node:path';
import type { ProjectRecord } from '../../backup/files/project.ts';
import { type Kit, openKit } from '../../backup/kit.ts';
import type { BackupWorld } from '../../backup/model.ts';
import { chooseProject } from '../../backup/rebuild/plan.ts';
import { printRebuild, printTimes } from '../../backup/rebuild/print.ts';
import { readPlan, rebuild } from '../../backup/rebuild/rebuild.ts';
import { isLocal } from '../../backup/restic/invocation.ts';
import { openRestic } from '../../backup/restic/program.ts';
import { recorded } from '../../backup/run/record.ts';
import { findSet, listSets, readManifest } from '../../backup/sets.ts';
import { engineSocket, openDocker } from '../../docker/api.ts';
import { checkDocker } from '../../docker/compose.ts';
import { openEdge } from '../../edge/edge.ts';
import { formatMs } from '../../kit/duration.ts';
import { Failure } from '../../kit/errors.ts';
import { packageVersion } from '../../kit/package.ts';
import { loadProject } from '../../project/load.ts';
import type { Project } from '../../project/model.ts';
import { deploy } from '../../rollout/deploy.ts';
import { findIdentity, identityPath } from '../../secrets/identity.ts';
import { stateFolder } from '../../state/folder.ts';
import { rememberProject } from '../../state/projects.ts';
import { ask, followBackups, interruption, reporter } from '../context.ts';
import { definedOnly } from '../failures.ts';
import type { Io } from '../io.ts';
import { readSecretValue } from '../secret-input.ts';

export interface RebuildFlags {
  from?: string;
  kit?: string;
  identity?: string;
  project?: string;
  set?: string;
  at?: string;
  to?: string;
  yes?: boolean;
  dryRun?: boolean;
  json?: boolean;
}

/** composure rebuild: a project on a machine that has nothing of it, from its repository. */
export async function rebuildCommand(io: Io, flags: RebuildFlags): Promise<void> {
  const began = performance.now();
  const kit = await readKit(io, flags);
  const from = flags.from ?? kit?.repository;
  if (from === undefined)
    throw new Failure('USAGE', 'nothing says where the backups are', { next: 'give --from REPOSITORY, or --kit FILE --identity FILE' });
  const repository = isLocal(from) ? resolve(io.cwd, from) : from;
  const docker = openDocker(engineSocket(io.env));
  await checkDocker(definedOnly(io.env));
  const report = reporter(io, flags);
  // As everywhere, what the environment sets keeps the value that it has there.
  const secrets: Record<string, string> = { ...kit?.variables, ...resticVariables(io.env) };
  if (!secrets.RESTIC_PASSWORD) secrets.RESTIC_PASSWORD = await typedPassword(io);
  const restic = await openRestic({ repository, timezone: 'UTC', keep: {}, secrets: [] }, secrets, { env: io.env, report });
  const sets = await listSets(restic);
  const name = chooseProject(sets, flags.project ?? kit?.project);
  const manifest = await readManifest(
    restic,
    findSet(
      sets.filter(({ project }) => project === name),
      flags,
    ),
  );
  const state = stateFolder(io.env);
  const to = flags.to === undefined ? undefined : resolve(io.cwd, flags.to);
  const { plan, record } = await readPlan({ docker, stateFolder: state }, restic, manifest, to);
  if (plan.hasSecrets) await requireIdentity(io, kit);
  if (flags.dryRun) {
    io.stdout(flags.json ? `${JSON.stringify({ plan })}\n` : printRebuild(plan, Date.now()));
    return;
  }
  if (!flags.json) io.stdout(`${printRebuild(plan, Date.now())}\n`);
  if (!(await ask(io, `Rebuild ${plan.project} here?`, flags.yes))) throw new Failure('DECLINED', 'not confirmed; nothing was touched');
  const signal = io.signal ?? interruption();
  const world = { docker, stateFolder: state, report, signal };
  const opened = { step: 'repository', ms: performance.now() - began };
  const done = await rebuild(world, restic, {
    manifest,
    record,
    plan,
    identities: kit?.identities ?? [],
    identityFile: identityPath(io.env),
    load: (folder) => loadProject(optionsOf(io, record, folder)),
    release: (project, isWhole) =>
      release(io, world, project, { isWhole, set: manifest.set, manifest, contentAt: plan.contentAt, secrets, began }),
  });
  const times = [opened, ...done.times];
  const seconds = Math.round(times.reduce((sum, { ms }) => sum + ms, 0) / 100) / 10;
  io.stdout(
    flags.json
      ? `${JSON.stringify({ project: name, set: manifest.set, folder: plan.folder, seconds, left: done.left, times: times.map(({ step, ms }) => ({ step, ms: Math.round(ms) })) })}\n`
      : `${[`rebuilt ${name} from set ${manifest.set} in ${plan.folder} after ${formatMs(seconds * 1000)}`, printTimes(times), ...done.left.map((text) => `  ${text}`), `Next, in ${plan.folder}: composure status, and composure backup run`, ''].join('\n')}`,
  );
}

async function readKit(io: Io, { kit, identity }: RebuildFlags): Promise<Kit | undefined> {
  if (kit === undefined) return undefined;
  if (identity === undefined)
    throw new Failure('USAGE', 'the kit is encrypted', { where: kit, next: 'give the identity that opens it: --identity FILE' });
  const keys = (await readGiven(io, identity))
    .toString('utf8')
    .split(/\r?\n/)
    .filter((line) => line.trim() !== '' && !line.startsWith('#'));
  if (keys.length === 0 || !keys.every((key) => /^AGE-SECRET-KEY-/.test(key.trim())))
    throw new Failure('IDENTITY_MISSING', 'the file holds no age identity', {
      where: identity,
      next: 'an identity is a line AGE-SECRET-KEY-1…, as age-keygen writes it',
    });
  return openKit(
    await readGiven(io, kit),
    keys.map((key) => key.trim()),
    kit,
  );
}

async function readGiven(io: Io, file: string): Promise<Buffer> {
  try {
    return await readFile(resolve(io.cwd, file));
  } catch (error) {
    throw new Failure('USAGE', `the file ${file} cannot be read (${(error as NodeJS.ErrnoException).code})`, {
      where: resolve(io.cwd, file),
    });
  }
}

/** Variables of restic and of the storages that it knows. */
const resticVariables = (env: NodeJS.ProcessEnv): Record<string, string> =>
  Object.fromEntries(
    Object.entries(env).flatMap(([name, value]) =>
      value !== undefined && /^(RESTIC|AWS|AZURE|B2|GOOGLE|OS|ST|RCLONE)_/.test(name) ? [[name, value]] : [],
    ),
  );

async function typedPassword(io: Io): Promise<string> {
  if (io.isTTY) return readSecretValue(io, 'RESTIC_PASSWORD', undefined);
  throw new Failure('REPOSITORY_PASSWORD', 'nothing opens the repository: there is no password for it', {
    next: 'give the recovery kit (--kit FILE --identity FILE), or set RESTIC_PASSWORD in the environment',
  });
}

/** Without one, the project's own files could be written and not be read. */
async function requireIdentity(io: Io, kit: Kit | undefined): Promise<void> {
  if ((kit?.identities.length ?? 0) > 0 || (await findIdentity(io.env))) return;
  throw new Failure('IDENTITY_MISSING', 'the project has encrypted secrets, and this machine has no identity that could open them', {
    where: identityPath(io.env),
    next: 'give the recovery kit, which has the old machine’s (--kit FILE --identity FILE), or set COMPOSURE_IDENTITY to the file of one that can read them',
  });
}

/** As the project was loaded when it was saved, from another folder. */
function optionsOf(io: Io, record: ProjectRecord, folder: string): Parameters<typeof loadProject>[0] {
  const moved = (path: string): string =>
    path.startsWith(`${record.folder}/`) ? resolve(folder, path.slice(record.folder.length + 1)) : path;
  const isGiven = record.composeArgs.includes('-f') && record.environment === undefined;
  return {
    cwd: folder,
    // Another folder would give it another name, and its data would be looked for elsewhere.
    ...(record.composeArgs.includes('-p') || folder !== record.folder ? { projectName: record.name } : {}),
    ...(isGiven ? { files: record.composeFiles.map(moved) } : {}),
    ...(record.composeArgs.includes('--project-directory') ? { projectDirectory: folder } : {}),
    ...(record.environment === undefined ? {} : { env: record.environment }),
    ...(record.profiles.length > 0 ? { profiles: record.profiles } : {}),
    environment: io.env,
  };
}

interface Releasing {
  isWhole: boolean;
  set: string;
  manifest: { stores: { bytes: number }[] };
  contentAt: string;
  secrets: Record<string, string>;
  began: number;
}

async function release(
  io: Io,
  { docker, stateFolder: state, report, signal }: Pick<BackupWorld, 'docker' | 'stateFolder' | 'report' | 'signal'>,
  project: Project,
  { set, manifest, contentAt, secrets, began, isWhole }: Releasing,
): Promise<void> {
  const world: BackupWorld = { project, docker, stateFolder: state, secrets, report, signal, version: packageVersion(), host: hostname() };
  await rememberProject(state, project.folder, project.name);
  await followBackups(io, {}, { project, docker, stateFolder: state, report });
  const edge = openEdge({ stateFolder: state, docker, report });
  await recorded(world, { kind: 'rebuild', scheduled: false }, async (known) => {
    if (isWhole) known.set = set;
    await deploy(
      { project, docker, edge, stateFolder: state, report, signal, waitMs: 0 },
      { only: [], force: false, pull: 'missing', build: false, ignoreUnhealthy: false, confirm: async () => true },
    );
    const tenths = (ms: number): number => Math.round(ms / 100) / 10;
    return {
      ...(isWhole ? { set } : {}),
      numbers: {
        bytes: manifest.stores.reduce((sum, { bytes }) => sum + bytes, 0),
        stores: manifest.stores.length,
        rtoSeconds: tenths(performance.now() - began),
        rpoSeconds: tenths(Date.now() - Date.parse(contentAt)),
      },
    };
  });
}
