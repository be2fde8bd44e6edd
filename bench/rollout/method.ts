import { sleep } from '../../src/kit/wait.ts';
import type { ScenarioProject } from '../../test/support/scenario.ts';
import type { LoadReport } from '../load/model.ts';
import { median, round } from '../support/numbers.ts';
import { type Row, say } from '../support/report.ts';
import { timeMs } from '../support/time.ts';
import { exampleLoad } from './example.ts';

/** What the api does at SIGTERM: ends what it has begun, or ends at once. */
export type AppMode = 'drain' | 'exit';

/** A way to put new versions into the place of old ones. */
export interface Method {
  name: string;
  /** Brings the first version up, calls `releases` with what puts the next one in its place, and takes everything away. */
  run(first: string, mode: AppMode, releases: (stage: Stage) => Promise<void>): Promise<void>;
}

export interface Stage {
  project: ScenarioProject;
  /** Where the load goes. */
  port: number;
  host: string;
  release(version: string): Promise<void>;
}

export interface Measured {
  row: Row;
  report: LoadReport;
}

const VERSION_PATIENCE_MS = 60_000;
/** Between two releases: what a release leaves behind (late resets, wrong routes) is to be seen as its own. */
const SETTLE_MS = 2000;

/** Releases one version after the other under load and counts what the clients saw. */
export async function measure(method: Method, mode: AppMode, versions: string[]): Promise<Measured> {
  const [first = '', ...next] = versions;
  let measured: Measured | undefined;
  await method.run(first, mode, async (stage) => {
    const load = await stage.project.load(exampleLoad(stage.port, stage.host));
    await load.waitForVersion(first, VERSION_PATIENCE_MS);
    await sleep(SETTLE_MS);
    const times: number[] = [];
    for (const [index, version] of next.entries()) {
      times.push(
        await timeMs(async () => {
          await stage.release(version);
          await load.waitForVersion(version, VERSION_PATIENCE_MS);
        }),
      );
      await sleep(SETTLE_MS);
      const { ok, failed, streams } = await load.snapshot();
      say(
        `${method.name}, app ${mode}: release ${index + 1} of ${next.length} after ${round((times.at(-1) ?? 0) / 1000, 1)} s; until now ${ok} good, ${failed} failed, ${streams.cut} streams cut`,
      );
    }
    const report = await load.stop();
    measured = { report, row: describe(method.name, mode, next.length, report, times) };
  });
  if (!measured) throw new Error(`${method.name} made no release`);
  return measured;
}

function describe(method: string, mode: AppMode, releases: number, report: LoadReport, times: number[]): Row {
  const errors = new Map<string, number>();
  for (const { errors: counts } of Object.values(report.kinds))
    for (const [error, count] of Object.entries(counts)) errors.set(error, (errors.get(error) ?? 0) + count);
  return {
    method,
    app: mode,
    releases,
    requests: report.ok + report.failed,
    failed: report.failed,
    streams: report.streams.opened,
    streamsCut: report.streams.cut,
    secondsPerRelease: round(median(times) / 1000, 1),
    worstMs: round(Math.max(...Object.values(report.kinds).map(({ maxMs }) => maxMs || 0))),
    errors: [...errors]
      .sort(([, a], [, b]) => b - a)
      .slice(0, 4)
      .map(([error, count]) => `${count} ${error}`)
      .join(', '),
  };
}
