import type { Docker } from '../docker/api.ts';
import { EngineError } from '../docker/api.ts';
import { onlyFile } from '../docker/tar.ts';
import { sleep } from '../kit/wait.ts';
import type { Framework, Reading, WorkerReading } from '../triggers/model.ts';
import type { BusyProbe, Tier, Worker } from './model.ts';

/** Undefined: nothing tells, which is not the same as idle. */
export interface Evidence {
  idle: boolean | undefined;
  why: string;
}

/** How old what a framework says of its workers may be: they tell by heartbeat. BullMQ's and RQ's keys change with each job. */
export const HEARTBEAT_MS: Record<Framework, number> = { celery: 2500, sidekiq: 10_500, bullmq: 0, rq: 0 };

/** Facts §9.4 of the rule: less than this share of a core, for this long. */
const QUIET_CORES = 0.01;
const QUIET_MS = 30_000;
const LOOK_MS = 1000;
const PROBE_MS = 3000;

/** Does the source mean this container? */
export function isNamed(reading: WorkerReading, worker: Pick<Worker, 'id' | 'hostname' | 'address'>): boolean {
  if (reading.hostname !== undefined) {
    if (worker.hostname !== undefined && reading.hostname === worker.hostname) return true;
    if (reading.hostname.length >= 12 && worker.id.startsWith(reading.hostname)) return true;
  }
  return reading.address !== undefined && reading.address === worker.address;
}

/** What the sources say of one worker. A container may be named several times, by each process in it: one that is busy is enough. */
export function evidenceOfReadings(readings: readonly Reading[], worker: Pick<Worker, 'id' | 'hostname' | 'address'>): Evidence {
  const named = readings.flatMap(({ workers }) => (workers ?? []).filter((reading) => isNamed(reading, worker)));
  if (named.length === 0) return { idle: undefined, why: 'no source knows this worker' };
  return named.some(({ busy }) => busy) ? { idle: false, why: 'it runs a job' } : { idle: true, why: 'its source says idle' };
}

/** Nothing waits and nothing runs anywhere in the tier, as far as its sources tell. */
export const isTierEmpty = (readings: readonly Reading[]): boolean =>
  readings.every(({ value, queue }) => (queue ? queue.waiting === 0 && (queue.active ?? 0) === 0 && (queue.held ?? 0) === 0 : value <= 0));

/** Asks the container itself, as the file says. */
export async function askProbe(docker: Docker, probe: BusyProbe, worker: Pick<Worker, 'id' | 'address'>): Promise<Evidence> {
  try {
    const answer = await Promise.race([probeNow(docker, probe, worker), sleep(PROBE_MS).then(() => undefined)]);
    return answer ?? { idle: undefined, why: `its busy probe did not answer within ${PROBE_MS / 1000} s` };
  } catch (error) {
    return { idle: undefined, why: `its busy probe failed: ${(error as Error).message}` };
  }
}

async function probeNow(docker: Docker, probe: BusyProbe, worker: Pick<Worker, 'id' | 'address'>): Promise<Evidence> {
  switch (probe.kind) {
    case 'exec': {
      const { code } = await docker.exec(worker.id, probe.command);
      if (code === 0) return { idle: true, why: 'its busy probe says idle' };
      return code === 1
        ? { idle: false, why: 'its busy probe says busy' }
        : { idle: undefined, why: `its busy probe ended with code ${code}` };
    }
    case 'http': {
      if (worker.address === undefined) return { idle: undefined, why: 'it has no address to ask its busy probe at' };
      const host = worker.address.includes(':') ? `[${worker.address}]` : worker.address;
      const { status } = await fetch(`http://${host}:${probe.port}${probe.path}`, {
        signal: AbortSignal.timeout(PROBE_MS),
        redirect: 'manual',
      });
      if (status >= 200 && status < 300) return { idle: true, why: 'its busy probe says idle' };
      return status === 409 || status === 503
        ? { idle: false, why: 'its busy probe says busy' }
        : { idle: undefined, why: `its busy probe answered ${status}` };
    }
    case 'file': {
      const text = (await readFileOf(docker, worker.id, probe.path)).trimStart();
      if (text.startsWith('idle')) return { idle: true, why: `${probe.path} says idle` };
      return text.startsWith('busy')
        ? { idle: false, why: `${probe.path} says busy` }
        : { idle: undefined, why: `${probe.path} says neither idle nor busy` };
    }
  }
}

/** `cat` sees every mount; the engine's own copy sees no tmpfs, but needs no program in the image. */
async function readFileOf(docker: Docker, container: string, path: string): Promise<string> {
  try {
    const { code, output } = await docker.exec(container, ['cat', path]);
    if (code === 0) return output;
  } catch (error) {
    if (!(error instanceof EngineError)) throw error;
  }
  return onlyFile(await docker.getArchive(container, path))?.content.toString('utf8', 0, 64) ?? '';
}

/** By what the kernel counts: nearly no CPU time for a while. Ends early once `look` finds something better to go by. */
export async function watchCpu(
  docker: Docker,
  worker: Pick<Worker, 'id'>,
  look: () => Promise<Evidence | undefined>,
  forMs = QUIET_MS,
): Promise<Evidence> {
  const sample = async () => {
    const { read, cpu_stats } = await docker.containerStats(worker.id);
    return { atMs: Date.parse(read), cpuNs: cpu_stats.cpu_usage.total_usage };
  };
  const before = await sample();
  const until = performance.now() + forMs;
  for (let left = forMs; left > 0; left = until - performance.now()) {
    await sleep(Math.min(left, LOOK_MS));
    const better = await look();
    if (better) return better;
  }
  const after = await sample();
  const cores = (after.cpuNs - before.cpuNs) / 1e6 / Math.max(1, after.atMs - before.atMs);
  const measured = `${(cores * 100).toFixed(1)} % of a core over ${Math.round(forMs / 1000)} s`;
  return cores < QUIET_CORES ? { idle: true, why: `it used ${measured}` } : { idle: false, why: `it uses ${measured}` };
}

/**
 * Whether a worker is idle, by the best evidence there is: its sources and the file's probe, both where there are both; where neither
 * tells, an empty tier and a quiet CPU. `read` reads all sources of the tier now.
 */
export async function proveIdle(
  docker: Docker,
  tier: Pick<Tier, 'busy'>,
  worker: Worker,
  read: () => Promise<Reading[]>,
  options: { quietMs?: number } = {},
): Promise<Evidence> {
  const probed = tier.busy && (await askProbe(docker, tier.busy, worker));
  if (probed?.idle === false) return probed;
  const told = evidenceOfReadings(await read(), worker);
  if (told.idle === false) return told;
  // A probe that does not answer may hide a job that no source knows of.
  if (tier.busy) return probed ?? told;
  if (told.idle === true) return told;
  // A worker that has just started is named by its source a moment later.
  const look = async (): Promise<Evidence | undefined> => {
    const readings = await read();
    const now = evidenceOfReadings(readings, worker);
    if (now.idle !== undefined) return now;
    return isTierEmpty(readings) ? undefined : { idle: undefined, why: `${now.why}, and its tier has work` };
  };
  return (await look()) ?? watchCpu(docker, worker, look, options.quietMs);
}
