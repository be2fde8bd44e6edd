import { readStatus } from '../../../autoscale/status.ts';
import { Failure } from '../../../kit/errors.ts';
import { stateFolder } from '../../../state/folder.ts';
import type { ProjectFlags } from '../../flags.ts';
import type { Io } from '../../io.ts';
import { projectName } from '../../project-name.ts';

/** Older than this the durations in the text no longer mean now. */
const OLD_MS = 10_000;

/** Why a service has as many workers as it has: inputs, formula, limits, workers, the host's room, the last decisions. */
export async function autoscaleExplainCommand(io: Io, service: string, flags: ProjectFlags): Promise<void> {
  const project = await projectName(io, flags);
  const found = await readStatus(stateFolder(io.env));
  const entry = found?.status.tiers.find(({ tier }) => tier.project === project && tier.service === service);
  if (!found || !entry) {
    const known = (found?.status.tiers ?? []).filter(({ tier }) => tier.project === project).map(({ tier }) => tier.service);
    throw new Failure(
      'SERVICE_UNKNOWN',
      found?.running ? `the agent scales no service ${service} of ${project}` : `no agent runs on this host, so nothing scales ${service}`,
      {
        where: service,
        next: !found?.running
          ? 'composure agent install brings one'
          : known.length > 0
            ? `services of ${project} that are scaled: ${known.join(', ')}`
            : 'add x-autoscale to the service and run composure deploy; composure autoscale status says what stands in the way',
      },
    );
  }
  const { explanation, decisions, recent } = entry;
  if (flags.json) {
    io.stdout(
      `${JSON.stringify({ project, service, running: found.running, atMs: found.status.atMs, decision: decisions.at(-1), decisions, recent, explanation })}\n`,
    );
    return;
  }
  if (!found.running || Date.now() - found.status.atMs > OLD_MS)
    io.stdout(
      `as of ${new Date(found.status.atMs).toISOString().slice(0, 19)}Z${found.running ? ', nothing has happened since' : '; no agent runs now'}\n`,
    );
  io.stdout(explanation);
  if (recent.length > 0)
    io.stdout(
      `\ndone\n${recent
        .slice(-6)
        .map(({ atMs, text }) => `  ${new Date(atMs).toISOString().slice(0, 19)}Z  ${text}\n`)
        .join('')}`,
    );
}
