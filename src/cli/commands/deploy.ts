import { hostBudget, neverFits } from '../../autoscale/budget.ts';
import { alwaysOnOf, scaledServices, tierOf } from '../../autoscale/tiers.ts';
import { noteDown } from '../../backup/registration.ts';
import { formatMs } from '../../kit/duration.ts';
import type { Project } from '../../project/model.ts';
import type { Rollout } from '../../rollout/context.ts';
import { deploy, planOnly, type Released } from '../../rollout/deploy.ts';
import type { Plan } from '../../rollout/model.ts';
import { printPlan } from '../../rollout/print.ts';
import { ask, openRollout } from '../context.ts';
import type { ProjectFlags } from '../flags.ts';
import type { Io } from '../io.ts';

export interface DeployFlags extends ProjectFlags {
  yes?: boolean;
  dryRun?: boolean;
  wait: number;
  pull: 'always' | 'missing' | 'never';
  build: boolean;
  forceRecreate?: boolean;
  ignoreUnhealthy?: boolean;
}

export async function deployCommand(io: Io, services: string[], flags: DeployFlags, loading: Promise<Project>): Promise<void> {
  const rollout = await openRollout(io, flags, loading);
  const tooSmall = await roomWarnings(rollout);
  const options = { only: services, force: flags.forceRecreate ?? false, ignoreUnhealthy: flags.ignoreUnhealthy ?? false };
  if (flags.dryRun) {
    const plan = await planOnly(rollout, options);
    plan.warnings.push(...tooSmall);
    printDryRun(io, plan, flags.json);
    return;
  }
  rollout.project.warnings.push(...tooSmall);
  const released = await deploy(rollout, { ...options, pull: flags.pull, build: flags.build, confirm: (plan) => confirm(io, plan, flags) });
  await noteDown(rollout.stateFolder, rollout.project.name, undefined);
  printReleased(io, released, flags.json);
}

/** What scaled services can never have on this host, whatever else runs on it. */
async function roomWarnings({ project, docker }: Rollout): Promise<string[]> {
  const services = scaledServices(project);
  if (services.length === 0) return [];
  const { NCPU, MemTotal } = await docker.info();
  const { budget } = hostBudget({ cores: NCPU, memoryBytes: MemTotal, alwaysOn: alwaysOnOf(project) });
  const tiers = services.map((service) => tierOf(project.name, service, { budget }).tier);
  return neverFits(tiers, budget).map(({ service, reason }) => {
    const place = service === undefined ? undefined : project.places?.[service.slice(project.name.length + 1)]?.['x-autoscale'];
    return place === undefined ? reason : `${place}: ${reason}`;
  });
}

export function printDryRun(io: Io, plan: Plan, json: boolean | undefined): void {
  io.stdout(json ? `${JSON.stringify({ plan: publicPlan(plan) })}\n` : printPlan(plan));
}

export async function confirm(io: Io, plan: Plan, flags: { yes?: boolean; json?: boolean }): Promise<boolean> {
  if (!flags.json) io.stdout(`${printPlan(plan)}\n`);
  return ask(io, `Do this on ${plan.project}?`, flags.yes);
}

/** The plan without what only undo and recovery need. */
function publicPlan({ before: _before, known: _known, edgeBefore: _edgeBefore, ...plan }: Plan): object {
  return plan;
}

export function printReleased(io: Io, released: Released, json: boolean | undefined): void {
  const { plan, changed, durationMs, cutRequests } = released;
  if (json) {
    io.stdout(
      `${JSON.stringify({ project: plan.project, changed, release: changed ? plan.release : undefined, kind: plan.kind, of: plan.of, durationMs: Math.round(durationMs), cutRequests, services: plan.services })}\n`,
    );
    return;
  }
  if (!changed) {
    io.stdout(`${plan.project} runs as wanted; nothing to do\n`);
    return;
  }
  const left = plan.services.filter((entry) => entry.left !== undefined).map(({ service }) => service);
  const cut = cutRequests > 0 ? `, ${cutRequests} requests over their drain time were cut` : '';
  io.stdout(
    `${plan.kind === 'rollback' ? `rolled back to release ${plan.of}` : 'released'}: ${plan.project} is at release ${plan.release} after ${formatMs(durationMs)}${cut}${left.length > 0 ? `, without ${left.join(', ')}` : ''}\n`,
  );
}
