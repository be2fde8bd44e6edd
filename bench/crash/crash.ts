import { readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { run } from '../../src/kit/spawn.ts';
import { type Entry, journalPath } from '../../src/rollout/journal.ts';
import { readJournal } from '../../src/state/journal.ts';
import { buildTestApp } from '../../test/support/app.ts';
import { collectArtifacts } from '../../test/support/artifacts.ts';
import { type ScenarioProject, withProject } from '../../test/support/scenario.ts';
import type { Load, LoadFailure, Mix } from '../load/model.ts';
import { say } from '../support/report.ts';
import { type Aftermath, inspectAftermath, runningIds } from './aftermath.ts';
import { type AppMode, crashStack, HOLD_MS } from './stack.ts';

const CHILD = fileURLToPath(new URL('./child.ts', import.meta.url));
const LIGHT: Mix = { keepAliveGet: 2, post: 1, newConnections: 1, slow: 1 };

/** `release`: the deploy is killed. `undo`: the deploy is killed at the last entry before its commit, then the recovery is killed too. */
export type Series = 'release' | 'undo';

/** One kill, right after one entry of the journal was on the disk. */
export interface Point extends Aftermath {
  mode: AppMode;
  series: Series;
  /** "begin gate:web": the journal's last entry. */
  after: string;
  recoverMs: number;
}

export interface CrashOptions {
  series: readonly Series[];
  /** Projects that share the work at the same time. */
  lanes: number;
  /** Only entries whose name holds this. Default: all. */
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
 * Releases a small project again and again under load and kills the command with SIGKILL after each entry that it writes to the journal; then
 * `composure recover` has to end in exactly the old or exactly the new release. The entries are read from the journals of commands that nobody
 * disturbs, so a new step is covered by itself.
 */
export async function crashEverywhere(mode: AppMode, options: CrashOptions): Promise<CrashRun> {
  const image = await buildTestApp();
  const runs = await Promise.all(
    Array.from({ length: options.lanes }, async (_, lane) => {
      let result: CrashRun | undefined;
      await withProject(
        `crash ${mode} ${lane}`,
        { files: (facts) => ({ 'compose.yaml': crashStack(image, mode, facts) }) },
        async (project) => {
          result = await crashLane(project, mode, lane, options);
        },
      );
      return result as CrashRun;
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
  await deployWhole(project, version);
  // A request that waits within the edge's budget has not failed, so the client waits longer than that.
  const client = { mix: LIGHT, slowMs: 300, timeoutMs: HOLD_MS + 10_000 };
  const loads = [await project.load(client), await project.load({ ...client, host: `single.${project.host}` })];
  const release = await deployWhole(project, 'v1');
  version = 'v1';
  const commit = release.indexOf('begin commit');
  const all = [
    ...(options.series.includes('release')
      ? release.map((after, index) => ({ series: 'release' as Series, after, kills: [index + 1] }))
      : []),
  ];
  if (options.series.includes('undo')) {
    await kill(project, commit, ['deploy', '--yes'], 'v2');
    await recover(project, 'v2');
    const undo = await lastJournal(project);
    for (const [index, after] of undo.slice(undo.indexOf('undo')).entries())
      all.push({ series: 'undo', after, kills: [commit, index + 1] });
  }

  const points: Point[] = [];
  for (const [index, { series, after, kills }] of all.entries()) {
    if (index % options.lanes !== lane || !after.includes(options.only ?? '')) continue;
    const fresh = `v${index + 3}`;
    const began = performance.now();
    const point = await crashAt(project, { old: version, fresh, kills });
    points.push({ mode, series, after, ...point });
    if (point.problems.length > 0) {
      const kept = { name: `${project.name}-${index}`, folder: project.folder, state: project.state, pid: process.pid, run: '' };
      point.problems.push(`artifacts in ${await collectArtifacts(kept, new Error(point.problems.join('\n')))}`);
    }
    if (point.ends === 'new') version = fresh;
    if (point.ends === 'neither') {
      version = `repair-${index}`;
      await deployWhole(project, version);
    }
    if (options.tell)
      say(
        `${mode}, ${series}: killed after ${after}: ${[point.ends, ...point.problems].join('; ')} (${Math.round(performance.now() - began)} ms)`,
      );
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

/** Kills the deploy at the first number of `kills`, each recovery at the next ones, and then lets one end. */
async function crashAt(
  project: ScenarioProject,
  { old, fresh, kills }: { old: string; fresh: string; kills: number[] },
): Promise<Aftermath & { recoverMs: number }> {
  const before = await runningIds(project);
  const problems: string[] = [];
  for (const [index, entry] of kills.entries())
    problems.push(...(await kill(project, entry, index === 0 ? ['deploy', '--yes'] : ['recover'], fresh)));
  const began = performance.now();
  problems.push(...(await recover(project, fresh)));
  const recoverMs = performance.now() - began;
  const aftermath = await inspectAftermath(project, { old, fresh, before });
  return { ends: aftermath.ends, problems: [...problems, ...aftermath.problems], recoverMs };
}

/** A release from beginning to end; answers what its journal holds, one name for each entry. */
async function deployWhole(project: ScenarioProject, version: string): Promise<string[]> {
  const { code, out, err } = await project.spawnComposure(['deploy', '--yes'], { VERSION: version }).done;
  if (code !== 0) throw new Error(`the release of ${version} ended with ${code}: ${out}${err}`);
  return lastJournal(project);
}

/** Runs a command that kills itself after its entry number `entry`; answers what went otherwise. */
async function kill(project: ScenarioProject, entry: number, argv: string[], version: string): Promise<string[]> {
  const env = { COMPOSURE_STATE_DIR: project.state, NO_COLOR: '1', VERSION: version };
  const { code, stdout, stderr } = await run(process.execPath, [CHILD, String(entry), ...argv], {
    cwd: project.folder,
    env,
    timeoutMs: 90_000,
  });
  return code === 128 ? [] : [`${argv[0]} ended with ${code} and was not killed at entry ${entry}: ${(stderr + stdout).slice(-500)}`];
}

async function recover(project: ScenarioProject, version: string): Promise<string[]> {
  const { code, out, err } = await project.spawnComposure(['recover'], { VERSION: version }).done;
  return code === 0 ? [] : [`recover ended with ${code}: ${(err + out).slice(-500)}`];
}

async function lastJournal(project: ScenarioProject): Promise<string[]> {
  const folder = join(dirname(journalPath(project.state, project.name)), 'journals');
  const archivedAt = (file: string): number => Number(/-(\d+)\.journal$/.exec(file)?.[1]);
  const last = (await readdir(folder)).sort((a, b) => archivedAt(a) - archivedAt(b)).at(-1);
  const entries = await readJournal<Entry>(join(folder, last ?? ''));
  return entries.map((entry) => ('step' in entry ? `${entry.kind} ${entry.step}` : entry.kind));
}
