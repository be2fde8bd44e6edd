import { type ConnectionOptions, Queue } from 'bullmq';
import { type Params, type Tier, tiers } from './kinds.ts';
import { log, settings } from './settings.ts';

export interface JobData {
  params: Params;
}

/** For the API: a request that cannot be served now is answered with an error now. */
const connection: ConnectionOptions = {
  ...settings.redis,
  maxRetriesPerRequest: 1,
  enableOfflineQueue: false,
  connectTimeout: 2_000,
};

/** One queue per tier. Finished jobs stay a day, at most a thousand per tier. */
export function openQueues(): Record<Tier, Queue<JobData>> {
  const open = (tier: Tier) => {
    const queue = new Queue<JobData>(tier, {
      connection,
      defaultJobOptions: {
        removeOnComplete: { age: 86_400, count: 1_000 },
        removeOnFail: { age: 86_400, count: 1_000 },
        attempts: 3,
        backoff: { type: 'exponential', delay: 500 },
      },
    });
    queue.on('error', (error) => log('redis', { tier, error: error.message }));
    return [tier, queue] as const;
  };
  return Object.fromEntries(tiers.map(open)) as Record<Tier, Queue<JobData>>;
}
