import type { TierClass } from '../../autoscale/model.ts';
import { GB, HOUR_MS, type Price } from './model.ts';
import type { Run, VirtualTier } from './world/model.ts';

export interface TierReport {
  service: string;
  class: TierClass;
  jobs: number;
  /** Seconds from arrival to the start of the run that ended the job; of one that never started until the simulation's end. */
  waitP50: number;
  waitP95: number;
  waitP99: number;
  drainTarget: number;
  /** Share of jobs that waited longer than the drain target. */
  late: number;
  /** Jobs that failed in every attempt. */
  failed: number;
  kills: number;
  lostHours: number;
  redelivered: number;
  startsPerHour: number;
  thawsPerHour: number;
  flapsPerHour: number;
  peakWorkers: number;
  cpuHours: number;
  gbHours: number;
}

export interface Report {
  workload: string;
  policy: string;
  hours: number;
  tiers: TierReport[];
  /** Workers that were killed while they ran a job, and the work that was lost with them. */
  kills: number;
  lostHours: number;
  unfinished: number;
  refused: number;
  cpuHours: number;
  gbHours: number;
  /** What the runs of the jobs alone take, as if a worker cost nothing while no job is on it. */
  lowerCpuHours: number;
  lowerGbHours: number;
  /** Every tier at its maximum for the whole period, as far as the host's budget goes. */
  alwaysOnCpuHours: number;
  alwaysOnGbHours: number;
  peakCpus: number;
  peakGb: number;
  /** Shares of CPU-h saved: against always-on, and against keeping up for ever what this policy used at its own peak. */
  savedOfAlwaysOn: number;
  savedOfOwnPeak: number;
  costPerMonth: number;
  alwaysOnCostPerMonth: number;
  jobEvents: number;
}

const HOURS_A_MONTH = 730;

export function reportOf(run: Run, price: Price): Report {
  const { scenario, workload } = run;
  const hours = workload.durationMs / HOUR_MS;
  const waits = waitsByTier(run);
  const tiers = run.tiers.map((tier) => tierReport(tier, waits[tier.index] as Float64Array, hours));
  const sum = (of: (tier: TierReport) => number): number => tiers.reduce((total, tier) => total + of(tier), 0);
  const lower = lowerBound(run);
  const atMax = (of: 'cpus' | 'memoryBytes'): number =>
    Math.min(
      scenario.budget[of],
      scenario.tiers.reduce((total, { max, need }) => total + max * need[of], 0),
    );
  const alwaysOnCpuHours = atMax('cpus') * hours;
  const alwaysOnGbHours = (atMax('memoryBytes') / GB) * hours;
  const perMonth = (cpuHours: number, gbHours: number): number =>
    ((cpuHours * price.cpuHour + gbHours * price.gbHour) * HOURS_A_MONTH) / hours;
  const cpuHours = sum((tier) => tier.cpuHours);
  const gbHours = sum((tier) => tier.gbHours);
  return {
    workload: workload.name,
    policy: run.policy,
    hours,
    tiers,
    kills: sum((tier) => tier.kills),
    lostHours: sum((tier) => tier.lostHours),
    unfinished: run.unfinished,
    refused: run.tiers.reduce((total, { counts }) => total + counts.refused, 0),
    cpuHours,
    gbHours,
    lowerCpuHours: lower.cpuHours,
    lowerGbHours: lower.gbHours,
    alwaysOnCpuHours,
    alwaysOnGbHours,
    peakCpus: run.peakCpus,
    peakGb: run.peakMemoryBytes / GB,
    savedOfAlwaysOn: 1 - cpuHours / alwaysOnCpuHours,
    savedOfOwnPeak: run.peakCpus > 0 ? 1 - cpuHours / (run.peakCpus * hours) : 0,
    costPerMonth: perMonth(cpuHours, gbHours),
    alwaysOnCostPerMonth: perMonth(alwaysOnCpuHours, alwaysOnGbHours),
    jobEvents: run.jobEvents,
  };
}

function tierReport(state: VirtualTier, waits: Float64Array, hours: number): TierReport {
  const { tier, counts } = state;
  const targetSeconds = tier.drainTargetMs / 1000;
  return {
    service: tier.service,
    class: tier.class,
    jobs: waits.length,
    waitP50: quantile(waits, 0.5),
    waitP95: quantile(waits, 0.95),
    waitP99: quantile(waits, 0.99),
    drainTarget: targetSeconds,
    late: waits.length === 0 ? 0 : waits.filter((wait) => wait > targetSeconds).length / waits.length,
    failed: counts.failed,
    kills: counts.kills,
    lostHours: counts.lostMs / HOUR_MS,
    redelivered: counts.redelivered,
    startsPerHour: counts.starts / hours,
    thawsPerHour: counts.thaws / hours,
    flapsPerHour: counts.flaps / hours,
    peakWorkers: counts.peakWorkers,
    cpuHours: (state.cpuWorkerMs * tier.need.cpus) / HOUR_MS,
    gbHours: (state.memoryWorkerMs * tier.need.memoryBytes) / GB / HOUR_MS,
  };
}

