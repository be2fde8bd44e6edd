/**
 * `npm run bench -- crash [--apps exit,drain,ignore] [--series release,undo] [--lanes N] [--only TEXT] [--json FILE]`:
 * kill -9 of the deployer after every entry of its journal, under load, and what `composure recover` makes of it.
 * `--sample N` does the first N kinds of app only.
 */
import { crashEverywhere, type Series } from './crash/crash.ts';
import { APP_MODES, type AppMode } from './crash/stack.ts';
import { readArguments } from './support/arguments.ts';
import { median, round } from './support/numbers.ts';
import { publish, type Row, say } from './support/report.ts';

const options = readArguments({ apps: APP_MODES.join(), series: 'release,undo', lanes: '3', only: '', sample: String(APP_MODES.length) });
const apps = options.list('apps').slice(0, options.count('sample')) as AppMode[];
const rows: Row[] = [];
const summary = { points: 0, recovered: 0, failed: 0, requests: 0, slowestRecoverMs: 0 };

for (const app of apps) {
  const only = options.list('only')[0];
  const run = await crashEverywhere(app, {
    series: options.list('series') as Series[],
    lanes: options.count('lanes'),
    tell: true,
    ...(only ? { only } : {}),
  });
  for (const { kind, error, at } of run.failures) say(`failed request: ${kind}: ${error} at ${new Date(at).toISOString()}`);
  for (const series of options.list('series')) {
    const points = run.points.filter((point) => point.series === series);
    rows.push({
      app,
      killed: series,
      points: points.length,
      recovered: points.filter(({ problems }) => problems.length === 0).length,
      endedOld: points.filter(({ ends }) => ends === 'old').length,
      endedNew: points.filter(({ ends }) => ends === 'new').length,
      recoverMs: round(median(points.map(({ recoverMs }) => recoverMs))),
    });
  }
  for (const { series, after, ends, problems } of run.points)
    if (problems.length > 0) rows.push({ app, series, after, ends, problems: problems.join('; ') });
  summary.points += run.points.length;
  summary.recovered += run.points.filter(({ problems }) => problems.length === 0).length;
  summary.failed += run.failed;
  summary.requests += run.requests;
  summary.slowestRecoverMs = round(Math.max(summary.slowestRecoverMs, ...run.points.map(({ recoverMs }) => recoverMs)));
}
publish({ bench: 'crash', summary, rows }, options.json);
process.exitCode = summary.recovered === summary.points && summary.failed === 0 ? 0 : 1;
