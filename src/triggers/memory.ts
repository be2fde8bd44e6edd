import { usageTrigger } from './usage.ts';

export const memory = usageTrigger({
  type: 'memory',
  summary: 'Memory that the containers use. Of use only where more containers make each of them use less.',
  used: ({ memoryBytes }) => memoryBytes,
  limit: ({ memoryLimitBytes }) => memoryLimitBytes,
  samples: ['80', '512Mi'],
  unit: 'bytes',
});
