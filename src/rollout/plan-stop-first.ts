import { formatMs } from '../kit/duration.ts';
import type { EdgeSpec, Service } from '../project/model.ts';
import type { Step } from './model.ts';
import type { Moving } from './plan-service.ts';
import { gateStep } from './plan-start.ts';

/** One batch after the other: hold requests where nothing else serves, drain, stop, start, gate, let requests go on. */
export function addStopFirst(steps: Step[], entry: Moving, fixedName: boolean, losses: string[]): void {
  const { plan, service, update, old, fresh, kept } = entry;
  const size = update.parallelism <= 0 ? Math.max(old.length, fresh.length) : update.parallelism;
  const rounds = Math.ceil(Math.max(old.length, fresh.length) / size);
  // Waiting requests may not run out of time because the old container takes long over its last ones.
  const half = Math.max(1000, holdBudgetMs(service.edge) / 2);
  const budget = { requestsMs: Math.min(drainBudget(service).requestsMs, half), streamsMs: Math.min(drainBudget(service).streamsMs, half) };
  for (let round = 0; round < rounds; round += 1) {
    const suffix = rounds > 1 ? `:${round + 1}` : '';
    const going = old.slice(round * size, (round + 1) * size);
    const coming = fresh.slice(round * size, (round + 1) * size);
    const stay = [...kept, ...fresh.slice(0, round * size), ...old.slice((round + 1) * size)];
    if (round > 0 && update.delayMs > 0)
      steps.push({ id: `wait:${service.name}${suffix}`, kind: 'wait', ms: update.delayMs, why: `update_config.delay of ${service.name}` });
    if (plan.routed && going.length > 0) {
      const hold = stay.length === 0;
      steps.push({
        id: `hold:${service.name}${suffix}`,
        kind: 'route',
        routings: [{ service: service.name, ready: stay, drain: going, hold }],
        why: hold ? `requests wait at the edge, at most ${formatMs(holdBudgetMs(service.edge))}` : 'the other replicas take its requests',
      });
      steps.push({
        id: `drain:${service.name}${suffix}`,
        kind: 'drain',
        service: service.name,
        containers: going,
        ...budget,
        why: 'what is in flight ends first',
      });
    }
    if (going.length > 0)
      steps.push({
        id: `stop:${service.name}${suffix}`,
        kind: 'stop',
        service: service.name,
        containers: going,
        why: entry.plan.orderWhy ?? 'stop-first',
      });
    if (fixedName) {
      steps.push({
        id: `remove:${service.name}${suffix}`,
        kind: 'remove',
        service: service.name,
        containers: going,
        snapshot: true,
        why: 'its name is needed; it can be made again from a snapshot',
      });
      steps.push({
        id: `create:${service.name}${suffix}`,
        kind: 'create',
        totals: [{ service: service.name, add: coming.length }],
        why: 'under the same name',
      });
    }
    if (coming.length > 0) {
      steps.push({
        id: `start:${service.name}${suffix}`,
        kind: 'start',
        service: service.name,
        containers: coming,
        why: 'in the new release',
      });
      steps.push(gateStep(service, coming, fresh.length, suffix, update));
    }
    if (plan.routed) {
      steps.push({
        id: `resume:${service.name}${suffix}`,
        kind: 'route',
        routings: [{ service: service.name, ready: [...stay, ...coming], drain: [], hold: false }],
        why: 'waiting requests go on',
      });
    }
  }
  if (plan.routed) {
    losses.push(
      ...service.publishedPorts.map(
        ({ published }) =>
          `${service.name}: requests that come in on its own port ${published} are cut while it restarts (without \`ports:\`, behind the edge, none would be)`,
      ),
    );
  } else if (service.publishedPorts.length > 0 || service.exposedPorts.length > 0) {
    losses.push(`${service.name} does not answer while it restarts: ${plan.orderWhy}`);
  }
}

export const holdBudgetMs = (specs: EdgeSpec[]): number => Math.max(0, ...specs.map(({ holdMs }) => holdMs));

export function drainBudget(service: Service): { requestsMs: number; streamsMs: number } {
  return {
    requestsMs: Math.max(0, ...service.edge.map(({ drain }) => drain.requestsMs)),
    streamsMs: Math.max(0, ...service.edge.map(({ drain }) => drain.streamsMs)),
  };
}
