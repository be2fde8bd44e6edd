import { z } from 'zod';
import { scalar } from '../kit/fields.ts';
import { parseQuantity } from './fields.ts';
import type { ContainerUsage, MetricType, TriggerType } from './model.ts';
import { polled, WITHOUT_CONNECTION } from './polled.ts';

/** What cpu and memory have in common: HPA's resource metrics, with the container's limit in the place of the pod's request. */

interface Resource {
  type: 'cpu' | 'memory';
  summary: string;
  used(usage: ContainerUsage): number;
  limit(usage: ContainerUsage): number | undefined;
  samples: string[];
  unit: string;
}

/**
 * Utilization: used over limit of all containers together, in percent. AverageValue: the sum of what they use, which is held against the
 * target times the number of containers. Without a running container there is nothing to measure, and nothing to scale.
 */
export function usageValue(
  containers: ContainerUsage[],
  { used, limit, type }: Pick<Resource, 'used' | 'limit' | 'type'>,
  metricType: MetricType,
): number {
  const total = containers.reduce((sum, container) => sum + used(container), 0);
  if (metricType !== 'Utilization' || containers.length === 0) return total;
  const limits = containers.map(limit);
  if (limits.some((each) => !each)) throw new Error(`a container has no ${type} limit, and Utilization is percent of it`);
  return (total / limits.reduce<number>((sum, each) => sum + (each ?? 0), 0)) * 100;
}

export function usageTrigger(resource: Resource) {
  const metadata = z.strictObject({
    value: scalar(
      'a number of percent such as 80, or a quantity such as 500m or 512Mi, above 0',
      (text) => {
        const value = parseQuantity(text);
        return value !== undefined && value > 0 ? value : undefined;
      },
      'number',
    )
      .describe(
        `With \`metricType: Utilization\` percent of the limit that a container may use on average; with \`AverageValue\` ${resource.unit}.`,
      )
      .meta({ samples: resource.samples }),
  });
  return {
    type: resource.type,
    summary: resource.summary,
    metadata,
    metricTypes: ['Utilization', 'AverageValue'],
    target: ({ value }) => ({ value, activation: 0 }),
    activates: false,
    freezable: false,
    open: (_, context) =>
      polled({
        ...WITHOUT_CONNECTION,
        type: resource.type,
        where: 'the containers of the service',
        secrets: [],
        look: async () => ({ value: usageValue(await context.usage(), resource, context.metricType ?? 'Utilization') }),
      }),
  } satisfies TriggerType<z.output<typeof metadata>>;
}
