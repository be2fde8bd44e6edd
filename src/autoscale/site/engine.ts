import { inOneLine } from '../../kit/errors.ts';
import type { Report } from '../../kit/events.ts';
import { sleep } from '../../kit/wait.ts';
import { CONTAINER_EVENTS } from '../fleet.ts';
import { lookAroundSoon } from './look.ts';
import type { AutoscalerOptions, Site } from './model.ts';
import { followImages } from './templates.ts';

const RECONNECT_MS = 500;

/** The machine, as the engine says it. An agent may start before the engine does; zeros when it is to leave before it answers. */
export async function waitForEngine({
  docker,
  report,
  signal,
}: Pick<AutoscalerOptions, 'docker' | 'signal'> & { report: Report }): Promise<Site['machine']> {
  for (let said = false; ; said = true) {
    try {
      const { NCPU, MemTotal } = await docker.info();
      return { cores: NCPU, memoryBytes: MemTotal };
    } catch (error) {
      if (signal.aborted) return { cores: 0, memoryBytes: 0 };
      if (!said) report({ kind: 'warning', text: `the autoscaler waits for the engine: ${inOneLine(error)}` });
      await sleep(RECONNECT_MS);
    }
  }
}

/** Until the autoscaler is to leave: an engine that restarts is connected to again. */
export async function followEvents(site: Site): Promise<void> {
  const { docker, signal, report, fleet } = site;
  while (!signal.aborted) {
    try {
      const stream = docker.events({ type: ['container', 'image'], event: [...CONTAINER_EVENTS, 'tag', 'untag', 'delete'] }, signal);
      const first = stream.next();
      // What happened before the stream was open is seen by looking.
      lookAroundSoon(site);
      for (let next = await first; !next.done; next = await stream.next()) {
        if (next.value.Type === 'image') await followImages(site);
        else fleet.onEvent(next.value);
      }
      if (!signal.aborted) report({ kind: 'warning', text: 'the engine ended its event stream; the autoscaler connects again' });
    } catch (error) {
      if (!signal.aborted) report({ kind: 'warning', text: `no events from the engine: ${inOneLine(error)}` });
    }
    await pause(RECONNECT_MS, signal);
  }
}

const pause = (ms: number, signal: AbortSignal): Promise<void> =>
  signal.aborted ? Promise.resolve() : sleep(ms, undefined, { signal }).catch(() => {});
