import { readSegments } from '../../../autoscale/recording.ts';
import { printReplay, type Replayed, replay } from '../../../autoscale/replay.ts';
import { stateFolder } from '../../../state/folder.ts';
import type { Io } from '../../io.ts';

/** Feeds what the agent recorded to the policy of this version, hour by hour, each from the state that was recorded at its beginning. */
export async function autoscaleReplayCommand(io: Io, flags: { json?: boolean; hours: number }): Promise<void> {
  const sinceMs = Date.now() - flags.hours * 3_600_000;
  let events = 0;
  let firstMs: number | undefined;
  const differences: Replayed['differences'] = [];
  for await (const { start, recorded } of readSegments(stateFolder(io.env), sinceMs)) {
    const outcome = replay(start, recorded);
    differences.push(...outcome.differences.map((entry) => ({ ...entry, index: entry.index + events })));
    events += outcome.events;
    firstMs ??= recorded[0]?.event.atMs;
  }
  if (flags.json) io.stdout(`${JSON.stringify({ sinceMs: firstMs, events, differences })}\n`);
  else if (events === 0) io.stdout('nothing was recorded in this time: the agent records while it scales services\n');
  else io.stdout(`since ${new Date(firstMs ?? sinceMs).toISOString().slice(0, 19)}Z: ${printReplay({ events, differences })}`);
}
