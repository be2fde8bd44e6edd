import { apply } from '../apply.ts';
import type { Untimed } from '../crew.ts';
import type { Action, AutoscaleEvent, Decision } from '../model.ts';
import { decide, nextWakeMs } from '../policy/decide.ts';
import { RECENT_KEPT, type Site } from './model.ts';
import { note } from './say.ts';
import { QUIET_STATUS_MS, showSoon } from './show.ts';

const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** Has the policy decide on what happened, and carries out what it asks for. What an action answers at once is decided on afterwards. */
export function tell(site: Site, event: Untimed): void {
  if (site.closed) return;
  site.events.push({ ...event, atMs: Date.now() } as AutoscaleEvent);
  if (site.deciding) return;
  site.deciding = true;
  try {
    for (let next = site.events.shift(); next; next = site.events.shift()) decideOn(site, next);
  } finally {
    site.deciding = false;
  }
  armWake(site);
}

function decideOn(site: Site, event: AutoscaleEvent): void {
  const record = site.recording?.begin(event, site.state);
  const outcome = decide(site.state, event);
  site.state = outcome.state;
  record?.(outcome);
  for (const action of outcome.actions) act(site, action);
  for (const decision of outcome.decisions) keep(site, decision);
  const isRoutine = event.kind === 'tick' || event.kind === 'reading';
  if (isRoutine && outcome.actions.length + outcome.decisions.length === 0) showSoon(site, QUIET_STATUS_MS);
  else showSoon(site);
}

function armWake(site: Site): void {
  clearTimeout(site.wakeTimer);
  const at = nextWakeMs(site.state);
  if (at === undefined || site.closed) return;
  site.wakeTimer = setTimeout(() => tell(site, { kind: 'tick' }), Math.min(Math.max(1, at - Date.now()), LONGEST_TIMER_MS));
}

function act(site: Site, action: Action): void {
  const post = site.posts.get(action.tier);
  if (!post) return;
  const name = post.crew.containers.get(action.worker)?.name ?? action.worker;
  if (site.dryRun) {
    site.report({ kind: 'note', text: `${action.tier}: would ${action.kind} ${name}: ${action.why}` });
    return;
  }
  const done = apply(site.hands, post.crew, action);
  note(site, post, `${action.kind} ${name}: ${action.why}`);
  // A source tells of the next change only after it was read; what came between the decision and the freezer is seen now.
  if (action.kind === 'freeze') {
    void done.then(() => {
      for (const source of post.sources) source.soon();
    });
  }
}

function keep(site: Site, decision: Decision): void {
  const post = site.posts.get(decision.tier);
  if (!post) return;
  post.decisions.push(decision);
  if (post.decisions.length > RECENT_KEPT) post.decisions.shift();
}
