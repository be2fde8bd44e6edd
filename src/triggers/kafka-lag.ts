import type { Reading } from './model.ts';

/** How far a consumer group is behind, partition by partition, as KEDA counts it. */

export interface PartitionOffsets {
  topic: string;
  partition: number;
  /** Of the first message that is kept, and of the next that will be written. */
  low: bigint;
  high: bigint;
  /** Of the next message that the group will read; undefined: it has committed none. */
  committed?: bigint;
}

export interface LagRules {
  lagThreshold: number;
  activationLagThreshold: number;
  offsetResetPolicy: 'latest' | 'earliest';
  allowIdleConsumers: boolean;
  excludePersistentLag: boolean;
  scaleToZeroOnInvalidOffset: boolean;
  limitToPartitionsWithLag: boolean;
}

/** Since when each partition's committed offset has not moved. */
export type Progress = ReadonlyMap<string, { committed: bigint; sinceMs: number }>;

/** KEDA compares with its last poll, 30 s ago by default. We ask more often, and a slow message is no stuck one. */
export const STUCK_AFTER_MS = 30_000;

export function progressAfter(offsets: PartitionOffsets[], before: Progress, nowMs: number): Progress {
  return new Map(
    offsets.flatMap(({ topic, partition, committed }) => {
      if (committed === undefined) return [];
      const key = `${topic}/${partition}`;
      const known = before.get(key);
      return [[key, known?.committed === committed ? known : { committed, sinceMs: nowMs }]];
    }),
  );
}

/**
 * Value: the lag of all partitions, at most what as many workers as there are partitions can have (with lag, by limitToPartitionsWithLag),
 * unless allowIdleConsumers. With excludePersistentLag a partition that does not move is left out of the value, not out of what waits.
 */
export function lagReading(offsets: PartitionOffsets[], rules: LagRules, progress: Progress, nowMs: number): Reading {
  let waiting = 0;
  let value = 0;
  let withLag = 0;
  for (const each of offsets) {
    const lag = lagOf(each, rules);
    const sinceMs = progress.get(`${each.topic}/${each.partition}`)?.sinceMs ?? nowMs;
    const counted = rules.excludePersistentLag && nowMs - sinceMs >= STUCK_AFTER_MS ? 0 : lag;
    waiting += lag;
    value += counted;
    if (counted > 0) withLag++;
  }
  const workers = rules.limitToPartitionsWithLag ? withLag : rules.allowIdleConsumers ? Number.POSITIVE_INFINITY : offsets.length;
  return {
    value: workers === Number.POSITIVE_INFINITY ? value : Math.min(value, workers * rules.lagThreshold),
    active: waiting > rules.activationLagThreshold,
    queue: { waiting },
  };
}

function lagOf({ low, high, committed }: PartitionOffsets, rules: LagRules): number {
  // The log may have been cut behind the group, or written anew before it.
  if (committed !== undefined) return Math.max(0, Number(high - (committed < low ? low : committed)));
  if (rules.scaleToZeroOnInvalidOffset) return 0;
  // Which messages a new group would get is not known before it has begun: one is enough to begin.
  return rules.offsetResetPolicy === 'latest' ? 1 : Number(high - low);
}
