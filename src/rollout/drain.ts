import type { Edge } from '../edge/model.ts';
import { sleep } from '../kit/wait.ts';
import { sessionsOn } from './placement.ts';

export interface DrainBudget {
  containers: string[];
  requestsMs: number;
  streamsMs: number;
}

/** What a drain came to: how long it took and how many requests and streams were still open at its end. */
export interface Drained {
  ms: number;
  requestsLeft: number;
  streamsLeft: number;
}

const LOOK_EVERY_MS = 50;

/**
 * Waits until the edge reports nothing in flight on the containers. Requests that have no answer yet have `requestsMs`;
 * what is already answering (WebSockets, event streams, downloads) has `streamsMs`.
 */
export async function drainContainers(
  world: { edge: Edge; signal: AbortSignal },
  { containers, requestsMs, streamsMs }: DrainBudget,
): Promise<Drained> {
  const began = performance.now();
  const servers = containers.map((id) => id.slice(0, 12));
  for (;;) {
    const ms = performance.now() - began;
    const sessions = await sessionsOn(world, containers);
    if (sessions === 0) return { ms, requestsLeft: 0, streamsLeft: 0 };
    // Telling requests from streams costs a listing of every session, so it is asked only once it matters.
    if (ms >= Math.min(requestsMs, streamsMs)) {
      const { waiting, answering } = await world.edge.inFlight(servers);
      const requestsLeft = ms >= requestsMs ? 0 : waiting;
      const streamsLeft = ms >= streamsMs ? 0 : answering;
      if (requestsLeft + streamsLeft === 0) return { ms, requestsLeft: waiting, streamsLeft: answering };
    }
    world.signal.throwIfAborted();
    await sleep(LOOK_EVERY_MS);
  }
}

/** The drain in words, with what is cut as a number. */
export function describeDrain({ ms, requestsLeft, streamsLeft }: Drained): string {
  const left = [
    ...(requestsLeft > 0 ? [`${requestsLeft} requests over their time`] : []),
    ...(streamsLeft > 0 ? [`${streamsLeft} streams over their time: the application is asked to end them`] : []),
  ];
  return left.length > 0 ? `after ${Math.round(ms)} ms ${left.join(', ')}` : `nothing in flight after ${Math.round(ms)} ms`;
}
