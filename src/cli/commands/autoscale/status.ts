import type { WorkerPhase } from '../../../autoscale/model.ts';
import { type AutoscaleStatus, readStatus, type TierStatus } from '../../../autoscale/status.ts';
import { stateFolder } from '../../../state/folder.ts';
import type { Io } from '../../io.ts';
import { table } from '../../render/table.ts';

const NO_AGENT = 'no agent runs on this host: composure agent install brings one';

/** All scaled services of the host, or those of one project. */
export async function autoscaleStatusCommand(io: Io, flags: { json?: boolean; projectName?: string }): Promise<void> {
  const found = await readStatus(stateFolder(io.env));
  const tiers = (found?.status.tiers ?? []).filter(({ tier }) => flags.projectName === undefined || tier.project === flags.projectName);
  if (flags.json) {
    const { atMs, dryRun, budget, warnings } = found?.status ?? {};
    io.stdout(`${JSON.stringify({ running: found?.running ?? false, atMs, dryRun, budget, warnings, tiers: tiers.map(publicTier) })}\n`);
    return;
  }
  if (!found) {
    io.stdout(`${NO_AGENT}\n`);
    return;
  }
  if (!found.running)
    io.stdout(`${NO_AGENT}; this is what the last one knew at ${new Date(found.status.atMs).toISOString().slice(0, 19)}Z\n`);
  io.stdout(statusText(found.status, tiers));
}

export function statusText({ budget, warnings }: Pick<AutoscaleStatus, 'budget' | 'warnings'>, tiers: TierStatus[]): string {
  const room = budget
    ? `scaled services may use ${round(budget.cpus)} CPU and ${round(budget.memoryBytes / 2 ** 30)} GiB of this host${budget.pressure ? `; ${budget.pressure}` : ''}\n`
    : '';
  if (tiers.length === 0) return `${room}no service is scaled\n`;
  const rows = tiers.map((entry) => {
    const { tier } = entry;
    const count = (...phases: WorkerPhase[]): string => String(entry.workers.filter(({ phase }) => phases.includes(phase)).length);
    return [
      tier.id,
      count('running', 'starting'),
      count('frozen'),
      count('draining'),
      String(entry.decisions.at(-1)?.wanted ?? '-'),
      `${tier.idle ?? tier.min}-${tier.max}`,
      entry.triggers.map(({ name, summary, failing }) => `${name}: ${failing ? `failing, ${summary}` : summary}`).join('; '),
    ];
  });
  const lines = tiers.flatMap((entry) => conditions(entry).map((text) => `${entry.tier.id}: ${text}\n`));
  return `${room}${table(['SERVICE', 'RUN', 'FROZEN', 'DRAIN', 'WANTED', 'WITHIN', 'TRIGGERS'], rows)}${lines.join('')}${warnings.map((text) => `warning: ${text}\n`).join('')}`;
}

/** What keeps a tier from being scaled as its triggers say, as far as people or commands have a hand in it. */
function conditions({ tier, heldBy, manualReplicas, pause }: TierStatus): string[] {
  const { paused, pausedReplicas, pausedScaleIn, pausedScaleOut } = pause ?? tier.pause;
  return [
    ...(heldBy === undefined ? [] : [`nothing is changed while ${heldBy} has the project`]),
    ...(manualReplicas === undefined ? [] : [`at least ${manualReplicas} until composure scale ${tier.service}=auto`]),
    ...(pausedReplicas !== undefined ? [`paused at ${pausedReplicas}`] : paused ? ['paused as it is'] : []),
    ...(pausedScaleIn ? ['scaling in is paused'] : []),
    ...(pausedScaleOut ? ['scaling out is paused'] : []),
  ];
}

const publicTier = ({ tier, workers, heldBy, manualReplicas, pause, triggers, decisions }: TierStatus): object => ({
  id: tier.id,
  project: tier.project,
  service: tier.service,
  min: tier.idle ?? tier.min,
  max: tier.max,
  workers,
  heldBy,
  manualReplicas,
  pause: pause ?? tier.pause,
  triggers,
  decision: decisions.at(-1),
});

const round = (value: number): number => Math.round(value * 10) / 10;
