import { formatBytes, formatCpus } from '../kit/amounts.ts';
import type { HostBudget, Need, Tier } from './model.ts';

/** What stays for the host itself: the engine, the agent, the kernel. */
export const RESERVE = { cpus: 0.5, memoryBytes: 512 * 1024 ** 2, memoryShare: 0.1 };

/** A service, of any project of the host, that runs whatever the queues hold. */
export interface AlwaysOn {
  /** "<project>/<service>". */
  name: string;
  containers: number;
  /** Of one container; 0: none is set. */
  limit: Need;
  /** Cores that one container is promised by `deploy.resources.reservations.cpus`; undefined: none are. */
  reservedCpus?: number;
  /** What one container was seen to use: 99th percentile. Undefined: nobody has measured. */
  measured?: Need;
}

export interface HostFacts {
  cores: number;
  memoryBytes: number;
  alwaysOn: readonly AlwaysOn[];
  /** How many times over the cores may be given out; memory never is. Default 1. */
  cpuOvercommit?: number;
  pressure?: string;
}

/** Share added to a measurement where no limit keeps a service from using more. */
const MARGIN = 1.2;
const MEMORY_STEP = 4 * 1024 ** 2;

/**
 * What scaled services may use together: the host less a reserve (half a core; a tenth of the memory, at least 512 MiB) and less what always
 * runs. Of an always-on service its memory limit counts, because the kernel lets it have that much; of cores what is reserved for it,
 * otherwise its limit: cores that are not used are lent. Without a limit its measured use counts, plus a fifth, with a warning. Pure.
 */
export function hostBudget({ cores, memoryBytes, alwaysOn, cpuOvercommit = 1, pressure }: HostFacts): {
  budget: HostBudget;
  warnings: string[];
} {
  const needs = alwaysOn.map((service) => ({ service, ...needOf(service) }));
  const sum = (amount: (need: Need) => number): number =>
    needs.reduce((all, { service, need }) => all + amount(need) * service.containers, 0);
  const cpus = cores * cpuOvercommit - RESERVE.cpus - sum((need) => need.cpus);
  const memory = memoryBytes - Math.max(RESERVE.memoryBytes, memoryBytes * RESERVE.memoryShare) - sum((need) => need.memoryBytes);
  return {
    budget: {
      cores,
      cpus: Math.max(0, Math.round(cpus * 1e6) / 1e6),
      memoryBytes: Math.max(0, Math.floor(memory)),
      ...(pressure === undefined ? {} : { pressure }),
    },
    warnings: unlimited(needs),
  };
}

type Resource = 'cpus' | 'memory';

function needOf({ limit, reservedCpus, measured }: AlwaysOn): { need: Need; without: Resource[] } {
  const [cpus = 0, memoryBytes = 0] = [reservedCpus ?? limit.cpus, limit.memoryBytes];
  // In steps, so that the budget does not change with every breath of a container.
  const need = {
    cpus: cpus > 0 ? cpus : Math.round((measured?.cpus ?? 0) * MARGIN * 100) / 100,
    memoryBytes: memoryBytes > 0 ? memoryBytes : Math.ceil(((measured?.memoryBytes ?? 0) * MARGIN) / MEMORY_STEP) * MEMORY_STEP,
  };
  return { need, without: [...(cpus > 0 ? [] : ['cpus' as const]), ...(memoryBytes > 0 ? [] : ['memory' as const])] };
}

/** One sentence for those that were measured and one for those that were not, however many they are. Amounts would make it another one each minute. */
function unlimited(found: readonly { service: AlwaysOn; without: Resource[] }[]): string[] {
  return [true, false].flatMap((isMeasured) => {
    const names = found
      .filter(({ service, without }) => without.length > 0 && (service.measured !== undefined) === isMeasured)
      .map(({ service, without }) => `${service.name} (${without.join(', ')})`);
    const counted = isMeasured ? 'what each was seen to use and a fifth more is counted' : 'nothing can be counted';
    return names.length === 0 ? [] : [`running all the time without a limit, so ${counted}: ${names.join('; ')}`];
  });
}

/** How many containers of this size the budget has room for. */
export function fitting(need: Need, budget: Need): number {
  const byCpu = need.cpus > 0 ? Math.floor(budget.cpus / need.cpus + 1e-9) : Number.POSITIVE_INFINITY;
  const byMemory = need.memoryBytes > 0 ? Math.floor(budget.memoryBytes / need.memoryBytes) : Number.POSITIVE_INFINITY;
  return Math.min(byCpu, byMemory);
}

/**
 * Why these services can never have what they ask for on this host, one sentence each; empty: they can. Said before anything starts:
 * a tier of which not one container fits, or not its `min` alone; and, when each fits alone, all of their `min` together.
 */
export function neverFits(tiers: readonly Tier[], budget: HostBudget): { service?: string; reason: string }[] {
  const room = `${formatCpus(budget.cpus)} and ${formatBytes(budget.memoryBytes)}`;
  const alone = tiers.flatMap((tier) => {
    const containers = Math.max(1, tier.min);
    if (fitting(tier.need, budget) >= containers) return [];
    const cpus = tier.need.cpus * containers;
    const memory = tier.need.memoryBytes * containers;
    const what = containers === 1 ? 'one container' : `its ${containers} containers (minReplicaCount)`;
    return [
      {
        service: tier.id,
        reason: `${tier.service} can never run here: ${what} may use ${formatCpus(cpus)} and ${formatBytes(memory)}, and this host has ${room} for scaled services`,
      },
    ];
  });
  if (alone.length > 0) return alone;
  const cpus = tiers.reduce((sum, tier) => sum + tier.need.cpus * tier.min, 0);
  const memory = tiers.reduce((sum, tier) => sum + tier.need.memoryBytes * tier.min, 0);
  if (cpus <= budget.cpus + 1e-9 && memory <= budget.memoryBytes) return [];
  const names = tiers.filter(({ min }) => min > 0).map(({ service, min }) => `${min} ${service}`);
  return [
    {
      reason: `what has to run always does not fit together: ${names.join(', ')} (minReplicaCount) may use ${formatCpus(cpus)} and ${formatBytes(memory)}, and this host has ${room} for scaled services`,
    },
  ];
}
