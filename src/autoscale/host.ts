import { readFile } from 'node:fs/promises';
import type { ContainerStats, ContainerSummary, Docker } from '../docker/api.ts';
import { COMPOSE } from '../docker/labels.ts';
import { formatBytes } from '../kit/amounts.ts';
import { type AlwaysOn, type HostFacts, RESERVE } from './budget.ts';
import type { Need } from './model.ts';

/** Share of the last ten seconds in which every process waited for memory, in percent, above which nothing more is started. */
const PRESSURE_PERCENT = 5;
/** Of a container without a limit, how many measurements count. */
const SAMPLES_KEPT = 100;
/** After the first few, one is measured no more often than this: with fifty containers it is most of what an idle agent does. */
const FIRST_SAMPLES = 2;
const SAMPLE_EVERY_MS = 300_000;

interface Watched {
  limit: Need;
  /** Only where a limit is missing. */
  samples: Need[];
  last?: { atMs: number; cpuNs: number };
}

/** What is known of containers that always run, by id. An engine is asked for limits once for each, for use only where there is none. */
export type WatchedContainers = Map<string, Watched>;

/**
 * The host as the budget needs it. `isScaled` says whether a container is in the ledger anyway, `reservedCpus` what a file promises the
 * containers of a service ("<project>/<service>"): Compose tells the engine nothing of it.
 */
export async function observeHost(
  docker: Docker,
  { cores, memoryBytes }: { cores: number; memoryBytes: number },
  listed: ContainerSummary[],
  isScaled: (container: ContainerSummary) => boolean,
  watched: WatchedContainers,
  reservedCpus: ReadonlyMap<string, number> = new Map(),
): Promise<HostFacts> {
  const running = listed.filter((container) => isUp(container) && !isScaled(container));
  const ids = new Set(running.map(({ Id }) => Id));
  for (const id of watched.keys()) if (!ids.has(id)) watched.delete(id);
  for (const { Id, State } of running) {
    try {
      await watch(docker, Id, State === 'running', watched);
    } catch {
      // It has ended in the meantime.
      watched.delete(Id);
    }
  }
  const pressure = await memoryPressure();
  return { cores, memoryBytes, alwaysOn: byService(running, watched, reservedCpus), ...(pressure === undefined ? {} : { pressure }) };
}

const isUp = ({ State }: ContainerSummary): boolean => State === 'running' || State === 'paused' || State === 'restarting';

async function watch(docker: Docker, id: string, runs: boolean, watched: WatchedContainers): Promise<void> {
  let known = watched.get(id);
  if (!known) {
    const { HostConfig } = await docker.inspectContainer(id);
    const { NanoCpus, CpuQuota, CpuPeriod, Memory } = HostConfig as typeof HostConfig & { CpuQuota?: number; CpuPeriod?: number };
    const cpus = NanoCpus > 0 ? NanoCpus / 1e9 : CpuQuota && CpuQuota > 0 ? CpuQuota / (CpuPeriod || 100_000) : 0;
    known = { limit: { cpus, memoryBytes: Memory }, samples: [] };
    watched.set(id, known);
  }
  if (!runs || (known.limit.cpus > 0 && known.limit.memoryBytes > 0)) return;
  if (known.samples.length >= FIRST_SAMPLES && known.last && Date.now() - known.last.atMs < SAMPLE_EVERY_MS) return;
  const stats = await docker.containerStats(id);
  const now = { atMs: Date.parse(stats.read), cpuNs: stats.cpu_stats.cpu_usage.total_usage };
  const cpus = known.last && now.atMs > known.last.atMs ? (now.cpuNs - known.last.cpuNs) / 1e6 / (now.atMs - known.last.atMs) : 0;
  known.last = now;
  known.samples.push({ cpus, memoryBytes: memoryInUse(stats) });
  if (known.samples.length > SAMPLES_KEPT) known.samples.shift();
}

/** Without pages that the kernel takes back when somebody else needs them, as `docker stats` counts. */
export function memoryInUse({ memory_stats: { usage = 0, stats } }: ContainerStats): number {
  return Math.max(0, usage - (stats?.total_inactive_file ?? stats?.inactive_file ?? 0));
}

function byService(running: ContainerSummary[], watched: WatchedContainers, reservedCpus: ReadonlyMap<string, number>): AlwaysOn[] {
  const found = new Map<string, AlwaysOn>();
  for (const container of running) {
    const known = watched.get(container.Id);
    if (!known) continue;
    const { limit } = known;
    const measured = known.samples.length > 0 ? percentile99(known.samples) : undefined;
    const name = nameOf(container);
    // Containers of one service that differ, as during a release, are entries of their own.
    const key = `${name} ${limit.cpus} ${limit.memoryBytes}`;
    const same = found.get(key);
    if (!same) {
      const reserved = reservedCpus.get(name);
      found.set(key, {
        name,
        containers: 1,
        limit,
        ...(reserved === undefined ? {} : { reservedCpus: reserved }),
        ...(measured ? { measured } : {}),
      });
    } else {
      same.containers++;
      if (measured) same.measured = highest(same.measured, measured);
    }
  }
  return [...found.values()].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
}

function nameOf({ Labels, Names, Id }: ContainerSummary): string {
  const [project, service] = [Labels[COMPOSE.project], Labels[COMPOSE.service]];
  if (project !== undefined && service !== undefined) return `${project}/${service}`;
  return Names[0]?.replace(/^\//, '') ?? Id.slice(0, 12);
}

const highest = (a: Need | undefined, b: Need): Need => ({
  cpus: Math.max(a?.cpus ?? 0, b.cpus),
  memoryBytes: Math.max(a?.memoryBytes ?? 0, b.memoryBytes),
});

function percentile99(samples: Need[]): Need {
  const at = (values: number[]): number => values.sort((a, b) => a - b)[Math.ceil(values.length * 0.99) - 1] ?? 0;
  return { cpus: at(samples.map(({ cpus }) => cpus)), memoryBytes: at(samples.map(({ memoryBytes }) => memoryBytes)) };
}

/** Why nothing more should be started now, or undefined. The kernel may be built without pressure information; then only free memory tells. */
export async function memoryPressure(): Promise<string | undefined> {
  const [meminfo, pressure] = await Promise.all([
    readFile('/proc/meminfo', 'utf8').catch(() => ''),
    readFile('/proc/pressure/memory', 'utf8').catch(() => ''),
  ]);
  return pressureOf(meminfo, pressure);
}

export function pressureOf(meminfo: string, pressure: string): string | undefined {
  const available = /^MemAvailable:\s+(\d+) kB/m.exec(meminfo)?.[1];
  const bytes = available === undefined ? undefined : Number(available) * 1024;
  if (bytes !== undefined && bytes < RESERVE.memoryBytes) return `only ${formatBytes(bytes)} of memory are free`;
  const full = /^full avg10=([\d.]+)/m.exec(pressure)?.[1];
  if (full !== undefined && Number(full) > PRESSURE_PERCENT) return `processes waited for memory ${full} % of the last 10 s`;
  return undefined;
}
