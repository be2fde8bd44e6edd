import { request } from 'node:http';
import { fileURLToPath } from 'node:url';
import type { ContainerSummary } from '../../src/docker/api.ts';
import { COMPOSE } from '../../src/docker/labels.ts';
import { run } from '../../src/kit/spawn.ts';
import { type Entry, journalPath } from '../../src/rollout/journal.ts';
import { readJournal } from '../../src/state/journal.ts';
import { buildTestApp } from '../../test/support/app.ts';
import { collectArtifacts } from '../../test/support/artifacts.ts';
import { type ScenarioProject, withProject } from '../../test/support/scenario.ts';
import type { Load, LoadFailure, Mix } from '../load/model.ts';
import { must } from '../support/must.ts';
import { say } from '../support/report.ts';
import { type AppMode, crashStack, RUNNING } from './stack.ts';

const CHILD = fileURLToPath(new URL('./child.ts', import.meta.url));
const LIGHT: Mix = { keepAliveGet: 2, post: 1, newConnections: 1, slow: 1 };

/** One kill, right after one entry of the journal was on the disk. */
export interface Point {
  mode: AppMode;
  /** "begin gate:web": the journal's last entry. */
  after: string;
  /** What runs afterwards; `problems` is empty exactly when that is the old or the new release and nothing was lost. */
  ends: 'old' | 'new' | 'neither';
  problems: string[];
  recoverMs: number;
}

export interface CrashOptions {
  /** Projects that share the work at the same time. */
  lanes: number;
  /** Only each such entry of a lane. Default 1: all. */
  every?: number;
  /** Only entries whose name holds this. */
  only?: string;
  /** Says each point as it is done. */
  tell?: boolean;
}

export interface CrashRun {
  points: Point[];
  requests: number;
  failed: number;
  failures: LoadFailure[];
}

/**
 * Releases a small project again and again under load and kills the deployer with SIGKILL after each entry that a whole release writes to its journal;
 * then `composure recover` has to end in exactly the old or exactly the new release. The entries are read from the journal of a release that nobody disturbs,
 * so a new step is covered by itself. `lanes` projects share the work at the same time.
 */
export async function crashEverywhere(mode: AppMode, options: CrashOptions): Promise<CrashRun> {
  const image = await buildTestApp();
  const runs: CrashRun[] = await Promise.all(
    Array.from({ length: options.lanes }, async (_, lane) => {
      let result: CrashRun = { points: [], requests: 0, failed: 0, failures: [] };
      await withProject(
        `crash ${mode} ${lane}`,
        { files: (facts) => ({ 'compose.yaml': crashStack(image, mode, facts) }) },
        async (project) => {
          result = await crashLane(project, mode, lane, options);
        },
      );
      return result;
    }),
  );
  return {
    points: runs.flatMap(({ points }) => points),
    requests: runs.reduce((sum, { requests }) => sum + requests, 0),
    failed: runs.reduce((sum, { failed }) => sum + failed, 0),
    failures: runs.flatMap(({ failures }) => failures),
  };
}

async function crashLane(project: ScenarioProject, mode: AppMode, lane: number, options: CrashOptions): Promise<CrashRun> {
  let version = 'v0';
  await undisturbed(project, version);
  const loads = [
    await project.load({ mix: LIGHT, slowMs: 300 }),
    await project.load({ mix: LIGHT, slowMs: 300, host: `single.${project.host}` }),
  ];
  const entries = await undisturbed(project, 'v1');
  version = 'v1';

  const points: Point[] = [];
  for (let index = lane; index < entries.length; index += options.lanes * (options.every ?? 1)) {
    if (!entries[index]?.includes(options.only ?? '')) continue;
    const point = await crashAfter(project, mode, { entry: index + 1, after: entries[index] ?? '', old: version, fresh: `v${index + 2}` });
    points.push(point);
    if (point.problems.length > 0) {
      const kept = { name: `${project.name}-${index + 1}`, folder: project.folder, state: project.state, pid: process.pid, run: '' };
      point.problems.push(`artifacts in ${await collectArtifacts(kept, new Error(point.problems.join('\n')))}`);
    }
    if (point.ends === 'new') version = `v${index + 2}`;
    if (options.tell)
      say(`${mode}: killed after ${point.after}: ${point.ends}${point.problems.length > 0 ? `, ${point.problems.join('; ')}` : ''}`);
    if (point.ends === 'neither') await undisturbed(project, `repair-${index}`).then(() => (version = `repair-${index}`));
  }
  return { points, ...(await totals(loads)) };
}

async function totals(loads: Load[]): Promise<Omit<CrashRun, 'points'>> {
  const reports = await Promise.all(loads.map((load) => load.stop()));
  return {
    requests: reports.reduce((sum, { ok, failed }) => sum + ok + failed, 0),
    failed: reports.reduce((sum, { failed }) => sum + failed, 0),
    failures: reports.flatMap(({ failures }) => failures),
  };
}

