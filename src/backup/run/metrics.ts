import { chmod, mkdir, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { listProjects } from '../../state/projects.ts';
import type { BackupResult } from '../model.ts';
import { metricsFolder, metricsPath } from '../places.ts';
import { provenSets, readResults } from '../proven.ts';
import { lastByKind, ofTheProject, timeOfSet } from './history.ts';

interface Sample {
  labels: Record<string, string>;
  value: number;
}

interface Metric {
  name: string;
  help: string;
  of(project: string, history: readonly BackupResult[]): Sample[];
}

const lastGood = (history: readonly BackupResult[], kind: BackupResult['kind']): BackupResult | undefined =>
  history.findLast((result) => result.kind === kind && result.ok);

const seconds = (time: string | Date | undefined): number | undefined => {
  const ms = time === undefined ? Number.NaN : new Date(time).getTime();
  return Number.isNaN(ms) ? undefined : Math.floor(ms / 1000);
};

/** One sample of a project, or none where there is nothing to tell. */
const single =
  (value: (history: readonly BackupResult[]) => number | undefined): Metric['of'] =>
  (project, history) => {
    const found = value(history);
    return found === undefined ? [] : [{ labels: { project }, value: found }];
  };

const byKind =
  (value: (result: BackupResult) => number | undefined): Metric['of'] =>
  (project, history) =>
    [...lastByKind(history)].flatMap(([kind, result]) => {
      const found = value(result);
      return found === undefined ? [] : [{ labels: { project, kind }, value: found }];
    });

const METRICS: readonly Metric[] = [
  {
    name: 'composure_backup_last_set_timestamp_seconds',
    help: 'When the newest complete set was begun: what is written after it, a restore loses.',
    of: single((history) => {
      const run = lastGood(history, 'run');
      return seconds(timeOfSet(run?.set ?? '') ?? run?.startedAt);
    }),
  },
  {
    name: 'composure_backup_last_proven_set_timestamp_seconds',
    help: 'When the newest set was begun that was restored and compared with what had been saved.',
    of: single((history) => {
      const times = [...provenSets(history).keys()].flatMap((set) => seconds(timeOfSet(set)) ?? []);
      return times.length === 0 ? undefined : Math.max(...times);
    }),
  },
  {
    name: 'composure_backup_last_attempt_timestamp_seconds',
    help: 'When each kind of work on backups last ended, well or not.',
    of: byKind(({ endedAt }) => seconds(endedAt)),
  },
  {
    name: 'composure_backup_last_attempt_success',
    help: '1 when the last attempt of each kind went well, 0 when it failed.',
    of: byKind(({ ok }) => (ok ? 1 : 0)),
  },
  {
    name: 'composure_backup_set_bytes',
    help: 'What the newest complete set holds.',
    of: single((history) => lastGood(history, 'run')?.numbers.bytes),
  },
  {
    name: 'composure_backup_set_added_bytes',
    help: 'What the repository grew by for the newest complete set.',
    of: single((history) => lastGood(history, 'run')?.numbers.addedBytes),
  },
  {
    name: 'composure_backup_set_stores',
    help: 'Stores in the newest complete set.',
    of: single((history) => lastGood(history, 'run')?.numbers.stores),
  },
  {
    name: 'composure_backup_restore_seconds',
    help: 'How long the last successful drill took until the application was healthy on restored data.',
    of: single((history) => lastGood(history, 'drill')?.numbers.rtoSeconds),
  },
];

/** All projects of a host in Prometheus' text format. Times are points in time, not ages: what is written down does not grow older. Pure. */
export function metricsText(projects: readonly { project: string; history: readonly BackupResult[] }[]): string {
  return METRICS.flatMap(({ name, help, of }) => {
    const samples = projects.flatMap(({ project, history }) => of(project, ofTheProject(history)));
    if (samples.length === 0) return [];
    return [
      `# HELP ${name} ${help}\n# TYPE ${name} gauge\n`,
      ...samples.map(({ labels, value }) => `${name}{${labelText(labels)}} ${value}\n`),
    ];
  }).join('');
}

const labelText = (labels: Record<string, string>): string =>
  Object.entries(labels)
    .map(([name, value]) => `${name}="${value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')}"`)
    .join(',');

/** Replaces the file that node_exporter's textfile collector reads, as a whole. A folder that COMPOSURE_METRICS_DIR names has to be there. */
export async function writeMetrics(state: string, env: NodeJS.ProcessEnv = process.env): Promise<void> {
  const names = (await listProjects(state)).sort();
  const projects = await Promise.all(names.map(async (project) => ({ project, history: await readResults(state, project) })));
  const path = metricsPath(state, env);
  const isOurs = metricsFolder(env) === undefined;
  if (isOurs) await mkdir(dirname(path), { recursive: true });
  const draft = `${path}.${process.pid}`;
  await writeFile(draft, metricsText(projects));
  // Whatever the umask of a service is: another user's collector reads it.
  await chmod(draft, 0o644);
  if (isOurs) await chmod(dirname(path), 0o755);
  await rename(draft, path);
}
