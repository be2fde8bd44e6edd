import type { Tier } from '../../autoscale/model.ts';
import { Failure } from '../../kit/errors.ts';
import { type Job, jobsOf } from './jobs.ts';
import { HOUR_MS, type Jobs, type Retry, type Workload } from './model.ts';
import { exponential, pareto, seededRandom } from './random.ts';
import { tierOf } from './traces.ts';

export interface ModelOptions {
  seed: number;
  durationMs: number;
  /** Share of what all workers that a tier may have could work off: the mean load of the models that have one. */
  load: number;
}

export const MODEL_DEFAULTS = { seed: 1, hours: 24, load: 0.2 };

/** Mean duration of a job where the model does not say otherwise, by the tier's class. */
const MEAN_MS = { light: 1000, medium: 15_000, heavy: 180_000 };

interface Model {
  summary: string;
  jobs(tiers: Tier[], random: () => number, options: ModelOptions): Jobs;
  retry?: Retry;
}

/** Every workload model by its name on the command line. */
export const MODELS: Record<string, Model> = {
  poisson: {
    summary: 'independent arrivals at a constant rate, exponential durations',
    jobs: (tiers, random, options) => jobsOf(tiers.flatMap((tier, index) => poisson(tier, index, random, options, exponential))),
  },
  bursts: {
    summary: 'quiet for an hour, then ten minutes at six times the load, both random (a Markov-modulated Poisson process)',
    jobs: (tiers, random, options) => jobsOf(tiers.flatMap((tier, index) => bursts(tier, index, random, options))),
  },
  cron: {
    summary: 'each hour 200 light jobs at once; a few medium and heavy jobs in between',
    jobs: (tiers, random, options) => jobsOf(hourly(tiers, random, options)),
  },
  minutely: {
    summary: 'one job each minute, as a one-minute cron starts it',
    jobs: (tiers, _random, options) => everyMinute(tiers, options),
  },
  pareto: {
    summary: 'independent arrivals, durations with a heavy tail (alpha 1.3)',
    jobs: (tiers, random, options) =>
      jobsOf(tiers.flatMap((tier, index) => poisson(tier, index, random, options, (draw, mean) => pareto(draw, mean, 1.3, 100 * mean)))),
  },
  poison: {
    summary: 'as poisson; one job in a thousand fails every time and is tried 25 times, a minute apart',
    jobs: (tiers, random, options) =>
      jobsOf(
        tiers.flatMap((tier, index) =>
          poisson(tier, index, random, options, exponential).map((job) => ({ ...job, poison: random() < 0.001 })),
        ),
      ),
    retry: { attempts: 25, delayMs: 60_000 },
  },
};

/** Failure USAGE for a model that is not known. */
export function modelWorkload(name: string, tiers: Tier[], options: ModelOptions): Workload {
  const model = Object.hasOwn(MODELS, name) ? MODELS[name] : undefined;
  if (!model) {
    throw new Failure('USAGE', `there is no workload model ${name}`, {
      next: 'choose one of these, or give a file with --trace',
      details: Object.entries(MODELS).map(([known, { summary }]) => `${known}: ${summary}`),
    });
  }
  return {
    name,
    jobs: model.jobs(tiers, seededRandom(options.seed), options),
    durationMs: options.durationMs,
    retry: model.retry ?? { attempts: 1, delayMs: 0 },
  };
}

/** Jobs per ms that keep the share `load` of all slots of the tier busy. */
const rateOf = (tier: Tier, load: number): number => (load * tier.max * tier.concurrency) / MEAN_MS[tier.class];

function poisson(
  tier: Tier,
  index: number,
  random: () => number,
  { durationMs, load }: ModelOptions,
  service: (random: () => number, mean: number) => number,
): Job[] {
  return arrivals(random, rateOf(tier, load), 0, durationMs).map((atMs) => ({
    atMs,
    tier: index,
    serviceMs: service(random, MEAN_MS[tier.class]),
  }));
}

function bursts(tier: Tier, index: number, random: () => number, { durationMs, load }: ModelOptions): Job[] {
  const jobs: Job[] = [];
  let on = false;
  for (let atMs = 0; atMs < durationMs; ) {
    const endMs = Math.min(durationMs, atMs + exponential(random, on ? HOUR_MS / 6 : HOUR_MS));
    for (const at of arrivals(random, rateOf(tier, on ? load * 6 : load / 10), atMs, endMs))
      jobs.push({ atMs: at, tier: index, serviceMs: exponential(random, MEAN_MS[tier.class]) });
    atMs = endMs;
    on = !on;
  }
  return jobs;
}

function hourly(tiers: Tier[], random: () => number, { durationMs }: ModelOptions): Job[] {
  const jobs: Job[] = [];
  const light = tierOf('light', tiers);
  for (let atMs = HOUR_MS / 2; atMs < durationMs; atMs += HOUR_MS)
    for (let job = 0; job < 200; job += 1) jobs.push({ atMs, tier: light, serviceMs: 2000 + 2000 * random() });
  for (const [name, perHour, meanMs] of [
    ['medium', 12, 20_000],
    ['heavy', 1.5, 900_000],
  ] as const) {
    for (const atMs of arrivals(random, perHour / HOUR_MS, 0, durationMs))
      jobs.push({ atMs, tier: tierOf(name, tiers), serviceMs: meanMs * (0.5 + random()) });
  }
  return jobs;
}

function everyMinute(tiers: Tier[], { durationMs }: ModelOptions): Jobs {
  const tier = tierOf('medium', tiers);
  return jobsOf(Array.from({ length: Math.ceil(durationMs / 60_000) }, (_, minute) => ({ atMs: minute * 60_000, tier, serviceMs: 5000 })));
}

function arrivals(random: () => number, perMs: number, fromMs: number, toMs: number): number[] {
  const times: number[] = [];
  for (let atMs = fromMs + exponential(random, 1 / perMs); atMs < toMs; atMs += exponential(random, 1 / perMs)) times.push(atMs);
  return times;
}
