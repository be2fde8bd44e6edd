import type { ServerStats } from '../edge/model.ts';
import type { ProjectSettings } from '../project/model.ts';

/** Traffic of a set of servers between two looks. */
export interface Traffic {
  requests: number;
  errors: number;
  /** Mean over the servers' recent requests; 0 when there were none. */
  responseTimeMs: number;
}

/** What the given servers did since an earlier look; without one, since the edge began to count. */
export function trafficOf(stats: ServerStats[], servers: ReadonlySet<string>, since: ServerStats[] = []): Traffic {
  const earlier = new Map(since.map((row) => [`${row.backend}/${row.server}`, row]));
  let requests = 0;
  let errors = 0;
  let weighted = 0;
  for (const row of stats) {
    if (!servers.has(row.server)) continue;
    const before = earlier.get(`${row.backend}/${row.server}`);
    const fresh = Math.max(0, row.requests - (before?.requests ?? 0));
    requests += fresh;
    errors += Math.max(
      0,
      row.responses5xx +
        row.connectionErrors +
        row.responseErrors -
        ((before?.responses5xx ?? 0) + (before?.connectionErrors ?? 0) + (before?.responseErrors ?? 0)),
    );
    weighted += fresh * row.responseTimeMs;
  }
  return { requests, errors, responseTimeMs: requests > 0 ? weighted / requests : 0 };
}

const ratio = (traffic: Traffic): number => (traffic.requests > 0 ? traffic.errors / traffic.requests : 0);

/**
 * Latency is judged by means, which a few slow requests move far while there are few of all, and which a process that has just begun
 * makes worse by itself. So it takes this many requests on both sides, and a difference that a person would notice.
 */
const LATENCY_REQUESTS = 200;
const LATENCY_DIFFERENCE_MS = 250;

/** Why the new containers are worse than the old ones by more than the limits allow, or undefined when they are not. */
export function judgeTraffic(fresh: Traffic, old: Traffic, limits: ProjectSettings['release']): string | undefined {
  if (fresh.requests < limits.minRequests) return undefined;
  if (ratio(fresh) > ratio(old) + limits.maxErrorRatio) {
    return `${fresh.errors} of ${fresh.requests} requests failed on the new containers (${percent(ratio(fresh))}; the old ones: ${percent(ratio(old))}, allowed: ${percent(limits.maxErrorRatio)} more)`;
  }
  if (
    Math.min(old.requests, fresh.requests) >= Math.max(limits.minRequests, LATENCY_REQUESTS) &&
    fresh.responseTimeMs > old.responseTimeMs * limits.maxLatencyRatio &&
    fresh.responseTimeMs > old.responseTimeMs + LATENCY_DIFFERENCE_MS
  ) {
    return `the new containers take ${Math.round(fresh.responseTimeMs)} ms to answer, the old ones took ${Math.round(old.responseTimeMs)} ms (allowed: ${limits.maxLatencyRatio} times as long)`;
  }
  return undefined;
}

const percent = (value: number): string => `${(value * 100).toFixed(value < 0.1 ? 1 : 0)} %`;
