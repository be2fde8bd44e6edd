import { formatMs } from '../../kit/duration.ts';
import type { Report } from '../../kit/events.ts';
import { sleep } from '../../kit/wait.ts';
import type { BackupSettings } from '../../project/model.ts';
import type { BackupResult } from '../model.ts';
import { CHANNELS } from './list.ts';
import type { Channel, Tidings } from './model.ts';

/** How long one attempt may take, and the pauses before the next ones: a channel that hangs costs a backup half a minute and no more. */
const LIMIT_MS = 8000;
const RETRIES_MS = [500, 3000];

const NAMES: Record<BackupResult['kind'], string> = {
  run: 'backup',
  verify: 'check of the repository',
  drill: 'restore drill',
  prune: 'pruning',
  restore: 'restore',
  rebuild: 'rebuild',
};

/** What there is to tell of a result, given what came before it. Pure. */
export function tidingsOf(project: string, host: string, before: readonly BackupResult[], result: BackupResult): Tidings {
  const last = before.findLast(({ kind, only }) => kind === result.kind && only?.join() === result.only?.join());
  const event = !result.ok ? 'failed' : last !== undefined && !last.ok ? 'recovered' : 'succeeded';
  const name = `${NAMES[result.kind]} of ${result.only === undefined ? '' : `${result.only.join(', ')} in `}${project}`;
  const took = formatMs(Date.parse(result.endedAt) - Date.parse(result.startedAt));
  const text = {
    failed: `${name} on ${host} failed: ${result.message ?? 'it was killed'}`,
    recovered: `${name} on ${host} works again (${took})`,
    succeeded: `${name} on ${host} went well (${took})`,
  }[event];
  return { event, project, host, result, text };
}

/**
 * Tells every channel that the tidings are for, all at once. One that does not take it is named as a warning, and stops nothing. `addresses`
 * by the name of the secret.
 */
export async function tell(
  notify: NonNullable<BackupSettings['notify']>,
  addresses: Record<string, string>,
  tidings: Tidings,
  report: Report,
  { channels = CHANNELS, limitMs = LIMIT_MS, retriesMs = RETRIES_MS } = {},
): Promise<void> {
  await Promise.all(
    notify.map(async ({ kind, secret }) => {
      const channel = channels.find((one) => one.kind === kind);
      if (!channel?.events.includes(tidings.event)) return;
      const fault = await deliver(channel, addresses[secret], tidings, limitMs, retriesMs);
      if (fault !== undefined) report({ kind: 'warning', text: `${kind} ${secret}: ${fault}` });
    }),
  );
}

/** Why it was not taken; undefined: it was. */
async function deliver(
  channel: Channel,
  written: string | undefined,
  tidings: Tidings,
  limitMs: number,
  retriesMs: readonly number[],
): Promise<string | undefined> {
  if (written === undefined) return 'there is no secret of this name: composure secrets set it';
  const address = URL.parse(written.trim());
  if (address === null || !/^https?:$/.test(address.protocol)) return 'the secret is no address that begins with https:// or http://';
  let fault = '';
  for (const pauseMs of [0, ...retriesMs]) {
    await sleep(pauseMs);
    try {
      await channel.send(address, tidings, AbortSignal.timeout(limitMs));
      return undefined;
    } catch (error) {
      fault = (error as Error).message;
    }
  }
  return fault;
}
