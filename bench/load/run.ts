import type { Load, LoadOptions } from './model.ts';
import { openGet, openHttp2, openNewConnections, openPost, openSlow, type Requester } from './requests.ts';
import { type Settings, settle } from './settings.ts';
import { followEvents, followWebSocket } from './streams.ts';
import { openTally, type Tally } from './tally.ts';

const REQUESTERS = { keepAliveGet: openGet, post: openPost, newConnections: openNewConnections, slow: openSlow, http2: openHttp2 };
const FOLLOWERS = { webSockets: followWebSocket, sse: followEvents };

/** Sends the load from this process. `onVersion` hears each version at its first answer. */
export function runLoad(options: LoadOptions, onVersion: (version: string, at: number) => void = () => {}): Load {
  const settings = settle(options);
  const waiting = new Set<(version: string, at: number) => void>();
  const tally = openTally((version, at) => {
    onVersion(version, at);
    for (const hear of waiting) hear(version, at);
  });
  const stopping = new AbortController();
  const running: Promise<void>[] = [];
  for (const { kind, count, pauseMs } of settings.loops) {
    for (let index = 0; index < count; index += 1) {
      // Spread over the pause: loops that all fire in the same millisecond measure the client, not the server.
      const startMs = (pauseMs * index) / count;
      running.push(
        kind === 'webSockets' || kind === 'sse'
          ? repeat(stopping.signal, startMs, pauseMs, () => FOLLOWERS[kind](settings, tally, stopping.signal))
          : request(kind, settings, tally, stopping.signal, startMs, pauseMs),
      );
    }
  }

  let final: Promise<ReturnType<Tally['report']>> | undefined;
  return {
    stop() {
      final ??= (async () => {
        stopping.abort();
        await Promise.all(running);
        tally.close();
        return tally.report();
      })();
      return final;
    },
    snapshot: async () => tally.report(),
    waitForVersion: (version, timeoutMs) =>
      new Promise((resolve, reject) => {
        const seen = tally.versions[version];
        if (seen) return resolve(seen.firstAt);
        const hear = (name: string, at: number) => {
          if (name !== version) return;
          done();
          resolve(at);
        };
        const timer = setTimeout(() => {
          done();
          reject(
            new Error(
              `version ${version} did not answer within ${timeoutMs} ms; seen: ${Object.keys(tally.versions).join(', ') || 'none'}`,
            ),
          );
        }, timeoutMs);
        const done = () => {
          clearTimeout(timer);
          waiting.delete(hear);
        };
        waiting.add(hear);
      }),
  };
}

async function request(
  kind: keyof typeof REQUESTERS,
  settings: Settings,
  tally: Tally,
  signal: AbortSignal,
  startMs: number,
  pauseMs: number,
) {
  const requester: Requester = REQUESTERS[kind](settings);
  await repeat(signal, startMs, pauseMs, async () => {
    const begunAt = Date.now();
    const begun = performance.now();
    const outcome = await requester.send();
    if (outcome.ok) tally.ok(kind, performance.now() - begun, outcome.version);
    else tally.failed(kind, begunAt, outcome);
  });
  requester.close();
}

async function repeat(signal: AbortSignal, startMs: number, pauseMs: number, once: () => Promise<void>): Promise<void> {
  await rest(startMs, signal);
  while (!signal.aborted) {
    await once();
    await rest(pauseMs, signal);
  }
}

function rest(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const wake = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', wake);
      resolve();
    };
    const timer = setTimeout(wake, ms);
    signal.addEventListener('abort', wake);
  });
}
