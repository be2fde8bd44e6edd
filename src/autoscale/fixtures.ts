import { z } from 'zod';
import type { AutoscaleSpec, Service } from '../project/model.ts';
import { readUpdateConfig } from '../project/services.ts';
import type { TriggerType } from '../triggers/model.ts';
import type { ScaledService } from './tiers.ts';

/** For tests: kinds of trigger that differ in what a tier depends on. */
const type = (given: Partial<TriggerType> & { type: string }): TriggerType => ({
  summary: '',
  metadata: z.unknown(),
  metricTypes: ['AverageValue', 'Value'],
  target: (metadata) => ({ value: (metadata as { target?: number }).target, activation: 0 }),
  activates: true,
  freezable: true,
  open: () => {
    throw new Error('nothing is read here');
  },
  ...given,
});

export const queueTypes: readonly TriggerType[] = [
  type({ type: 'queue' }),
  type({ type: 'shy-queue', freezable: false }),
  type({ type: 'cpu', metricTypes: ['Utilization', 'AverageValue'], activates: false, freezable: false }),
];

/** A service with x-autoscale as the project room reads it. */
export function scaledService(
  given: {
    name?: string;
    cpus?: number;
    memory?: number;
    triggers?: string[];
    spec?: Partial<AutoscaleSpec>;
    service?: Partial<Service>;
  } = {},
): ScaledService {
  const { name = 'worker', cpus = 1, memory = 256 * 1024 ** 2, triggers = ['queue'], spec = {}, service = {} } = given;
  return {
    name,
    image: 'worker:1',
    builds: false,
    configHash: '',
    contentHash: '',
    contentFiles: [],
    replicas: 1,
    dependsOn: {},
    update: readUpdateConfig({}),
    rollback: readUpdateConfig({}),
    stopGraceMs: 10_000,
    postStart: [],
    preStop: [],
    devices: false,
    privileged: false,
    publishedPorts: [],
    exposedPorts: [],
    mounts: [],
    environment: {},
    memoryLimitBytes: memory,
    cpus,
    restart: 'no',
    edge: [],
    ...service,
    autoscale: {
      triggers: triggers.map((one, index) => ({
        name: `${one}-${index}`,
        type: one,
        metricType: one === 'cpu' ? 'Utilization' : 'AverageValue',
        metadata: {},
        written: { metadata: {} },
      })),
      behavior: { scaleUp: { selectPolicy: 'Max' }, scaleDown: { selectPolicy: 'Max' } },
      pause: { paused: false, pausedScaleIn: false, pausedScaleOut: false },
      forceActivation: false,
      tier: { class: 'medium' },
      keda: {},
      ...spec,
    },
  };
}
