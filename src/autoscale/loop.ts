import { thawFrozen } from '../docker/thaw.ts';
import { followEvents } from './site/engine.ts';
import { lookAtPressure } from './site/host.ts';
import { followProject, lookAround } from './site/look.ts';
import type { AutoscalerOptions, Site } from './site/model.ts';
import { openSite } from './site/open.ts';
import { show } from './site/show.ts';

/** How often everything is looked at without a reason, for what no event has told. */
const SAFETY_MS = 30_000;
const PRESSURE_MS = 5000;
/** Whoever dies with a lock takes no file away: nobody tells that the project is free. */
const HELD_MS = 1000;

/**
 * Scales the services of the host's projects that have x-autoscale, until `signal` aborts. Nothing in memory matters: what runs is known by
 * Docker's labels, what was frozen or asked to end by marks in the state folder; after a crash the next one thaws all, looks, and goes on.
 */
export async function runAutoscaler(options: AutoscalerOptions): Promise<void> {
  const site = await openSite(options);
  try {
    await run(site);
  } finally {
    await close(site);
  }
}

async function run(site: Site): Promise<void> {
  if (!site.dryRun) {
    const thawed = await thawFrozen(site.docker, site.stateFolder).catch(() => []);
    if (thawed.length > 0) site.report({ kind: 'note', text: `thawed ${thawed.length} containers that were left frozen` });
  }
  site.folders.start();
  const timers = [
    setInterval(() => void lookAround(site), SAFETY_MS),
    setInterval(() => {
      if (!site.host && site.posts.size > 0) void lookAtPressure(site);
    }, PRESSURE_MS),
    setInterval(() => {
      for (const project of site.held.keys()) void followProject(site, project);
    }, HELD_MS),
  ];
  try {
    await followEvents(site);
  } finally {
    for (const timer of timers) clearInterval(timer);
  }
}

/** Nothing stays frozen, and nothing else changes: what drains or starts needs nobody. */
async function close(site: Site): Promise<void> {
  site.closed = true;
  for (const timer of [site.wakeTimer, site.statusTimer, site.lookTimer, ...site.foreign.values()]) clearTimeout(timer);
  site.folders.stop();
  await site.looking;
  const sources = [...site.posts.values()].flatMap((post) => post.sources);
  await Promise.allSettled(sources.map((source) => source.close()));
  if (site.dryRun) return;
  // What is just being frozen is thawed after that.
  await Promise.allSettled(freezing(site));
  const thawed = await thawFrozen(site.docker, site.stateFolder).catch((error: Error) => {
    site.report({ kind: 'warning', text: `could not thaw everything: ${error.message}` });
    return [];
  });
  if (thawed.length > 0) site.report({ kind: 'note', text: `thawed ${thawed.length} containers before leaving` });
  await site.recording?.close();
  await show(site).catch(() => {});
}

const freezing = ({ crews, fleet }: Site): Promise<void>[] =>
  [...crews.values()].flatMap(({ acting }) => [...acting].filter(([id]) => fleet.marks.get(id)?.kind === 'frozen').map(([, done]) => done));
