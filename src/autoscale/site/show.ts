import { explainTier } from '../explain.ts';
import type { Tier } from '../model.ts';
import { type AutoscaleStatus, type TierStatus, writeStatus } from '../status.ts';
import type { Site } from './model.ts';

const STATUS_MS = 1000;
/** The status file is written this often where only the time of the last reading is another. */
export const QUIET_STATUS_MS = 15_000;

/** Writes the status file within this time. */
export function showSoon(site: Site, withinMs = STATUS_MS): void {
  if (site.dryRun || site.closed || site.statusDueMs <= Date.now() + withinMs) return;
  clearTimeout(site.statusTimer);
  site.statusDueMs = Date.now() + withinMs;
  site.statusTimer = setTimeout(() => {
    site.statusDueMs = Number.POSITIVE_INFINITY;
    show(site).catch((error: Error) => site.report({ kind: 'warning', text: `status: ${error.message}` }));
  }, withinMs);
}

export const show = (site: Site): Promise<void> => writeStatus(site.stateFolder, statusOf(site));

function statusOf({ agent, dryRun, budget, warned, posts, held, state }: Site): AutoscaleStatus {
  return {
    agent,
    atMs: Date.now(),
    dryRun,
    ...(budget ? { budget } : {}),
    warnings: [...warned.projects, ...warned.tiers, ...warned.host],
    tiers: [...posts.values()].map(({ crew, told, triggers, decisions, recent }): TierStatus => {
      const heldBy = held.get(crew.tier.project);
      return {
        tier: crew.tier,
        workers: state.tiers[crew.tier.id]?.workers ?? [...crew.workers.values()],
        ...(heldBy === undefined ? {} : { heldBy }),
        ...(told.manual === undefined ? {} : { manualReplicas: told.manual }),
        ...(told.pause ? { pause: JSON.parse(told.pause) as Tier['pause'] } : {}),
        triggers: [...triggers.values()],
        decisions,
        explanation: explainTier(state, crew.tier.id, decisions) ?? '',
        recent,
      };
    }),
  };
}
