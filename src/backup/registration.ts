import { rm } from 'node:fs/promises';
import { isDeepStrictEqual } from 'node:util';
import { readFileIfThere, writeFileDurably } from '../kit/files.ts';
import type { BackupSettings, Project } from '../project/model.ts';
import { registrationPath } from './places.ts';

/** What the agent has to know of a project to start its backups: how a command line means this project, and what its file says about them. */
export interface Registration {
  project: string;
  folder: string;
  /** Arguments of every composure command that choose this project: -f, --env, --profile, --project-directory, -p. */
  args: string[];
  settings: BackupSettings;
  /** Cron by service that is saved alone besides. Undefined: none is. */
  services?: Record<string, string>;
  /** As Project has it: which file of secrets holds the addresses of who is told. */
  environment?: string;
  /** When this schedule was first known, ISO 8601. */
  since: string;
  /** When `composure down` took the project down, ISO 8601. Until it has containers again there is nothing new to save. */
  downSince?: string;
}

/** How the person who ran the command chose the project. */
export interface Chosen {
  /** Absolute. */
  file?: string[];
  projectDirectory?: string;
  env?: string;
  profile?: string[];
}

/**
 * Notes the project for the agent, or forgets it where the file has no schedule any more. Called by every command that read the compose file
 * and changes something: what the file says counts from then on.
 */
export async function registerBackups(state: string, project: Project, chosen: Chosen, now = new Date()): Promise<void> {
  const path = registrationPath(state, project.name);
  const { backup } = project.settings;
  const services = Object.fromEntries(
    Object.values(project.services).flatMap(({ name, backup: own }) =>
      own?.schedule === undefined || own.skip ? [] : [[name, own.schedule]],
    ),
  );
  const isAlone = Object.keys(services).length > 0;
  if (backup?.repository === undefined || (backup.schedule === undefined && !isAlone)) return rm(path, { force: true });
  const known = await readRegistration(state, project.name);
  const registration: Registration = {
    project: project.name,
    folder: project.folder,
    args: [
      ...(chosen.file ?? []).flatMap((file) => ['-f', file]),
      ...(chosen.env === undefined ? [] : ['--env', chosen.env]),
      ...(chosen.profile ?? []).flatMap((profile) => ['--profile', profile]),
      ...(chosen.projectDirectory === undefined ? [] : ['--project-directory', chosen.projectDirectory]),
      '-p',
      project.name,
    ],
    settings: backup,
    ...(isAlone ? { services } : {}),
    ...(project.environment === undefined ? {} : { environment: project.environment }),
    ...(known?.downSince === undefined ? {} : { downSince: known.downSince }),
    since: known && isSameSchedule(known, { settings: backup, services }) ? known.since : now.toISOString(),
  };
  await write(state, registration);
}

/** Notes that the project is down on purpose, or with undefined that it is up again. Nothing where it has no scheduled backups. */
export async function noteDown(state: string, project: string, at: Date | undefined): Promise<void> {
  const known = await readRegistration(state, project);
  if (!known || (at === undefined && known.downSince === undefined)) return;
  const { downSince: _before, ...registration } = known;
  await write(state, at === undefined ? registration : { ...registration, downSince: at.toISOString() });
}

async function write(state: string, registration: Registration): Promise<void> {
  const path = registrationPath(state, registration.project);
  const text = `${JSON.stringify(registration, null, 2)}\n`;
  if ((await readFileIfThere(path)) !== text) await writeFileDurably(path, text);
}

/** Undefined: the project has no scheduled backups. */
export async function readRegistration(state: string, project: string): Promise<Registration | undefined> {
  const text = await readFileIfThere(registrationPath(state, project));
  return text === undefined ? undefined : (JSON.parse(text) as Registration);
}

type Planned = Pick<Registration, 'settings' | 'services'>;

const isSameSchedule = ({ settings: a, services: before = {} }: Planned, { settings: b, services: after = {} }: Planned): boolean =>
  a.schedule === b.schedule &&
  a.timezone === b.timezone &&
  a.repository === b.repository &&
  a.verify?.schedule === b.verify?.schedule &&
  a.drill?.schedule === b.drill?.schedule &&
  isDeepStrictEqual(before, after);
