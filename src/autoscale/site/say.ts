import { type Post, RECENT_KEPT, type Site } from './model.ts';

/** Warns of what is true now; what was said already is not said again. */
export function warnOf(site: Site, about: keyof Site['warned'], texts: string[]): void {
  for (const text of texts) if (!site.warned[about].includes(text)) site.report({ kind: 'warning', text });
  site.warned[about] = texts;
}

/** Says what is done to a tier, and remembers it for its status. */
export function note(site: Site, post: Post, text: string): void {
  site.report({ kind: 'note', text: `${post.crew.tier.id}: ${text}` });
  post.recent.push({ atMs: Date.now(), text });
  if (post.recent.length > RECENT_KEPT) post.recent.shift();
}
