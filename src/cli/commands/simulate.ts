import { readFile, writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { hostBudget, neverFits } from '../../autoscale/budget.ts';
import type { HostBudget } from '../../autoscale/model.ts';
import { alwaysOnOf, scaledServices, tierOf } from '../../autoscale/tiers.ts';
import { HOUR_MS, type Price, type Scenario, type Workload } from '../../capacity/simulate/model.ts';
import { plotHtml, plotSvg } from '../../capacity/simulate/plot.ts';
import { policyByName } from '../../capacity/simulate/policies/list.ts';
import { COST_COLUMNS, claimText, costRows, type Report, reportOf, WAIT_COLUMNS, waitRows } from '../../capacity/simulate/report.ts';
import { referenceScenario } from '../../capacity/simulate/scenario.ts';
import { readScenario } from '../../capacity/simulate/scenario-file.ts';
import { firstHours, parseRule, RULE_NAMES, readTrace } from '../../capacity/simulate/traces.ts';
import { MODEL_DEFAULTS, modelWorkload } from '../../capacity/simulate/workload.ts';
import type { Run } from '../../capacity/simulate/world/model.ts';
import { World } from '../../capacity/simulate/world.ts';
import { engineSocket, openDocker } from '../../docker/api.ts';
import { Failure } from '../../kit/errors.ts';
import { parseSize } from '../../kit/fields.ts';
import type { Project } from '../../project/model.ts';
import type { ProjectFlags } from '../flags.ts';
import type { Io } from '../io.ts';
import { table } from '../render/table.ts';

export interface SimulateFlags extends ProjectFlags {
  policy?: string[];
  scenario?: string;
  trace?: string;
  rule?: string;
  workload: string;
  seed: number;
  hours?: number;
  load: number;
  hostCpus?: number;
  hostMemory?: string;
  priceCpuHour: number;
  priceGbHour: number;
  plot?: string;
}

const DEFAULT_POLICIES = ['ours', 'fixed:max', 'threshold', 'keda', 'keda-tuned'];

/** Plays a workload against the project's scaled services, once for each policy, in virtual time; nothing on the host is touched. */
export async function simulateCommand(io: Io, flags: SimulateFlags, load: () => Promise<Project>): Promise<void> {
  const scenario = await scenarioOf(io, flags, load);
  const workload = await workloadOf(io, flags, scenario);
  const price: Price = { cpuHour: flags.priceCpuHour, gbHour: flags.priceGbHour };
  const policies = (flags.policy ?? DEFAULT_POLICIES).map((name) => policyByName(name, flags.seed));
  const runs: Run[] = policies.map((policy) => new World(scenario, workload, policy).run());
  const reports = runs.map((run) => reportOf(run, price));
  if (flags.plot) {
    const path = resolve(io.cwd, flags.plot);
    await writeFile(path, path.endsWith('.svg') ? plotSvg(runs, price) : plotHtml(runs, price));
    io.stderr(`wrote ${flags.plot}\n`);
  }
  if (flags.json) io.stdout(`${JSON.stringify({ scenario: scenario.name, workload: workload.name, seed: flags.seed, price, reports })}\n`);
  else io.stdout(textOf(scenario, reports));
}

function textOf(scenario: Scenario, reports: Report[]): string {
  const [first] = reports;
  if (!first) return '';
  const jobs = first.tiers.reduce((sum, tier) => sum + tier.jobs, 0);
  return [
    `${first.workload} on ${scenario.name}: ${jobs} jobs in ${Number(first.hours.toFixed(2))} h\n\n`,
    table(WAIT_COLUMNS, waitRows(reports)),
    '\n',
    table(COST_COLUMNS, costRows(reports)),
    '\n',
    ...reports.filter(({ policy }) => !policy.startsWith('fixed')).map((report) => `${claimText(report)}\n`),
  ].join('');
}

async function scenarioOf(io: Io, flags: SimulateFlags, load: () => Promise<Project>): Promise<Scenario> {
  if (flags.scenario === 'reference') return referenceScenario();
  if (flags.scenario) return readScenario(await textOfFile(io, flags.scenario), flags.scenario);
  const project = await load();
  const services = scaledServices(project);
  if (services.length === 0) {
    throw new Failure('SIMULATION_INVALID', `no service of ${project.name} has x-autoscale`, {
      next: 'add x-autoscale to a service, or name a file with --scenario; --scenario reference is a server with three tiers',
    });
  }
  const budget = await budgetOf(io, flags, project);
  const tiers = services.map((service) => {
    const { tier, warnings } = tierOf(project.name, service, { budget });
    for (const warning of warnings) io.stderr(`warning: ${warning}\n`);
    return tier;
  });
  for (const { reason } of neverFits(tiers, budget)) io.stderr(`warning: ${reason}\n`);
  return { name: project.name, budget, tiers };
}

/** Of the host that the flags describe, or of this one. */
async function budgetOf(io: Io, flags: SimulateFlags, project: Project): Promise<HostBudget> {
  const memoryBytes = flags.hostMemory === undefined ? undefined : parseSize(flags.hostMemory);
  if (flags.hostMemory !== undefined && memoryBytes === undefined)
    throw new Failure('USAGE', `--host-memory ${flags.hostMemory} is no size`, { next: 'write it as 64g or 512m' });
  const here = flags.hostCpus === undefined || memoryBytes === undefined ? await openDocker(engineSocket(io.env)).info() : undefined;
  const { budget, warnings } = hostBudget({
    cores: flags.hostCpus ?? here?.NCPU ?? 0,
    memoryBytes: memoryBytes ?? here?.MemTotal ?? 0,
    alwaysOn: alwaysOnOf(project),
  });
  for (const warning of warnings) io.stderr(`warning: ${warning}\n`);
  return budget;
}

async function workloadOf(io: Io, flags: SimulateFlags, scenario: Scenario): Promise<Workload> {
  if (flags.trace) {
    const rule = parseRule(flags.rule ?? '');
    if (!rule) throw new Failure('USAGE', `--rule ${flags.rule} is no rule`, { next: `write name=number, of ${RULE_NAMES.join(', ')}` });
    const trace = readTrace(await textOfFile(io, flags.trace), flags.trace, scenario.tiers, rule);
    return flags.hours === undefined ? trace : firstHours(trace, flags.hours);
  }
  const durationMs = (flags.hours ?? MODEL_DEFAULTS.hours) * HOUR_MS;
  return modelWorkload(flags.workload, scenario.tiers, { seed: flags.seed, durationMs, load: flags.load });
}

async function textOfFile(io: Io, path: string): Promise<string> {
  try {
    return await readFile(resolve(io.cwd, path), 'utf8');
  } catch (error) {
    throw new Failure('SIMULATION_INVALID', `cannot read ${path}: ${(error as Error).message}`, { where: path, cause: error });
  }
}
