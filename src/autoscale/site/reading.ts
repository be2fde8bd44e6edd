import { inOneLine } from '../../kit/errors.ts';
import { triggerType } from '../../triggers/list.ts';
import type { OpenTrigger, Reading, TriggerContext, TriggerType } from '../../triggers/model.ts';
import { noteReady } from '../crew.ts';
import { isNamed } from '../idle.ts';
import { openSource, type Source } from '../sources.ts';
import { tell } from './deciding.ts';
import type { Post, Site } from './model.ts';
import { QUIET_STATUS_MS, showSoon } from './show.ts';
import { bootMeasured } from './templates.ts';
import { contextOf } from './trigger-context.ts';

/** Reading a source that tells of changes, where the file says nothing: well within what the policy takes as current. */
const TOLD_POLL_MS = 20_000;
/** Polling a source that cannot tell of changes, where the file says nothing: a second where a job may wait for its first worker. */
const POLL_SOON_MS = 1000;

type Trigger = Post['service']['autoscale']['triggers'][number];

/** Reads a tier's triggers from now on; anew where what they are opened from has changed. */
export function openSources(site: Site, post: Post): void {
  const { crew, service } = post;
  const { triggers } = service.autoscale;
  const from = JSON.stringify([
    triggers.map(({ name, type, metadata, metricType }) => [name, type, metadata, metricType]),
    service.environment,
    crew.tier.framework,
  ]);
  if (from === post.openedFrom) return;
  post.openedFrom = from;
  void Promise.allSettled(post.sources.map((source) => source.close()));
  post.triggers.clear();
  post.polled.clear();
  const context = contextOf(site, post);
  post.sources = triggers.map((trigger) => openOne(site, post, trigger, context));
}

function openOne(site: Site, post: Post, { name, type, metadata, metricType }: Trigger, context: TriggerContext): Source {
  const { crew } = post;
  const tier = crew.tier.id;
  const kind = site.types ? site.types.find((one) => one.type === type) : triggerType(type);
  post.triggers.set(name, { name, type, summary: 'not read yet', failing: false });
  const trigger = openOrExplain(kind, metadata, { ...context, ...(metricType ? { metricType } : {}) });
  return openSource({
    name,
    type,
    trigger,
    now: Date.now,
    pauseMs: (reading) => pauseMs(post, trigger.watch !== undefined && !post.polled.has(name), reading),
    onReading: (reading) => {
      summarize(site, post, { name, type, summary: inWords(reading), failing: false });
      noteNamed(site, post, reading);
      tell(site, { kind: 'reading', tier, trigger: name, reading });
    },
    onFailure: (error) => {
      const message = inOneLine(error);
      if (!post.triggers.get(name)?.failing) site.report({ kind: 'warning', text: `${tier}: ${name} cannot be read: ${message}` });
      summarize(site, post, { name, type, summary: message, failing: true });
      tell(site, { kind: 'reading-failed', tier, trigger: name, message });
    },
    onNotice: () => tell(site, { kind: 'notice', tier, trigger: name }),
    onLost: (reason, forGood) => {
      if (forGood) post.polled.add(name);
      site.report({ kind: 'warning', text: `${tier}: ${reason}` });
      // What changed since the last reading is unknown now, which to a frozen worker is as good as a change.
      tell(site, { kind: 'notice', tier, trigger: name });
    },
  });
}

/** A type that is unknown or refuses its metadata is a trigger that cannot be read, and says why. */
function openOrExplain(type: TriggerType | undefined, metadata: unknown, context: TriggerContext): OpenTrigger {
  try {
    if (!type) throw new Error('this version does not know its type');
    return type.open(metadata, context);
  } catch (error) {
    return { read: () => Promise.reject(error), close: async () => {} };
  }
}

/** A worker that the source names has begun to ask for jobs. */
function noteNamed(site: Site, { crew }: Post, reading: Reading): void {
  for (const worker of crew.workers.values()) {
    if (!crew.booting.has(worker.id) || !reading.workers?.some((one) => isNamed(one, worker))) continue;
    if (noteReady(crew, worker.id, Date.now())) void bootMeasured(site, crew);
  }
}

function pauseMs({ crew, service }: Post, tells: boolean, reading: Reading | undefined): number {
  const { pollingIntervalMs } = crew.tier;
  if (service.autoscale.pollingIntervalMs !== undefined) return pollingIntervalMs;
  if (tells) return TOLD_POLL_MS;
  const idle = ![...crew.workers.values()].some(({ phase }) => phase === 'running' || phase === 'starting');
  return idle || (reading?.queue?.waiting ?? 0) > 0 ? Math.min(POLL_SOON_MS, pollingIntervalMs) : pollingIntervalMs;
}

function summarize(site: Site, post: Post, said: { name: string; type: string; summary: string; failing: boolean }): void {
  const before = post.triggers.get(said.name)?.summary;
  post.triggers.set(said.name, { ...said, atMs: Date.now() });
  if (said.summary === before) showSoon(site, QUIET_STATUS_MS);
  else showSoon(site);
}

function inWords({ value, queue, workers }: Reading): string {
  if (!queue) return String(value);
  const parts = [`${queue.waiting} waiting`];
  if (queue.active !== undefined) parts.push(`${queue.active} active`);
  if (queue.held) parts.push(`${queue.held} held`);
  if (workers) parts.push(`${workers.filter(({ busy }) => busy).length} of ${workers.length} workers busy`);
  return parts.join(', ');
}