/** A release from beginning to end; answers what its journal holds, one name per entry. */
async function undisturbed(project: ScenarioProject, version: string): Promise<string[]> {
  const { code, out, err } = await project.composure(['deploy', '--yes'], { env: { VERSION: version } });
  if (code !== 0) throw new Error(`the release of ${version} ended with ${code}: ${out}${err}`);
  return (await archivedEntries(project)).map(nameOf);
}

async function archivedEntries(project: ScenarioProject): Promise<Entry[]> {
  const folder = `${journalPath(project.state, project.name).replace(/[^/]*$/, '')}journals`;
  const { readdir } = await import('node:fs/promises');
  const files = (await readdir(folder)).sort((a, b) => Number(a.split(/[-.]/)[1]) - Number(b.split(/[-.]/)[1]));
  return readJournal<Entry>(`${folder}/${files.at(-1)}`);
}

const nameOf = (entry: Entry): string => ('step' in entry ? `${entry.kind} ${entry.step}` : entry.kind);

async function crashAfter(
  project: ScenarioProject,
  mode: AppMode,
  at: { entry: number; after: string; old: string; fresh: string },
): Promise<Point> {
  const problems: string[] = [];
  const before = runningIds(await project.containers());
  const killed = await run(process.execPath, [CHILD, String(at.entry), 'deploy', '--yes'], {
    cwd: project.folder,
    env: { ...own(project), VERSION: at.fresh },
    timeoutMs: 90_000,
  });
  if (!/^$/.test(killed.stderr.includes('error:') ? killed.stderr : ''))
    problems.push(`the release failed before it was killed: ${killed.stderr.slice(-500)}`);
  else if (killed.code !== 128) problems.push(`the release ended with ${killed.code} before entry ${at.entry} was written`);

  const began = performance.now();
  const recovered = await project.composure(['recover', '--json'], { env: { VERSION: at.fresh } });
  const recoverMs = performance.now() - began;
  if (recovered.code !== 0) problems.push(`recover ended with ${recovered.code}: ${recovered.out}${recovered.err}`.slice(0, 800));

  const found = await describeRunning(project);
  const ends = isExactly(found, at.fresh) ? 'new' : isExactly(found, at.old) ? 'old' : 'neither';
  if (ends === 'neither') problems.push(`runs: ${found.map(({ service, version }) => `${service} ${version}`).join(', ')}`);
  if (ends === 'old' && runningIds(await project.containers()).join() !== before.join())
    problems.push('the old release runs in other containers than before');
  const version = ends === 'new' ? at.fresh : at.old;
  for (const host of [project.host, `single.${project.host}`]) {
    const answers = await Promise.all(Array.from({ length: 4 }, () => versionAt(project.httpPort, host)));
    if (answers.some((answer) => answer !== version)) problems.push(`${host} answers ${answers.join(', ')} instead of ${version}`);
  }
  const settled = runningIds(await project.containers());
  const up = await project.compose(['up', '-d', '--no-build', '--no-deps', ...Object.keys(RUNNING)], { VERSION: version });
  if (up.code !== 0) problems.push(`docker compose up -d ended with ${up.code}: ${up.stderr.slice(-300)}`);
  if (runningIds(await project.containers()).join() !== settled.join()) problems.push('docker compose up -d changed a running container');
  return { mode, after: at.after, ends, problems, recoverMs };
}

const own = (project: ScenarioProject): Record<string, string> => ({ COMPOSURE_STATE_DIR: project.state, NO_COLOR: '1' });

const isUp = ({ State, Labels }: ContainerSummary): boolean => State === 'running' && (Labels[COMPOSE.service] ?? '') in RUNNING;

const runningIds = (containers: ContainerSummary[]): string[] =>
  containers
    .filter(isUp)
    .map(({ Id }) => Id.slice(0, 12))
    .sort();

async function describeRunning(project: ScenarioProject): Promise<{ service: string; version: string }[]> {
  const up = (await project.containers()).filter(isUp);
  return Promise.all(
    up.map(async ({ Id, Labels }) => {
      const { Config } = await project.inspect(Id);
      const version = Config.Env?.find((text) => text.startsWith('VERSION='))?.slice('VERSION='.length) ?? '';
      return { service: Labels[COMPOSE.service] ?? '', version };
    }),
  );
}

const isExactly = (found: { service: string; version: string }[], version: string): boolean =>
  found.every((one) => one.version === version) &&
  Object.entries(RUNNING).every(([service, count]) => found.filter((one) => one.service === service).length === count);

function versionAt(port: number, host: string): Promise<string> {
  return new Promise((resolve) => {
    const call = request({ host: '127.0.0.1', port, path: '/', headers: { host }, agent: false, timeout: 10_000 }, (response) => {
      response.resume();
      resolve(response.statusCode === 200 ? String(response.headers['x-version']) : `status ${response.statusCode}`);
    });
    call.on('timeout', () => call.destroy(new Error('timeout')));
    call.on('error', (error) => resolve(error.message));
    call.end();
  });
}

/** Whether the machine can do without the engine's own listing: a quick failure with a clear text beats a long one. */
export const assertEngine = (): Promise<string> => must('docker', ['version', '--format', '{{.Server.Version}}']);
