import type { Docker } from '../docker/api.ts';
import { sleep } from '../kit/wait.ts';
import type { ContainerUsage } from '../triggers/model.ts';
import { memoryInUse } from './host.ts';
import type { Need } from './model.ts';

/** The last look at each container: CPU is a counter, and a rate needs two. */
export type UsageSamples = Map<string, { atMs: number; cpuNs: number }>;

const FIRST_GAP_MS = 1000;

/** What each of these running containers uses; one that is looked at for the first time is looked at for a second. */
export async function readUsage(docker: Docker, containers: string[], limit: Need, samples: UsageSamples): Promise<ContainerUsage[]> {
  for (const id of samples.keys()) if (!containers.includes(id)) samples.delete(id);
  const fresh = containers.filter((id) => !samples.has(id));
  if (fresh.length > 0) {
    await Promise.all(fresh.map((id) => sample(docker, id, samples)));
    await sleep(FIRST_GAP_MS);
  }
  const found = await Promise.all(
    containers.map(async (id): Promise<ContainerUsage[]> => {
      const before = samples.get(id);
      const now = await sample(docker, id, samples);
      if (!before || !now || now.atMs <= before.atMs) return [];
      return [
        {
          cpus: (now.cpuNs - before.cpuNs) / 1e6 / (now.atMs - before.atMs),
          memoryBytes: now.memoryBytes,
          ...(limit.cpus > 0 ? { cpuLimit: limit.cpus } : {}),
          ...(limit.memoryBytes > 0 ? { memoryLimitBytes: limit.memoryBytes } : {}),
        },
      ];
    }),
  );
  return found.flat();
}

/** Undefined: it has ended. */
async function sample(docker: Docker, id: string, samples: UsageSamples) {
  try {
    const stats = await docker.containerStats(id);
    const atMs = Date.parse(stats.read);
    const cpuNs = stats.cpu_stats.cpu_usage.total_usage;
    if (!(atMs > 0)) return undefined;
    samples.set(id, { atMs, cpuNs });
    return { atMs, cpuNs, memoryBytes: memoryInUse(stats) };
  } catch {
    samples.delete(id);
    return undefined;
  }
}
