import type { ServerStats } from '../edge/model.ts';
import { formatMs } from '../kit/duration.ts';
import { Failure } from '../kit/errors.ts';
import { sleep } from '../kit/wait.ts';
import { evidence, nameOf } from './containers.ts';
import { type DrainBudget, type Drained, describeDrain, drainContainers } from './drain.ts';
import { judgeContainer } from './gate.ts';
import { judgeTraffic, trafficOf } from './judge.ts';
import type { Plan } from './model.ts';
import type { World } from './world.ts';

const LOOK_EVERY_MS = 200;

/**
 * Holds the new containers against the old ones for `ms` after the switch while the old ones finish what they serve.
 * Each service is judged by itself, so that a busy one does not hide a bad one. Failure RELEASE_FAILED, `where` the service, on the first
 * breach: more failed requests, slower answers, a restart, an unhealthy check.
 */
export async function watchRelease(
  world: World,
  plan: Plan,
  ms: number,
  drains: DrainBudget[],
  { created, tolerated }: { created: Record<string, string[]>; tolerated: Record<string, string[]> },
): Promise<{ text: string; requestsLeft: number }> {
  const watched = plan.services
    .filter(({ action, left }) => left === undefined && (action === 'replace' || action === 'first start' || action === 'scale'))
    .map((entry) => ({
      service: entry.service,
      fresh: [...entry.reuse, ...(created[entry.service] ?? [])].filter((id) => !tolerated[entry.service]?.includes(id)),
      old: new Set(entry.old.map((id) => id.slice(0, 12))),
    }));
  const routed = plan.services.some((service) => service.routed && service.action !== 'keep');
  const stats = (): Promise<ServerStats[]> => (routed ? world.edge.stats() : Promise.resolve([]));
  const before = await stats();

  const over = new AbortController();
  const drained = Promise.all(
    drains.map((drain) => drainContainers({ ...world, signal: AbortSignal.any([world.signal, over.signal]) }, drain)),
  );
  drained.catch(() => {});
  const deadline = performance.now() + ms;
  let requests = 0;
  try {
    while (performance.now() < deadline) {
      const now = await stats();
      requests = 0;
      for (const { service, fresh, old } of watched) {
        const traffic = trafficOf(now, new Set(fresh.map((id) => id.slice(0, 12))));
        requests += traffic.requests;
        const breach = judgeTraffic(traffic, trafficOf(before, old), world.project.settings.release);
        if (breach)
          throw new Failure('RELEASE_FAILED', `the new release is worse than the old one: ${breach}`, {
            where: service,
            details: fresh[0] ? await evidence(world.docker, fresh[0]) : [],
          });
        for (const id of fresh) await failWhenBad(world, service, id);
      }
      await sleep(Math.min(LOOK_EVERY_MS, Math.max(0, deadline - performance.now())), undefined, { signal: world.signal });
    }
    const results = await drained;
    const verdict = ms > 0 ? `${requests} requests on the new containers within ${formatMs(ms)}, no breach` : '';
    return {
      text: [verdict, ...summary(results)].filter(Boolean).join('; '),
      requestsLeft: results.reduce((sum, { requestsLeft }) => sum + requestsLeft, 0),
    };
  } catch (error) {
    over.abort();
    throw error;
  }
}

async function failWhenBad(world: World, service: string, id: string): Promise<void> {
  const info = await world.docker.findContainer(id);
  const verdict = info ? judgeContainer(info, Date.now()) : { bad: 'it is gone' };
  if (typeof verdict === 'string') return;
  const name = info ? nameOf(info) : id.slice(0, 12);
  throw new Failure('RELEASE_FAILED', `${name} went bad after the switch: ${verdict.bad}`, {
    where: service,
    details: await evidence(world.docker, id),
  });
}

function summary(results: Drained[]): string[] {
  if (results.length === 0) return [];
  const worst = results.reduce((a, b) => (b.ms > a.ms ? b : a));
  return [
    `old ones: ${describeDrain({ ms: worst.ms, requestsLeft: results.reduce((sum, r) => sum + r.requestsLeft, 0), streamsLeft: results.reduce((sum, r) => sum + r.streamsLeft, 0) })}`,
  ];
}
