import { Failure } from '../../kit/errors.ts';
import { describeHolder } from '../../state/lock.ts';
import { agentContainerSpec, specHash } from './container.ts';
import type { Found, InstalledForm, InstallPlan, InstallStep, Wanted } from './model.ts';
import { unitText } from './unit.ts';

/**
 * What installing comes to. Pure, but for the Failures: AGENT_INSTALLED when the other form is there, LOCKED when somebody runs an agent by
 * hand, SYSTEMD_MISSING and ROOT_NEEDED for what the form needs.
 */
export function planInstall(wanted: Wanted, found: Found, unitFile: string): InstallPlan {
  refuse(wanted, found, unitFile);
  const steps = wanted.form === 'systemd' ? systemdSteps(wanted, found, unitFile) : containerSteps(wanted, found);
  const warnings = [...cacheWarning(wanted), ...backupWarning(wanted)];
  return { action: 'install', form: wanted.form, name: wanted.name, steps, warnings };
}

const cacheWarning = ({ form, script }: Wanted): string[] =>
  form === 'systemd' && /\/(_npx|\.npx)\//.test(script)
    ? [`${script} lies in npx's cache, which npm may empty: npm install --global composure first`]
    : [];

function backupWarning({ form, owner }: Wanted): string[] {
  if (form === 'container') return ['this form makes no backups on schedule: it sees no volume and no project folder'];
  if (owner.uid !== 0)
    return [`this agent makes no backups on schedule: user ${owner.uid}, who owns the state folder, cannot read volumes`];
  return [];
}

function refuse(wanted: Wanted, found: Found, unitFile: string): void {
  const other = wanted.form === 'systemd' ? found.container : found.unit?.ours;
  if (other)
    throw new Failure(
      'AGENT_INSTALLED',
      `the agent is installed as a ${wanted.form === 'systemd' ? 'container' : 'systemd unit'} already`,
      {
        where: wanted.form === 'systemd' ? wanted.name : unitFile,
        next: `composure agent uninstall first, or leave it as it is: one agent does for all projects of a host`,
      },
    );
  if (wanted.form === 'systemd') {
    if (!found.systemd)
      throw new Failure('SYSTEMD_MISSING', 'systemd does not run this machine', {
        next: 'composure agent install --container runs the agent as a container',
      });
    needRoot(found, 'composure agent install');
    if (found.unit && !found.unit.ours)
      throw new Failure('AGENT_INSTALLED', `${found.unit.path} is there and was not written by composure agent install`, {
        where: found.unit.path,
        next: 'move it away, then run composure agent install again',
      });
  }
  if (found.agent && found.agentForm === 'foreground')
    throw new Failure('LOCKED', `an agent runs here that was started by hand: ${describeHolder(found.agent)}`, {
      where: `pid ${found.agent.pid}`,
      next: `end it (kill ${found.agent.pid}), then install again`,
    });
}

function needRoot(found: Found, command: string): void {
  if (!found.root)
    throw new Failure('ROOT_NEEDED', 'only root may write systemd units', {
      next: `sudo ${command}; without root the container form does (--container), for a user who may use Docker`,
    });
}

function systemdSteps(wanted: Wanted, { unit, agentVersion }: Found, path: string): InstallStep[] {
  const name = `${wanted.name}.service`;
  const text = unitText(wanted);
  const same = unit?.text === text;
  const older = agentVersion !== undefined && agentVersion !== wanted.version;
  if (same && unit.enabled && unit.active && !older) return [];
  const steps: InstallStep[] = [];
  if (!same)
    steps.push(
      { kind: 'write-unit', path, text, why: unit ? 'it says something else by now' : 'as a whole or not at all' },
      { kind: 'systemctl', args: ['daemon-reload'], why: 'systemd reads it' },
    );
  steps.push({ kind: 'systemctl', args: ['enable', '--now', name], why: 'now and after every boot' });
  if (unit?.active && (!same || older))
    steps.push({
      kind: 'systemctl',
      args: ['restart', name],
      why: older ? `version ${agentVersion} runs, this is ${wanted.version}` : 'the running one is of the old unit',
    });
  steps.push({ kind: 'await-agent', form: 'systemd', why: 'it holds the host and says that it runs' });
  return steps;
}