/** In seconds, sorted. */
function waitsByTier({ workload: { jobs }, tiers, waitMs, endedMs }: Run): Float64Array[] {
  const sizes = tiers.map(() => 0);
  for (const tier of jobs.tier) sizes[tier] = (sizes[tier] ?? 0) + 1;
  const waits = sizes.map((size) => new Float64Array(size));
  const filled = tiers.map(() => 0);
  for (let job = 0; job < jobs.count; job += 1) {
    const tier = jobs.tier[job] as number;
    const place = filled[tier] as number;
    filled[tier] = place + 1;
    const wait = waitMs[job] as number;
    (waits[tier] as Float64Array)[place] = (Number.isNaN(wait) ? endedMs - (jobs.atMs[job] as number) : wait) / 1000;
  }
  return waits.map((all) => all.sort());
}

/** The nearest rank: the least value that the share `q` of all is not above; 0 of none. */
export function quantile(sorted: Float64Array, q: number): number {
  return sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)] ?? 0;
}

function lowerBound({ workload: { jobs, retry }, scenario }: Run): { cpuHours: number; gbHours: number } {
  let cpu = 0;
  let gb = 0;
  for (let job = 0; job < jobs.count; job += 1) {
    const { need, concurrency } = scenario.tiers[jobs.tier[job] as number] as Run['scenario']['tiers'][number];
    const ms = ((jobs.serviceMs[job] as number) * (jobs.poison[job] === 1 ? retry.attempts : 1)) / concurrency;
    cpu += ms * need.cpus;
    gb += (ms * need.memoryBytes) / GB;
  }
  return { cpuHours: cpu / HOUR_MS, gbHours: gb / HOUR_MS };
}

const fixedDigits = (value: number): string => (value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2));

/** p50/p95/p99 as people compare them, in seconds. */
export const waitText = (tier: TierReport): string => [tier.waitP50, tier.waitP95, tier.waitP99].map(fixedDigits).join(' / ');

export const WAIT_COLUMNS = [
  'POLICY',
  'TIER',
  'JOBS',
  'WAIT P50 / P95 / P99 S',
  'TARGET S',
  'LATE',
  'KILLED',
  'STARTS/H',
  'FLAPS/H',
  'PEAK',
];

export function waitRows(reports: Report[]): string[][] {
  return reports.flatMap(({ policy, tiers }) =>
    tiers.map((tier) => [
      policy,
      tier.service,
      String(tier.jobs),
      waitText(tier),
      fixedDigits(tier.drainTarget),
      percent(tier.late),
      String(tier.kills),
      fixedDigits(tier.startsPerHour),
      fixedDigits(tier.flapsPerHour),
      String(tier.peakWorkers),
    ]),
  );
}

export const COST_COLUMNS = [
  'POLICY',
  'KILLED',
  'WORK LOST',
  'UNFINISHED',
  'CPU-H',
  'GB-H',
  'OF LOWER BOUND',
  'SAVED OF ALWAYS-ON',
  'A MONTH',
];

export function costRows(reports: Report[]): string[][] {
  return reports.map((report) => [
    report.policy,
    String(report.kills),
    `${fixedDigits(report.lostHours)} h`,
    String(report.unfinished),
    fixedDigits(report.cpuHours),
    fixedDigits(report.gbHours),
    report.lowerCpuHours > 0 ? `${fixedDigits(report.cpuHours / report.lowerCpuHours)} x` : '-',
    percent(report.savedOfAlwaysOn),
    report.costPerMonth.toFixed(2),
  ]);
}

export const percent = (share: number): string => `${(share * 100).toFixed(share !== 0 && Math.abs(share) < 0.01 ? 1 : 0)} %`;

/** What teams expect to save by scaling to zero: 40 to 60 % against always-on peak capacity. */
export const CLAIM = { least: 0.4, most: 0.6 };

export function claimText(report: Report): string {
  const saved = report.savedOfAlwaysOn;
  const verdict =
    saved < CLAIM.least
      ? 'less than the 40 to 60 % that is often claimed'
      : saved > CLAIM.most
        ? 'more than the 40 to 60 % that is often claimed'
        : 'within the 40 to 60 % that is often claimed';
  return `${report.policy} saves ${percent(saved)} of always-on capacity (${fixedDigits(report.cpuHours)} of ${fixedDigits(report.alwaysOnCpuHours)} CPU-h; lower bound ${fixedDigits(report.lowerCpuHours)}): ${verdict}.`;
}
