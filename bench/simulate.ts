/**
 * `npm run bench -- simulate [--traces FOLDER] [--policies NAMES] [--json FILE]`: the policy of production in virtual time, beside those it is
 * compared with; and how fast that is.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DEFAULT_PRICE, HOUR_MS, MEASURED, type Workload } from '../src/capacity/simulate/model.ts';
import { policyByName } from '../src/capacity/simulate/policies/list.ts';
import { ours } from '../src/capacity/simulate/policies/ours.ts';
import { claimText, type Report, reportOf, waitText } from '../src/capacity/simulate/report.ts';
import { referenceScenario } from '../src/capacity/simulate/scenario.ts';
import { readTrace } from '../src/capacity/simulate/traces.ts';
import { modelWorkload } from '../src/capacity/simulate/workload.ts';
import { World } from '../src/capacity/simulate/world.ts';
import { readArguments } from './support/arguments.ts';
import { round } from './support/numbers.ts';
import { publish, type Row, say } from './support/report.ts';

const options = readArguments({ traces: '../shared/traces', policies: 'ours,fixed:max,threshold,keda,keda-tuned,keda-patient' });
const scenario = referenceScenario();
/** The published comparison lets a worker that was told to go be gone at once; a row of its own shows the exit as measured. */
const published = { ...MEASURED, exitMs: 0 };

/** The files of the published comparison, with the name that their figures get in the summary. */
const TRACES: [RegExp, string][] = [
  [/^FB-2009.*\.tsv$/, 'fb2009'],
  [/^llm_code\.csv$/, 'azureLlm'],
];

const workloads: { key: string; workload: Workload }[] = [
  ...traces(join(import.meta.dirname, '..', options.list('traces').join(','))),
  { key: 'cron', workload: model('cron', 24) },
  { key: 'bursts', workload: model('bursts', 24, 0.05) },
];
const reports: { key: string; report: Report }[] = [];
for (const { key, workload } of workloads) {
  for (const name of options.list('policies')) {
    const run = new World(referenceScenario(), workload, policyByName(name, 1), { times: published }).run();
    reports.push({ key, report: reportOf(run, DEFAULT_PRICE) });
  }
  const run = new World(referenceScenario(), workload, ours(), { times: MEASURED }).run();
  reports.push({ key, report: { ...reportOf(run, DEFAULT_PRICE), policy: 'ours, exit 120 ms' } });
  say(`${key}: ${workload.jobs.count} jobs`);
}

const dense = speed(model('poisson', 24));
const year = speed(model('minutely', 365 * 24));
say('speed measured');

const mine = reports.filter(({ report }) => report.policy === 'ours');
const figures = mine.flatMap(({ key, report }): [string, number][] => [
  [`${key}_mediumP95`, round(report.tiers.find((tier) => tier.class === 'medium')?.waitP95 ?? Number.NaN, 2)],
  [`${key}_cpuHours`, round(report.cpuHours, 1)],
  [`${key}_lowerBound`, round(report.lowerCpuHours, 1)],
  [`${key}_savedOfAlwaysOn`, round(report.savedOfAlwaysOn, 3)],
]);
const rows: Row[] = [
  ...reports.flatMap(({ key, report }) =>
    report.tiers.map((tier) => ({
      workload: key,
      policy: report.policy,
      tier: tier.service,
      jobs: tier.jobs,
      'wait p50 / p95 / p99 s': waitText(tier),
      late: round(tier.late, 3),
      killed: tier.kills,
      'starts/h': round(tier.startsPerHour, 1),
      'flaps/h': round(tier.flapsPerHour, 1),
    })),
  ),
  ...reports.map(({ key, report }) => ({
    workload: key,
    policy: report.policy,
    killed: report.kills,
    'work lost h': round(report.lostHours, 1),
    unfinished: report.unfinished,
    'CPU-h': round(report.cpuHours, 1),
    'of lower bound': round(report.cpuHours / report.lowerCpuHours, 2),
    'GB-h': round(report.gbHours, 1),
    'saved of always-on': round(report.savedOfAlwaysOn, 3),
    'saved of own peak': round(report.savedOfOwnPeak, 3),
    'a month': round(report.costPerMonth, 2),
  })),
  {
    'speed of': 'poisson, a day',
    jobEvents: dense.jobEvents,
    cpuSeconds: round(dense.cpuSeconds, 2),
    wallSeconds: round(dense.wallSeconds, 2),
  },
  {
    'speed of': 'minutely, a year',
    jobEvents: year.jobEvents,
    cpuSeconds: round(year.cpuSeconds, 2),
    wallSeconds: round(year.wallSeconds, 2),
  },
];
for (const { report } of mine) say(`${report.workload}: ${claimText(report)}`);
publish(
  {
    bench: 'simulate',
    summary: {
      kills: mine.reduce((sum, { report }) => sum + report.kills, 0),
      unfinished: mine.reduce((sum, { report }) => sum + report.unfinished, 0),
      jobEventsPerSecond: Math.round(dense.jobEvents / dense.cpuSeconds),
      yearSeconds: round(year.cpuSeconds, 2),
      ...Object.fromEntries(figures),
    },
    rows,
  },
  options.json,
);

function model(name: string, hours: number, load = 0.2): Workload {
  return modelWorkload(name, scenario.tiers, { seed: 1, durationMs: hours * HOUR_MS, load });
}

function traces(folder: string): { key: string; workload: Workload }[] {
  const files = existsSync(folder) ? readdirSync(folder) : [];
  return TRACES.flatMap(([pattern, key]) => {
    const file = files.find((name) => pattern.test(name));
    if (file) return [{ key, workload: readTrace(readFileSync(join(folder, file), 'utf8'), file, scenario.tiers) }];
    say(`${key}: no such trace in ${folder}, left out (--traces names another folder)`);
    return [];
  });
}

/** Processor time, because the simulation has one thread and the machine may have other work; wall time beside it. */
function speed(workload: Workload): { jobEvents: number; cpuSeconds: number; wallSeconds: number } {
  const began = performance.now();
  const before = process.cpuUsage();
  const { jobEvents } = new World(referenceScenario(), workload, ours(), { times: published }).run();
  const { user, system } = process.cpuUsage(before);
  return { jobEvents, cpuSeconds: (user + system) / 1e6, wallSeconds: (performance.now() - began) / 1000 };
}
