import { hostname } from 'node:os';
import { join } from 'node:path';
import type { BackupResult } from '../backup/model.ts';
import { readResults } from '../backup/proven.ts';
import { noteDown, type Registration, readRegistration } from '../backup/registration.ts';
import { endKilledRestore } from '../backup/restore/heal.ts';
import { endHoldsOfDead } from '../backup/run/hold.ts';
import { recordResult } from '../backup/run/record.ts';
import { type DueJob, dueJobs, type Turn, turnsOf } from '../backup/schedule.ts';
import { removeLeftOvers } from '../backup/stage/scratch.ts';
import type { Docker } from '../docker/api.ts';
import { COMPOSE } from '../docker/labels.ts';
import type { Report } from '../kit/events.ts';
import { type RunResult, run } from '../kit/spawn.ts';
import { sleep } from '../kit/wait.ts';
import { listProjects } from '../state/projects.ts';

/** How long a scheduled command waits for one that a person started. */
const WAIT = '2h';

/** A command of this package, as a process of its own: what it uses of memory is gone with it. */
export type StartCommand = (
  args: readonly string[],
  options: { cwd: string; signal: AbortSignal; onLine: (line: string) => void },
) => Promise<RunResult>;

export interface BackupsOptions {
  stateFolder: string;
  docker: Docker;
  report: Report;
  signal: AbortSignal;
  start: StartCommand;
  /** Addresses of who is to be told, by the name of the secret that holds each. Throws where they cannot be read. */
  addresses: (registration: Registration) => Promise<Record<string, string>>;
  now?: () => Date;
  /** How often what is due is looked at. */
  everyMs: number;
}

/**
 * Starts what is due of every project's backups, one command at a time on the host, and ends what killed backups left standing still. Returns
 * when `signal` aborts, after the command that is at work has ended in order.
 */
export async function runBackups(options: BackupsOptions): Promise<void> {
  const { signal, report, everyMs } = options;
  const tried = new Map<string, number>();
  const attempt = onceSaid(report);
  await attempt('what a killed drill left', async () => void (await removeLeftOvers(options.docker)));
  while (!signal.aborted) {
    for (const name of await listProjects(options.stateFolder))
      await attempt(`a killed restore of ${name}`, async () => void (await endKilledRestore({ ...options, project: { name } }, 0)));
    await attempt('containers that a backup held', async () => void (await endHoldsOfDead(options)));
    await attempt('backups', () => startDue(options, tried));
    if (!signal.aborted) await sleep(everyMs, undefined, { signal }).catch(() => {});
  }
}

/** Does something that is done over and over; what is wrong is said once, until it is something else. */
function onceSaid(report: Report): (what: string, work: () => Promise<void>) => Promise<void> {
  const said = new Map<string, string>();
  return async (what, work) => {
    try {
      await work();
      said.delete(what);
    } catch (error) {
      const text = (error as Error).message;
      if (said.get(what) !== text) report({ kind: 'warning', text: `${what}: ${text}` });
      said.set(what, text);
    }
  };
}

/** The projects whose backups the agent looks after, for its status. */
export async function projectsWithBackups(state: string): Promise<string[]> {
  const found = await Promise.all((await listProjects(state)).map((name) => readRegistration(state, name)));
  return found.flatMap((registration) => registration?.project ?? []).sort();
}

async function startDue(options: BackupsOptions, tried: Map<string, number>): Promise<void> {
  const { stateFolder, signal, now = () => new Date() } = options;
  for (const name of await listProjects(stateFolder)) {
    // After each command the world is another one: what was due may have been done by a person meanwhile.
    for (const { job, service } of turnsOf((await readRegistration(stateFolder, name)) ?? {})) {
      const registration = signal.aborted ? undefined : await registrationNow(options, name);
      if (!registration) break;
      const history = await readResults(stateFolder, name);
      const due = dueJobs({ ...registration, history }, now()).find((one) => one.job === job && one.service === service);
      // A command that ends without a trace must not be started over and over.
      const turn = `${name} ${job} ${service ?? ''}`;
      if (!due || tried.get(turn) === Date.parse(due.since)) continue;
      tried.set(turn, Date.parse(due.since));
      await startJob(options, registration, due);
      await endHoldsOfDead(options, { project: name });
      if (job === 'drill') await removeLeftOvers(options.docker);
    }
  }
}

/** A project that was taken down and has containers again, by whatever command, is up. */
async function registrationNow({ stateFolder, docker, report }: BackupsOptions, name: string): Promise<Registration | undefined> {
  const registration = await readRegistration(stateFolder, name);
  if (registration?.downSince === undefined) return registration;
  if ((await docker.listContainers([`${COMPOSE.project}=${name}`])).length === 0) return registration;
  await noteDown(stateFolder, name, undefined);
  report({ kind: 'note', text: `${name} is up again, and so are its scheduled backups` });
  return readRegistration(stateFolder, name);
}

