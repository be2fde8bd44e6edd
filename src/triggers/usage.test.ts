import { describe, expect, test } from 'vitest';
import { triggerContract } from './contract.ts';
import { cpu } from './cpu.ts';
import { memory } from './memory.ts';
import type { ContainerUsage, TriggerContext, TriggerType } from './model.ts';

const GIB = 1024 ** 3;
let uses: ContainerUsage[] = [];

function contract(type: TriggerType, one: (percent: number) => ContainerUsage): void {
  triggerContract({
    type,
    server: false,
    credentials: false,
    values: [50, 75],
    start: async () => ({
      metadata: { value: '80' },
      context: { usage: async () => uses },
      async hold(value) {
        uses = [one(value), one(value)];
      },
      remove: async () => {},
    }),
  });
}

contract(cpu as TriggerType, (percent) => ({ cpus: percent / 100, cpuLimit: 1, memoryBytes: 0 }));
contract(memory as TriggerType, (percent) => ({ cpus: 0, memoryBytes: (percent / 100) * GIB, memoryLimitBytes: GIB }));

const container = (cpus: number, cpuLimit: number | undefined, mib: number, limitMib: number | undefined): ContainerUsage => ({
  cpus,
  memoryBytes: mib * 1024 ** 2,
  ...(cpuLimit === undefined ? {} : { cpuLimit }),
  ...(limitMib === undefined ? {} : { memoryLimitBytes: limitMib * 1024 ** 2 }),
});

async function read(type: TriggerType, metricType: 'Utilization' | 'AverageValue', containers: ContainerUsage[]): Promise<unknown> {
  const context = { usage: async () => containers, metricType } as unknown as TriggerContext;
  return type
    .open(type.metadata.parse({ value: '80' }), context)
    .read()
    .then(
      (reading) => reading.value,
      (error: Error) => error.message,
    );
}

describe('usage', () => {
  const two = [container(0.4, 0.5, 100, 200), container(0.1, 0.5, 50, 400)];
  const unlimited = [...two, container(0.3, undefined, 10, undefined)];
  test.each([
    [cpu, 'Utilization', two, 50],
    [cpu, 'AverageValue', two, 0.5],
    [memory, 'Utilization', two, 25],
    [memory, 'AverageValue', two, 150 * 1024 ** 2],
    [cpu, 'AverageValue', unlimited, 0.8],
    [cpu, 'Utilization', unlimited, 'the cpu trigger cannot be read: a container has no cpu limit, and Utilization is percent of it'],
    [
      memory,
      'Utilization',
      unlimited,
      'the memory trigger cannot be read: a container has no memory limit, and Utilization is percent of it',
    ],
    [cpu, 'Utilization', [], 0],
  ] as const)('$0.type $1', async (type, metricType, containers, expected) => {
    expect(await read(type as TriggerType, metricType, [...containers])).toBe(expected);
  });

  test('neither lifts a service from 0', () => expect([cpu.activates, memory.activates]).toEqual([false, false]));

  test.each([
    ['80', 80],
    ['500m', 0.5],
    ['512Mi', 512 * 1024 ** 2],
  ])('a target of %s', (value, expected) =>
    expect(memory.target(memory.metadata.parse({ value }))).toEqual({ value: expected, activation: 0 }),
  );
});
