import { cpu } from './cpu.ts';
import { cron } from './cron.ts';
import { exec } from './exec.ts';
import { kafka } from './kafka.ts';
import { memory } from './memory.ts';
import { metricsApi } from './metrics-api.ts';
import type { TriggerType } from './model.ts';
import { mongodb } from './mongodb.ts';
import { mysql } from './mysql.ts';
import { natsJetstream } from './nats-jetstream.ts';
import { postgresql } from './postgresql.ts';
import { prometheus } from './prometheus.ts';
import { rabbitmq } from './rabbitmq.ts';
import { redis } from './redis/redis.ts';
import { redisStreams } from './redis/streams.ts';

/** All triggers there are, in the order of the reference page. */
export const TRIGGERS: readonly TriggerType[] = [
  redis,
  redisStreams,
  rabbitmq,
  kafka,
  natsJetstream,
  postgresql,
  mysql,
  mongodb,
  prometheus,
  metricsApi,
  cron,
  cpu,
  memory,
  exec,
];

export function triggerType(name: string): TriggerType | undefined {
  return TRIGGERS.find((type) => type.type === name);
}