function containerSteps(wanted: Wanted, { container, hasImage }: Found): InstallStep[] {
  const spec = agentContainerSpec(wanted);
  const same = container?.spec === specHash(spec);
  if (same && container.state === 'running') return [];
  const steps: InstallStep[] = [];
  if (wanted.builds && !hasImage)
    steps.push({ kind: 'build-image', image: wanted.image, why: 'this package on node:24-alpine, by images/agent/Dockerfile' });
  if (container)
    steps.push({ kind: 'remove-container', id: container.id, why: same ? 'it does not run' : 'made from something else than now' });
  steps.push(
    { kind: 'create-container', name: wanted.name, spec, why: 'host network, state folder and engine socket mounted, all else read-only' },
    { kind: 'await-agent', form: 'container', why: 'it holds the host and says that it runs' },
  );
  if (container?.built && container.image !== wanted.image)
    steps.push({ kind: 'remove-image', image: container.image, why: 'built for the one before' });
  return steps;
}

/** What removing comes to: exactly what install made. Failure AGENT_MISSING when there is nothing. */
export function planUninstall(name: string, found: Found): InstallPlan {
  const { unit, container } = found;
  const form: InstalledForm = unit?.ours ? 'systemd' : 'container';
  const steps: InstallStep[] = [];
  if (unit?.ours) {
    needRoot(found, 'composure agent uninstall');
    steps.push(
      ...(found.systemd
        ? [
            {
              kind: 'systemctl' as const,
              args: ['disable', '--now', `${name}.service`],
              why: 'it ends what it has begun, and thaws what it froze',
            },
          ]
        : []),
      { kind: 'remove-unit', path: unit.path, why: 'written by install' },
      ...(found.systemd ? [{ kind: 'systemctl' as const, args: ['daemon-reload'], why: 'systemd forgets it' }] : []),
    );
  } else if (container) {
    steps.push({ kind: 'remove-container', id: container.id, why: 'it ends what it has begun, and thaws what it froze' });
    if (container.built) steps.push({ kind: 'remove-image', image: container.image, why: 'built by install' });
  } else {
    throw new Failure('AGENT_MISSING', 'no agent is installed on this host', {
      ...(unit ? { where: unit.path, details: [`${unit.path} was not written by composure agent install`] } : {}),
      next: found.agent ? `one runs by hand: ${describeHolder(found.agent)}` : 'composure agent status says what there is',
    });
  }
  return { action: 'uninstall', form, name, steps, warnings: [] };
}

/** The plan as text: what --dry-run shows; of a unit its whole text, because that is what there is to be judged. */
export function printInstallPlan(plan: InstallPlan): string {
  const how = plan.form === 'systemd' ? `systemd unit ${plan.name}.service` : `container ${plan.name}`;
  const lines = [`${plan.action === 'install' ? 'Install the agent as' : 'Remove the agent:'} ${how}`, ''];
  if (plan.steps.length === 0) lines.push('Nothing to do: it runs as it would be installed.');
  for (const [index, step] of plan.steps.entries()) lines.push(`  ${index + 1}  ${describeInstallStep(step)}  (${step.why})`);
  for (const step of plan.steps) {
    if (step.kind === 'write-unit')
      lines.push(
        '',
        `${step.path}:`,
        '',
        ...step.text
          .trimEnd()
          .split('\n')
          .map((line) => `  ${line}`.trimEnd()),
      );
    if (step.kind === 'create-container')
      lines.push(
        '',
        ...JSON.stringify(step.spec, null, 2)
          .split('\n')
          .map((line) => `  ${line}`),
      );
  }
  if (plan.warnings.length > 0) lines.push('', ...plan.warnings.map((text) => `warning: ${text}`));
  return `${lines.join('\n')}\n`;
}

export function describeInstallStep(step: InstallStep): string {
  switch (step.kind) {
    case 'write-unit':
      return `write ${step.path}`;
    case 'remove-unit':
      return `remove ${step.path}`;
    case 'systemctl':
      return `systemctl ${step.args.join(' ')}`;
    case 'build-image':
      return `build ${step.image}`;
    case 'create-container':
      return `create and start ${step.name}`;
    case 'remove-container':
      return `stop and remove container ${step.id.slice(0, 12)}`;
    case 'remove-image':
      return `remove the image ${step.image}`;
    case 'await-agent':
      return 'wait until the agent runs';
    default:
      return step satisfies never;
  }
}
