import type { BackupResult } from '../../../backup/model.ts';
import { backupLockPath } from '../../../backup/places.ts';
import { provenSets, readResults } from '../../../backup/proven.ts';
import { type Registration, readRegistration } from '../../../backup/registration.ts';
import { lastByKind, ofTheProject, timeOfSet } from '../../../backup/run/history.ts';
import { readHolds } from '../../../backup/run/hold.ts';
import { nextTime, type Turn, turnsOf } from '../../../backup/schedule.ts';
import { formatBytes } from '../../../kit/amounts.ts';
import { second } from '../../../kit/time.ts';
import { readAgentStatus } from '../../../state/agent.ts';
import { stateFolder } from '../../../state/folder.ts';
import { describeHolder, readLock } from '../../../state/lock.ts';
import { isAlive } from '../../../state/process.ts';
import type { ProjectFlags } from '../../flags.ts';
import type { Io } from '../../io.ts';
import { projectName } from '../../project-name.ts';
import { table } from '../../render/table.ts';

export interface BackupStatus {
  project: string;
  history: readonly BackupResult[];
  registration?: Registration;
  /** An agent runs on this host, so that what is planned is done. */
  agent: boolean;
  /** Who is at work on the backups now. */
  busy?: string;
  /** Containers that stand still for a backup: by a living process, or left by a dead one. */
  held: { containers: string[]; alive: boolean }[];
  now: Date;
}

/** What this host knows without asking the repository. */
export async function backupStatusCommand(io: Io, flags: ProjectFlags): Promise<void> {
  const state = stateFolder(io.env);
  const project = await projectName(io, flags);
  const [history, registration, agent, holder, holds] = await Promise.all([
    readResults(state, project),
    readRegistration(state, project),
    readAgentStatus(state),
    readLock(backupLockPath(state, project)),
    readHolds(state, project),
  ]);
  const status: BackupStatus = {
    project,
    history,
    ...(registration ? { registration } : {}),
    agent: agent?.running ?? false,
    ...(holder ? { busy: describeHolder(holder) } : {}),
    held: holds.map(({ hold }) => ({
      containers: hold.containers.map(({ service, number }) => `${service}-${number}`),
      alive: isAlive(hold.by),
    })),
    now: new Date(),
  };
  io.stdout(flags.json ? `${JSON.stringify(publicStatus(status))}\n` : statusText(status));
}

function summary({ history: all }: BackupStatus): { lastSet?: BackupResult; provenSet?: { set: string; provenAt: string } } {
  const history = ofTheProject(all);
  const lastSet = history.findLast(({ kind, ok }) => kind === 'run' && ok);
  const proven = [...provenSets(history)].sort(([a], [b]) => a.localeCompare(b)).at(-1);
  return { ...(lastSet ? { lastSet } : {}), ...(proven ? { provenSet: { set: proven[0], provenAt: proven[1] } } : {}) };
}

const nextTimes = ({ registration, history, now }: BackupStatus): (Turn & { at: string })[] =>
  registration === undefined
    ? []
    : turnsOf(registration).flatMap((turn) => {
        const at = nextTime({ ...registration, history }, turn, now);
        return at === undefined ? [] : [{ ...turn, at: at.toISOString() }];
      });

const nameOf = ({ job, service }: Turn): string => (service === undefined ? job : `${job} ${service}`);

/** The newest result of each kind, and of the runs of each service that is saved alone by its schedule. Pure. */
function lastResults({ history, registration }: BackupStatus): Map<string, BackupResult> {
  const alone = Object.keys(registration?.services ?? {}).flatMap((service) => {
    const last = history.findLast(({ kind, only }) => kind === 'run' && only?.join() === service);
    return last === undefined ? [] : [[nameOf({ job: 'run', service }), last] as const];
  });
  return new Map<string, BackupResult>([...lastByKind(ofTheProject(history)), ...alone]);
}

const publicStatus = (status: BackupStatus): object => ({
  project: status.project,
  ...summary(status),
  last: Object.fromEntries(lastResults(status)),
  scheduled: status.registration !== undefined,
  downSince: status.registration?.downSince,
  agent: status.agent,
  next: nextTimes(status),
  busy: status.busy,
  held: status.held,
});

/** Pure. */
export function statusText(status: BackupStatus): string {
  const { project, now, registration, agent, busy, held } = status;
  const { lastSet, provenSet } = summary(status);
  const lines = [
    lastSet === undefined
      ? `${project} has no backup yet that was made on this host: composure backup run makes one`
      : `last set    ${lastSet.set}  ${age(timeOfSet(lastSet.set ?? '') ?? new Date(lastSet.startedAt), now)} old, ${formatBytes(lastSet.numbers.bytes ?? 0)} in ${lastSet.numbers.stores ?? 0} stores`,
    provenSet === undefined
      ? 'proven      none: composure backup drill restores one and compares'
      : `proven      ${provenSet.set}  ${age(timeOfSet(provenSet.set) ?? now, now)} old, restored ${second(provenSet.provenAt)} UTC`,
  ];
  if (busy !== undefined) lines.push(`at work     ${busy}`);
  for (const { containers, alive } of held) {
    lines.push(
      alive
        ? `still       ${containers.join(', ')}, while their files are read`
        : `still       ${containers.join(', ')}, left by a backup that was killed: the next command on the project sets them going`,
    );
  }
  const times = new Map(nextTimes(status).map((turn) => [nameOf(turn), turn.at]));
  const last = lastResults(status);
  const known = turnsOf(registration ?? {})
    .map(nameOf)
    .filter((name) => times.has(name) || last.has(name));
  const rows = [...new Set([...known, ...last.keys()])].map((name) => {
    const result = last.get(name);
    const at = times.get(name);
    return [
      name,
      result === undefined ? '-' : second(result.endedAt),
      result === undefined ? '-' : result.ok ? 'well' : 'FAILED',
      at === undefined ? '-' : Date.parse(at) <= now.getTime() ? 'due now' : second(at),
      result?.ok === false ? (result.message ?? '') : '',
    ];
  });
  if (registration?.downSince !== undefined)
    lines.push(`down        since ${second(registration.downSince)} UTC by composure down: nothing is saved until it has containers again`);
  const note =
    registration === undefined
      ? `nothing is planned: x-composure.backup has no schedule, or no command has read it yet\n`
      : agent
        ? ''
        : 'no agent runs on this host, so nothing of this starts by itself: composure agent install brings one\n';
  return `${lines.join('\n')}\n${rows.length === 0 ? '' : `\n${table(['WHAT', 'LAST (UTC)', '', 'NEXT (UTC)', ''], rows)}`}${note}`;
}

/** "5 min", "7 h", "12 days". */
export function age(since: Date, now: Date): string {
  const minutes = Math.max(0, Math.floor((now.getTime() - since.getTime()) / 60_000));
  if (minutes < 120) return `${minutes} min`;
  if (minutes < 48 * 60) return `${Math.floor(minutes / 60)} h`;
  return `${Math.floor(minutes / 1440)} days`;
}
