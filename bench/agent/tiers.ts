import { fileURLToPath } from 'node:url';

const MODULES = fileURLToPath(new URL('../../node_modules', import.meta.url));
const WORKER = fileURLToPath(new URL('../../test/fixtures/worker/worker.js', import.meta.url));

/** Services named after what stands ready of them, each with a queue of its own name. */
export const WARMTHS = ['frozen', 'stopped', 'none'] as const;
export type Warmth = (typeof WARMTHS)[number];

export const BURST = 8;

/**
 * Redis, a BullMQ worker for each kind of warmth, and one for the burst. A tier is at rest two seconds after its last job, so
 * that rounds are short; nothing of it lies on the way from job to worker.
 */
export function composeFile(): string {
  const scaled = (listName: string, more: object, tier: object) => ({
    pollingInterval: 1,
    cooldownPeriod: 2,
    advanced: { horizontalPodAutoscalerConfig: { behavior: { scaleDown: { stabilizationWindowSeconds: 0 } } } },
    triggers: [{ type: 'redis', metadata: { address: 'redis:6379', listName, listLength: '1' } }],
    ...more,
    tier: { class: 'light', ...tier },
  });
  const worker = (queue: string, cpus: string, maxReplicaCount: number, warm: Warmth) => ({
    image: 'node:24-alpine',
    command: ['node', '/app/worker.js'],
    init: true,
    environment: { QUEUE: queue },
    volumes: [`${MODULES}:/app/node_modules:ro`, `${WORKER}:/app/worker.js:ro`],
    stop_grace_period: '1s',
    deploy: { resources: { limits: { memory: '192M', cpus } } },
    'x-autoscale': scaled(queue, { maxReplicaCount }, { framework: 'bullmq', warm }),
  });
  return JSON.stringify({
    services: {
      redis: { image: 'redis:8-alpine', command: 'redis-server --save ""', stop_grace_period: '1s' },
      ...Object.fromEntries(WARMTHS.map((warm) => [warm, worker(warm, '0.5', 1, warm)])),
      burst: worker('burst', '0.25', BURST, 'none'),
    },
  });
}
