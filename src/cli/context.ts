import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { backupFolder } from '../backup/places.ts';
import type { HoldWorld } from '../backup/run/hold.ts';
import { engineSocket, openDocker } from '../docker/api.ts';
import { checkDocker, checkEngine } from '../docker/compose.ts';
import { openEdge } from '../edge/edge.ts';
import { Failure } from '../kit/errors.ts';
import type { Report } from '../kit/events.ts';
import type { Project } from '../project/model.ts';
import type { Rollout } from '../rollout/context.ts';
import { stateFolder } from '../state/folder.ts';
import { rememberedProject, rememberProject } from '../state/projects.ts';
import { definedOnly } from './failures.ts';
import type { ProjectFlags } from './flags.ts';
import type { Io } from './io.ts';
import { renderer } from './render/events.ts';

export function reporter(io: Io, flags: { json?: boolean }): Report {
  return renderer(io, flags.json ? 'json' : io.isTTY ? 'tty' : 'plain');
}

/** Everything a command that changes the project needs. */
export async function openRollout(
  io: Io,
  flags: ProjectFlags & { wait?: number; dryRun?: boolean },
  loading: Promise<Project>,
): Promise<Rollout> {
  const docker = openDocker(engineSocket(io.env));
  const report = reporter(io, flags);
  const folder = stateFolder(io.env);
  // The tools themselves are asked once for a folder; afterwards the engine's own word is enough.
  const isKnown = (await rememberedProject(folder, io.cwd)) !== undefined;
  const [project] = await Promise.all([loading, isKnown ? checkEngine(docker) : checkDocker(definedOnly(io.env))]);
  if (!flags.dryRun) {
    await rememberProject(folder, project.folder, project.name);
    await followBackups(io, flags, { docker, stateFolder: folder, report, project });
  }
  const edge = openEdge({ stateFolder: folder, docker, report });
  return {
    project,
    docker,
    edge,
    stateFolder: folder,
    report,
    signal: io.signal ?? interruption(),
    waitMs: flags.wait ?? 0,
    ...(io.afterJournal ? { afterJournal: io.afterJournal } : {}),
  };
}

/** What every command that may change something does first: containers that a killed backup left standing still run again, and the agent learns what the file says of backups. */
export async function followBackups(io: Io, flags: ProjectFlags, { project, ...world }: HoldWorld & { project: Project }): Promise<void> {
  // Most projects have nothing of it, and loading it takes time and memory.
  if (project.settings.backup?.repository === undefined && !existsSync(backupFolder(world.stateFolder, project.name))) return;
  const [{ registerBackups }, { endKilledRestore }, { endHoldsOfDead }] = await Promise.all([
    import('../backup/registration.ts'),
    import('../backup/restore/heal.ts'),
    import('../backup/run/hold.ts'),
  ]);
  // A deploy may be what brings such a container back.
  await endHoldsOfDead(world, { project: project.name, waitMs: 10_000 }).catch((error: unknown) => {
    if (!(error instanceof Failure)) throw error;
    world.report({ kind: 'warning', text: [error.message, ...error.details].join('; ') });
  });
  await endKilledRestore({ ...world, project, signal: new AbortController().signal });
  await registerBackups(world.stateFolder, project, {
    ...(flags.file ? { file: flags.file.map((file) => resolve(io.cwd, file)) } : {}),
    ...(flags.projectDirectory === undefined ? {} : { projectDirectory: resolve(io.cwd, flags.projectDirectory) }),
    ...(flags.env === undefined ? {} : { env: flags.env }),
    ...(flags.profile ? { profile: flags.profile } : {}),
  }).catch((error: Error) =>
    world.report({ kind: 'warning', text: `the agent cannot learn of the schedule of backups: ${error.message}` }),
  );
}

/** Aborts at the first Ctrl-C or SIGTERM, so that what has begun is taken back; a second one ends the process. */
export function interruption(): AbortSignal {
  if (!interrupted) {
    const controller = new AbortController();
    for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => controller.abort());
    interrupted = controller.signal;
  }
  return interrupted;
}

let interrupted: AbortSignal | undefined;

/** Asks a yes-or-no question. Without a terminal there is nobody to ask: Failure CONFIRMATION_NEEDED. */
export async function ask(io: Io, question: string, yes: boolean | undefined): Promise<boolean> {
  if (yes) return true;
  if (!io.isTTY)
    throw new Failure('CONFIRMATION_NEEDED', 'nobody can be asked to confirm here', {
      next: 'read the plan above and give --yes, or run it on a terminal',
    });
  if (io.stdin !== undefined) {
    io.stdout(`${question} [y/N] `);
    return /^y(es)?$/i.test(io.stdin.trim());
  }
  const reader = createInterface({ input: process.stdin, output: process.stdout });
  try {
    return /^y(es)?$/i.test((await reader.question(`${question} [y/N] `)).trim());
  } finally {
    reader.close();
  }
}
