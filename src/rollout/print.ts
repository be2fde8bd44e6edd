import { formatMs } from '../kit/duration.ts';
import type { Plan, Ref, Step } from './model.ts';

/** Reasons stand in one column, except behind a step whose own text is longer than this. */
const WIDEST_STEP = 40;

/** The plan as text: what `--dry-run` shows, what the confirmation shows and what the tests assert. */
export function printPlan(plan: Plan): string {
  const title =
    plan.kind === 'rollback'
      ? `Rollback of ${plan.project} to release ${plan.of} (as release ${plan.release})`
      : `Release ${plan.release} of ${plan.project}`;
  const lines = [title, ''];
  const width = Math.max(0, ...plan.services.map(({ service }) => service.length));
  for (const entry of plan.services) {
    const how = entry.order ? `${entry.order}: ${entry.orderWhy}` : '';
    lines.push(`  ${entry.service.padEnd(width)}  ${entry.action.padEnd(11)}  ${entry.why}${how ? `  [${how}]` : ''}`);
  }
  if (plan.steps.length === 0) lines.push('', 'Nothing to do: everything runs as the project says.');
  else {
    const texts = plan.steps.map((step) => describeStep(step, plan));
    const column = Math.min(WIDEST_STEP, Math.max(...texts.map((text) => text.length)));
    lines.push(
      '',
      ...plan.steps.map((step, index) => `  ${String(index + 1).padStart(2)}  ${texts[index]?.padEnd(column)}  (${step.why})`),
    );
  }
  if (plan.losses.length > 0) lines.push('', 'What it costs:', ...plan.losses.map((text) => `  - ${text}`));
  if (plan.warnings.length > 0) lines.push('', 'Worth knowing:', ...plan.warnings.map((text) => `  - ${text}`));
  return `${lines.join('\n')}\n`;
}

export function describeStep(step: Step, plan: Plan): string {
  const some = (refs: Ref[], service: string): string => {
    const reused = refs.filter((ref) => plan.services.some(({ reuse }) => reuse.includes(ref))).length;
    const old = refs.filter((ref) => plan.services.some((entry) => entry.old.includes(ref))).length;
    // An undo names the new containers by their ids.
    const fresh = refs.length - reused - old;
    const parts = [...(old > 0 ? [`${old} old`] : []), ...(reused > 0 ? [`${reused} kept`] : []), ...(fresh > 0 ? [`${fresh} new`] : [])];
    return `${parts.join(' and ') || 'no'} ${service}`;
  };
  switch (step.kind) {
    case 'create':
      return `create ${step.totals.map(({ service, add }) => `${add} ${service}`).join(', ')}`;
    case 'run-job':
      return `run ${step.service}${step.oneOff ? "'s release command" : ''} to its end`;
    case 'thaw':
      return `thaw ${step.containers.map(({ service, ids }) => `${ids.length} ${service}`).join(', ')}`;
    case 'prepare-edge':
      return 'prepare the edge';
    case 'start':
      return `start ${some(step.containers, step.service)}`;
    case 'gate':
      return `wait until ${some(step.containers, step.service)} ${step.containers.length === 1 ? 'is' : 'are'} ready`;
    case 'route':
      return `route ${step.routings.map(({ service, ready, drain, hold }) => `${service}: ${hold ? 'hold requests' : `to ${some(ready, '').trim() || 'nothing'}`}${drain.length > 0 ? `, drain ${some(drain, '').trim()}` : ''}`).join('; ')}`;
    case 'drain':
      return `drain ${some(step.containers, step.service)}`;
    case 'wait':
      return `wait ${formatMs(step.ms)}`;
    case 'stop':
      return `stop ${some(step.containers, step.service)}`;
    case 'remove':
      return `remove ${some(step.containers, step.service)}`;
    case 'reload-proxy':
      return `reload ${step.service} (${step.command.join(' ')})`;
    case 'take-over-port':
      return `take over port ${step.port}`;
    case 'give-port':
      return `bind port ${step.port}`;
    case 'leave-port':
      return `leave port ${step.port} to the container that publishes it`;
    case 'restore':
      return `make ${step.containers.length} ${step.service} again as before`;
    case 'restore-edge':
      return 'give the edge its old routes back';
    case 'watch':
      return step.ms > 0 ? `watch for ${formatMs(step.ms)}` : 'drain the old containers';
    case 'commit':
      return 'commit';
    case 'record':
      return 'record the release';
    default:
      return step satisfies never;
  }
}
