import { projectsWithBackups } from '../../../agent/backups.ts';
import { findInstallation, type Host, thisHost } from '../../../agent/installation/observe.ts';
import { engineSocket, openDocker } from '../../../docker/api.ts';
import { formatMs } from '../../../kit/duration.ts';
import { packageVersion } from '../../../kit/package.ts';
import { readAgentStatus } from '../../../state/agent.ts';
import { agentName, stateFolder } from '../../../state/folder.ts';
import { residentBytes } from '../../../state/process.ts';
import type { Io } from '../../io.ts';

/** Without a word for so long a living agent has stopped working: it writes every 15 s. */
const SILENT_MS = 60_000;
const WARNINGS_SHOWN = 5;

export async function agentStatusCommand(io: Io, flags: { json?: boolean }, host: Host = thisHost()): Promise<void> {
  const state = stateFolder(io.env);
  const [found, written, backups] = await Promise.all([
    findInstallation(openDocker(engineSocket(io.env)), state, host),
    readAgentStatus(state),
    projectsWithBackups(state),
  ]);
  const installed = found.unit?.ours ? 'systemd' : found.container ? 'container' : undefined;
  const status = written?.running ? written.status : undefined;
  const silentMs = status ? Date.now() - Date.parse(status.at) : 0;
  const version = packageVersion();
  const warnings = (written?.status.messages ?? []).filter(({ kind }) => kind === 'warning').slice(-WARNINGS_SHOWN);
  const rssBytes = status ? (residentBytes(status.process.pid) ?? status.rssBytes) : undefined;
  if (flags.json) {
    const { form, since, process, version: running, projects, scaled } = status ?? {};
    io.stdout(
      `${JSON.stringify({ running: status !== undefined, installed, form, since, pid: process?.pid, version: running, rssBytes, silentMs: silentMs > SILENT_MS ? silentMs : undefined, projects, scaled, warnings })}\n`,
    );
    return;
  }
  const lines: string[] = [];
  if (status) {
    const how =
      status.form === 'systemd'
        ? `${agentName(state)}.service of systemd`
        : status.form === 'container'
          ? `container ${agentName(state)}`
          : 'a process started by hand';
    lines.push(
      `the agent runs as ${how}: version ${status.version}, pid ${status.process.pid}, since ${utc(status.since)}, ${Math.round((rssBytes ?? 0) / 2 ** 20)} MiB`,
    );
    if (silentMs > SILENT_MS) lines.push(`it has said nothing for ${formatMs(silentMs)}: it hangs, or this machine is out of breath`);
    if (status.version !== version) lines.push(`this command is version ${version}: composure agent install puts that in its place`);
    if (status.form === 'foreground' && installed) lines.push(`the installed one (${installed}) waits for it to end`);
    if (status.form === 'container' && backups.length > 0) {
      lines.push(
        `it sees no volumes and no secrets, so scheduled backups of ${backups.join(', ')} fail, and no webhook hears of it: composure agent install, without --container, makes them`,
      );
    }
    lines.push(`follows ${status.projects.join(', ') || 'no project yet'}`, `scales ${status.scaled.join(', ') || 'no service'}`);
  } else if (found.agent) {
    lines.push(`an agent runs (pid ${found.agent.pid}, since ${utc(found.agent.since)}) and has not said anything yet`);
  } else if (installed) {
    const what = found.unit?.ours
      ? `${agentName(state)}.service is ${found.unit.active ? 'active' : 'not active'} and ${found.unit.enabled ? 'enabled' : 'not enabled'}`
      : `container ${agentName(state)} is ${found.container?.state}`;
    lines.push(
      `the agent is installed and does not run: ${what}`,
      'composure agent logs says why; composure agent install starts it again',
    );
  } else {
    lines.push('no agent on this host: composure agent install brings one');
  }
  if (written && !status) lines.push(`the last one was seen at ${utc(written.status.at)}`);
  if (warnings.length > 0) lines.push('last warnings:', ...warnings.map(({ at, text }) => `  ${utc(at)}  ${text}`));
  io.stdout(`${lines.join('\n')}\n`);
}

const utc = (iso: string): string => `${iso.slice(0, 19).replace('T', ' ')} UTC`;
