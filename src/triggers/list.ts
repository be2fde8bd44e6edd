import type { TriggerType } from './model.ts';
import { redis } from './redis/redis.ts';
import { redisStreams } from './redis/streams.ts';

/** All triggers there are, in the order of the reference page. */
export const TRIGGERS: readonly TriggerType[] = [redis, redisStreams];

export function triggerType(name: string): TriggerType | undefined {
  return TRIGGERS.find((type) => type.type === name);
}
