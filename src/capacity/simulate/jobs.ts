import type { Jobs } from './model.ts';

export interface Job {
  atMs: number;
  tier: number;
  serviceMs: number;
  poison?: boolean;
}

/** Jobs in the order of their arrival; those of one moment stay in the order they came in. */
export function jobsOf(list: Job[]): Jobs {
  const sorted = [...list].sort((a, b) => a.atMs - b.atMs);
  const jobs: Jobs = {
    count: sorted.length,
    atMs: new Float64Array(sorted.length),
    tier: new Uint8Array(sorted.length),
    serviceMs: new Float64Array(sorted.length),
    poison: new Uint8Array(sorted.length),
  };
  sorted.forEach((job, index) => {
    jobs.atMs[index] = job.atMs;
    jobs.tier[index] = job.tier;
    jobs.serviceMs[index] = job.serviceMs;
    jobs.poison[index] = job.poison ? 1 : 0;
  });
  return jobs;
}
