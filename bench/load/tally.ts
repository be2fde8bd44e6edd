import { monitorEventLoopDelay } from 'node:perf_hooks';
import { type Kind, type KindReport, type LoadFailure, type LoadReport, REQUEST_KINDS, STREAM_KINDS, type StreamKind } from './model.ts';

const KEPT_FAILURES = 20;

export interface Failed {
  error: string;
  status?: number | undefined;
  reused?: boolean;
  version?: string | undefined;
}

export type Tally = ReturnType<typeof openTally>;

/** Counts what happened. `onVersion` hears each version once, at its first answer. */
export function openTally(onVersion: (version: string, at: number) => void) {
  const startedAt = Date.now();
  const kinds = new Map<Kind, { times: number[]; errors: Map<string, number>; failed: number }>();
  for (const kind of [...REQUEST_KINDS, ...STREAM_KINDS]) kinds.set(kind, { times: [], errors: new Map(), failed: 0 });
  const streams = { webSockets: { opened: 0, clean: 0, cut: 0 }, sse: { opened: 0, clean: 0, cut: 0 } };
  const failures: LoadFailure[] = [];
  const versions: LoadReport['versions'] = {};
  const delay = monitorEventLoopDelay({ resolution: 10 });
  delay.enable();

  const of = (kind: Kind) => kinds.get(kind) as NonNullable<ReturnType<typeof kinds.get>>;

  function keep(kind: Kind, begunAt: number, failed: Failed): void {
    if (failures.length >= KEPT_FAILURES) return;
    const { error, status, reused, version } = failed;
    failures.push({
      begunAt,
      at: Date.now(),
      kind,
      error,
      ...(status === undefined ? {} : { status }),
      ...(reused === undefined ? {} : { reused }),
      ...(version === undefined ? {} : { version }),
    });
  }

  function answered(version: string | undefined): void {
    if (version === undefined) return;
    const at = Date.now();
    const seen = versions[version];
    if (seen) {
      seen.answers += 1;
      seen.lastAt = at;
    } else {
      versions[version] = { answers: 1, firstAt: at, lastAt: at };
      onVersion(version, at);
    }
  }

  return {
    versions,

    ok(kind: Kind, ms: number, version: string | undefined): void {
      of(kind).times.push(ms);
      answered(version);
    },

    failed(kind: Kind, begunAt: number, failed: Failed): void {
      const entry = of(kind);
      entry.failed += 1;
      entry.errors.set(failed.error, (entry.errors.get(failed.error) ?? 0) + 1);
      keep(kind, begunAt, failed);
    },

    streamOpened(kind: StreamKind): void {
      streams[kind].opened += 1;
    },

    streamClean(kind: StreamKind): void {
      streams[kind].clean += 1;
    },

    streamCut(kind: StreamKind, begunAt: number, how: string, version: string | undefined): void {
      streams[kind].cut += 1;
      keep(kind, begunAt, { error: `cut: ${how}`, version });
    },

    report(): LoadReport {
      const reports = Object.fromEntries([...kinds].map(([kind, entry]) => [kind, summary(entry)])) as Record<Kind, KindReport>;
      const sum = (part: 'ok' | 'failed') => Object.values(reports).reduce((total, report) => total + report[part], 0);
      const both = (part: 'opened' | 'clean' | 'cut') => streams.webSockets[part] + streams.sse[part];
      return {
        startedAt,
        elapsedMs: Date.now() - startedAt,
        ok: sum('ok'),
        failed: sum('failed'),
        kinds: reports,
        streams: {
          webSockets: { ...streams.webSockets },
          sse: { ...streams.sse },
          opened: both('opened'),
          clean: both('clean'),
          cut: both('cut'),
        },
        failures: [...failures],
        versions: structuredClone(versions),
        clientDelayMaxMs: Math.max(0, Math.round(delay.max / 1e6) - 10),
      };
    },

    close(): void {
      delay.disable();
    },
  };
}

function summary({ times, errors, failed }: { times: number[]; errors: Map<string, number>; failed: number }): KindReport {
  const sorted = Float64Array.from(times).sort();
  return {
    ok: sorted.length,
    failed,
    errors: Object.fromEntries(errors),
    maxMs: round(sorted.at(-1) ?? 0),
    p50Ms: round(percentile(sorted, 0.5)),
    p99Ms: round(percentile(sorted, 0.99)),
  };
}

/** Nearest rank: the smallest value that at least `share` of all values do not exceed; 0 when there is none. */
export function percentile(sorted: ArrayLike<number>, share: number): number {
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? 0;
}

const round = (ms: number) => Math.round(ms * 10) / 10;
