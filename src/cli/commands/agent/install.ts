import { applyInstallPlan } from '../../../agent/installation/apply.ts';
import type { InstallPlan, InstallStep } from '../../../agent/installation/model.ts';
import { findInstallation, type Host, thisHost, unitPath, wantedInstallation } from '../../../agent/installation/observe.ts';
import { planInstall, planUninstall, printInstallPlan } from '../../../agent/installation/plan.ts';
import { metricsFolder } from '../../../backup/places.ts';
import { engineSocket, openDocker } from '../../../docker/api.ts';
import { Failure } from '../../../kit/errors.ts';
import { agentName, stateFolder } from '../../../state/folder.ts';
import { ask, reporter } from '../../context.ts';
import type { Io } from '../../io.ts';

export interface InstallFlags {
  json?: boolean;
  yes?: boolean;
  dryRun?: boolean;
  container?: boolean;
  image?: string;
}

export async function agentInstallCommand(io: Io, flags: InstallFlags, host: Host = thisHost()): Promise<void> {
  if (flags.image !== undefined && !flags.container)
    throw new Failure('USAGE', '--image is the image of the container form', { next: 'add --container' });
  const docker = openDocker(engineSocket(io.env));
  const state = stateFolder(io.env);
  const wanted = await wantedInstallation(docker, state, flags.container ? 'container' : 'systemd', {
    image: flags.image,
    metrics: metricsFolder(io.env),
  });
  const plan = planInstall(wanted, await findInstallation(docker, state, host, wanted.image), unitPath(host, state));
  await carryOut(io, flags, plan);
}

export async function agentUninstallCommand(io: Io, flags: InstallFlags, host: Host = thisHost()): Promise<void> {
  const docker = openDocker(engineSocket(io.env));
  const state = stateFolder(io.env);
  await carryOut(io, flags, planUninstall(agentName(state), await findInstallation(docker, state, host)));
}

async function carryOut(io: Io, flags: InstallFlags, plan: InstallPlan): Promise<void> {
  const say = (done: boolean, text: string): void => io.stdout(flags.json ? `${JSON.stringify({ ...plan, changed: done })}\n` : text);
  if (flags.dryRun) return say(false, printInstallPlan(plan));
  if (plan.steps.length === 0) return say(false, `the agent is installed and runs; nothing to do\n`);
  if (plan.action === 'uninstall') {
    if (!flags.json) io.stdout(printInstallPlan(plan));
    if (!(await ask(io, 'Remove it? Services are scaled and followed no longer.', flags.yes)))
      throw new Failure('DECLINED', 'not confirmed; nothing was touched');
  }
  const docker = openDocker(engineSocket(io.env));
  for (const text of plan.warnings) reporter(io, flags)({ kind: 'warning', text });
  await applyInstallPlan({ docker, state: stateFolder(io.env), report: reporter(io, flags) }, plan);
  say(true, plan.action === 'install' ? `the agent runs as ${describe(plan)}\n` : `the agent is removed: ${removed(plan)}\n`);
}

const describe = ({ form, name }: InstallPlan): string => (form === 'systemd' ? `${name}.service of systemd` : `container ${name}`);

const removed = ({ steps, name }: InstallPlan): string =>
  steps
    .flatMap((step: InstallStep) =>
      step.kind === 'remove-unit'
        ? [step.path]
        : step.kind === 'remove-container'
          ? [`container ${name}`]
          : step.kind === 'remove-image'
            ? [step.image]
            : [],
    )
    .join(', ');
