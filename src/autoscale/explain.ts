import { formatMs } from '../kit/duration.ts';
import { dominantShare, lateness, usedOf } from './admission.ts';
import type { Decision } from './model.ts';
import { bytesText, decisionOf, needText, number } from './policy/decision.ts';
import { type AutoscaleState, NEVER, type TierState, type WorkerState } from './policy/state.ts';

/** Decisions before this one that fit on the screen. */
const RECENT = 6;

/**
 * Why the tier has as many workers as it has, in one screen: what the triggers say, the formula with its numbers, each step from it to the
 * count, the workers, the host's ledger, the last decisions (the caller keeps those, oldest first).
 */
export function explainTier(all: AutoscaleState, tier: string, recent: readonly Decision[] = []): string | undefined {
  const state = all.tiers[tier];
  if (!state) return undefined;
  const decision = decisionOf(all, state);
  const lines = [...printDecision(decision), '', 'workers', ...workerLines(all, state), '', ...ledgerLines(all, state)];
  const before = recent.filter((entry) => entry.tier === tier).slice(-RECENT);
  if (before.length > 0) {
    lines.push('', 'decisions before');
    for (const entry of before) lines.push(`  ${shortDecision(entry)}`);
  }
  return `${lines.join('\n')}\n`;
}

/** One decision as lines: inputs, formula, and the way from the formula to the count. */
export function printDecision(decision: Decision): string[] {
  return [
    `${decision.tier}: ${decision.granted} ${decision.granted === 1 ? 'serves' : 'serve'}, ${decision.wanted} wanted`,
    ...decision.inputs.map((input) => `  ${input}`),
    `  ${decision.formula}`,
    `  ${steps(decision)}`,
    ...decision.limits.map((limit) => `  - ${limit}`),
  ];
}

/** One decision in one line, as a list of them shows it. */
export function shortDecision(decision: Decision): string {
  const limits = decision.limits.length > 0 ? `  (${decision.limits.join('; ')})` : '';
  return `${new Date(decision.atMs).toISOString().slice(0, 19)}Z  ${steps(decision)}${limits}`;
}

function steps({ raw, stabilized, wanted, granted }: Decision): string {
  return `formula ${raw} -> windows and rates ${stabilized} -> limits ${wanted} -> host ${granted}`;
}

function workerLines(all: AutoscaleState, { workers, tier }: TierState): string[] {
  if (workers.length === 0) return ['  none'];
  return [...workers]
    .sort((left, right) => left.number - right.number)
    .map((worker) => `  ${tier.service}-${worker.number}  ${workerText(all, worker)}`);
}

function workerText(all: AutoscaleState, worker: WorkerState): string {
  const parts: string[] = [worker.phase];
  const since = Math.max(worker.sinceMs, worker.pendingSinceMs);
  if (worker.phase === 'draining' || worker.phase === 'starting') parts[0] = `${worker.phase} for ${formatMs(all.nowMs - since)}`;
  if (worker.phase === 'running') {
    if (worker.busy === true) parts.push('busy');
    else if (worker.busy === undefined) parts.push('nobody tells whether it is busy');
    else parts.push(worker.idleSinceMs === undefined ? 'idle' : `idle for ${formatMs(all.nowMs - worker.idleSinceMs)}`);
  }
  if (worker.obsolete) parts.push('an older configuration');
  if (worker.pending && worker.phase !== 'draining' && worker.phase !== 'starting') parts.push(`${worker.pending} asked for`);
  if (worker.failures > 0) parts.push(`${worker.failures} failed attempts`);
  return parts.join(', ');
}

function ledgerLines(all: AutoscaleState, of: TierState): string[] {
  const used = usedOf(all);
  const host = all.host;
  const lines = [
    host
      ? `host: ${number(used.nanoCpus / 1e9)} of ${number(host.cpus)} CPU, ${bytesText(used.bytes)} of ${bytesText(host.memoryBytes)}`
      : 'host: budget not known yet',
  ];
  for (const id of Object.keys(all.tiers).sort()) {
    const state = all.tiers[id] as TierState;
    const { counts, tier } = state;
    const phases = (['running', 'starting', 'frozen', 'draining', 'stopped'] as const)
      .filter((phase) => counts[phase] > 0)
      .map((phase) => `${counts[phase]} ${phase}`);
    const waits =
      state.waitingSinceMs === NEVER
        ? ''
        : `, waits ${formatMs(all.nowMs - state.waitingSinceMs)} for ${needText(tier.need)}${lateness(all, state) > 1 ? ` (late: target ${formatMs(tier.drainTargetMs)})` : ''}`;
    lines.push(
      `${state === of ? '>' : ' '} ${id}  ${phases.join(', ') || 'none'}  ${needText({ cpus: counts.nanoCpus / 1e9, memoryBytes: counts.bytes })} (${number(dominantShare(all, state) * 100)} %)${waits}`,
    );
  }
  return lines;
}
