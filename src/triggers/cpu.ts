import { usageTrigger } from './usage.ts';

export const cpu = usageTrigger({
  type: 'cpu',
  summary: 'CPU that the containers use. Not for workers that wait: they are idle while they are busy.',
  used: ({ cpus }) => cpus,
  limit: ({ cpuLimit }) => cpuLimit,
  samples: ['80', '500m'],
  unit: 'cores',
});