async function startJob(options: BackupsOptions, registration: Registration, due: DueJob): Promise<void> {
  const { job, service, since } = due;
  const { stateFolder, report, signal, start } = options;
  const { project, folder } = registration;
  const startedAt = new Date().toISOString();
  const title = `${project}: backup ${job}${service === undefined ? '' : ` of ${service}`}`;
  report({ kind: 'note', text: `${title}, planned for ${since}` });
  const answer = await start(commandOf(registration, due), {
    cwd: folder,
    signal,
    onLine: (line) => passOn(report, project, line),
  });
  const { code } = answer;
  const last = (await readResults(stateFolder, project)).findLast(
    ({ kind, scheduled, only }) => kind === job && scheduled && only?.join() === service,
  );
  const isNoted = last !== undefined && last.endedAt >= startedAt;
  if (code === 0) report({ kind: 'note', text: `${title} went well` });
  else report({ kind: 'warning', text: `${title} failed: ${(isNoted ? last.message : undefined) ?? lastWords(answer)}` });
  if (isNoted || (signal.aborted && code !== 0)) return;
  // It did not come as far as to note anything itself: its project could not be read, or it was killed.
  const result: BackupResult = {
    kind: job,
    scheduled: true,
    startedAt,
    endedAt: new Date().toISOString(),
    ok: code === 0,
    ...(service === undefined ? {} : { only: [service] }),
    numbers: {},
    ...(code === 0 ? {} : { message: lastWords(answer) }),
  };
  const addresses = await addressesOf(options, registration);
  await recordResult(
    {
      project: { name: project, settings: { backup: registration.settings } },
      ...{ stateFolder, report, secrets: {}, host: hostname() },
      ...(addresses === undefined ? {} : { addresses }),
    },
    result,
  );
}

async function addressesOf({ addresses, report }: BackupsOptions, registration: Registration): Promise<Record<string, string> | undefined> {
  if (!registration.settings.notify?.length) return undefined;
  try {
    return await addresses(registration);
  } catch (error) {
    report({ kind: 'warning', text: `${registration.project}: nobody could be told: ${(error as Error).message}` });
    return undefined;
  }
}

/** The command line of a job. Pure. */
export const commandOf = ({ args }: Pick<Registration, 'args'>, { job, service }: Turn): string[] => [
  'backup',
  job,
  '--json',
  '--wait',
  WAIT,
  ...(job === 'prune' ? ['--yes'] : []),
  ...(service === undefined ? [] : ['--only', service]),
  ...args,
];

/** Warnings of the command are warnings of the agent; how far it is nobody watches here. */
function passOn(report: Report, project: string, line: string): void {
  if (!line.startsWith('{"kind":"warning"')) return;
  try {
    report({ kind: 'warning', text: `${project}: ${(JSON.parse(line) as { text: string }).text}` });
  } catch {}
}

/** Why the command ended as it did, by its own last words. Pure. */
export function lastWords({ stdout, stderr }: Pick<RunResult, 'stdout' | 'stderr'>): string {
  try {
    return (JSON.parse(stdout) as { error: { message: string } }).error.message;
  } catch {
    // A bug's stack, and what Node says when it runs out of memory, are no JSON.
    const line = stderr.split('\n').find((text) => text.trim() !== '' && !text.startsWith('{'));
    return line?.trim() ?? 'it was killed';
  }
}

/** The agent's container has neither the projects' folders nor the volumes. What it cannot do is a failure that is noted, never a silence. */
export const refusedInContainer: StartCommand = async () => ({
  code: 1,
  stdout: JSON.stringify({
    error: {
      message: 'the agent runs as a container, which sees no volume: composure agent install, without --container, makes backups on time',
    },
  }),
  stderr: '',
});

/** The addresses are secrets of the project, whose file lies in its folder. */
export const unseenInContainer: BackupsOptions['addresses'] = async () => {
  throw new Error('the agent runs as a container, which does not see the file of secrets that holds the addresses');
};

/** Out of the environment and the project's file of secrets, as its own commands read them. */
export const ownAddresses =
  (stateFolder: string, env: NodeJS.ProcessEnv): BackupsOptions['addresses'] =>
  async ({ folder, environment, settings }) => {
    // What reads secrets is loaded where there is somebody to be told, to keep the agent small.
    const { secretValues } = await import('../backup/secret-values.ts');
    const place = { folder, ...(environment === undefined ? {} : { environment }) };
    return secretValues(place, settings.notify?.map(({ secret }) => secret) ?? [], { ...env, COMPOSURE_STATE_DIR: stateFolder });
  };

/** Of this package, with restic's cache where the agent may write. */
export function startOwn(script: string, stateFolder: string, env: NodeJS.ProcessEnv): StartCommand {
  return (args, { cwd, signal, onLine }) =>
    run(process.execPath, [script, ...args], {
      cwd,
      signal,
      env: {
        COMPOSURE_STATE_DIR: stateFolder,
        COMPOSURE_SCHEDULED: '1',
        RESTIC_CACHE_DIR: env.RESTIC_CACHE_DIR || join(stateFolder, 'cache', 'restic'),
      },
      onLine: (line, stream) => {
        if (stream === 'stderr') onLine(line);
      },
    });
}
