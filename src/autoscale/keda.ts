import type { Tier } from './model.ts';

/** Metadata of one trigger in KEDA's words, and what it does not say there. */
export interface KedaMetadata {
  metadata: Record<string, string>;
  notes: string[];
}

interface Written {
  type: string;
  /** As the file has it; scalars as text. */
  metadata: Readonly<Record<string, unknown>>;
  /** Defaults of the trigger's own schema, as text. */
  defaults: Readonly<Record<string, string>>;
}

/** KEDA's key for what one worker is to have, and what KEDA takes where it is not written; undefined: KEDA refuses the trigger without it. */
const TARGETS: Record<string, { key: (written: Readonly<Record<string, unknown>>) => string; kedas: string | undefined }> = {
  redis: { key: () => 'listLength', kedas: '5' },
  'redis-streams': { key: (written) => ('consumerGroup' in written ? 'pendingEntriesCount' : 'streamLength'), kedas: '5' },
  rabbitmq: { key: () => 'value', kedas: undefined },
  'nats-jetstream': { key: () => 'lagThreshold', kedas: '10' },
};

/** Types that KEDA does not have. */
const OWN_TYPES = ['exec'];

/** Keys that KEDA's scaler of the same type does not have. */
const OWN_KEYS: Record<string, string[]> = { redis: ['keyPrefix', 'acksLate'] };

/**
 * A trigger's metadata as KEDA reads it, with every default written. Where the file has no target, the drain target decides here and a
 * number has to stand there: one job for each slot of a worker, which is what the drain target comes to until the duration of a job is
 * known. Undefined: KEDA has no such trigger.
 */
export function kedaMetadata({ type, metadata, defaults }: Written, tier: Tier, target: number | undefined): KedaMetadata | undefined {
  if (OWN_TYPES.includes(type)) return undefined;
  const notes: string[] = [];
  const texts = Object.fromEntries(
    Object.entries({ ...defaults, ...metadata }).filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
  );
  const translated = type.startsWith('redis') ? redisAddress(texts, notes) : texts;
  if (type === 'redis') listName(translated, tier, notes);
  for (const key of OWN_KEYS[type] ?? []) delete translated[key];
  const wanted = TARGETS[type];
  if (target === undefined && wanted) {
    const key = wanted.key(translated);
    translated[key] = String(tier.concurrency);
    notes.push(
      `${key} is not written in the compose file: there the drain target (${tier.drainTargetMs / 1000} s) decides. ${key} ${tier.concurrency} is one job for each that a worker runs at a time; ${wanted.kedas === undefined ? 'KEDA has no default' : `KEDA’s own default is ${wanted.kedas}`}.`,
    );
  }
  return { metadata: translated, notes };
}

/** KEDA knows host:port only. */
function redisAddress(written: Record<string, string>, notes: string[]): Record<string, string> {
  const { address, ...rest } = written;
  if (written.addressFromEnv !== undefined)
    notes.push(`the variable ${written.addressFromEnv} must hold host:port; KEDA reads no redis:// URL.`);
  if (address === undefined || !address.includes('://')) return written;
  const url = new URL(address);
  const database = url.pathname.slice(1);
  if (url.password) notes.push('the password in the address is left out: name a variable that holds it in passwordFromEnv.');
  return {
    address: `${url.hostname}:${url.port || '6379'}`,
    ...rest,
    ...(database && rest.databaseIndex === undefined ? { databaseIndex: database } : {}),
    ...(url.protocol === 'rediss:' ? { enableTLS: 'true' } : {}),
    ...(url.username && rest.username === undefined ? { username: decodeURIComponent(url.username) } : {}),
  };
}

/** With a framework the name of a queue is written; KEDA wants the key of one list. */
function listName(metadata: Record<string, string>, { framework }: Tier, notes: string[]): void {
  const queue = metadata.listName;
  if (framework === undefined || queue === undefined) return;
  const own = metadata.keyPrefix;
  const key = {
    celery: `${own ?? ''}${queue}`,
    bullmq: `${own ?? 'bull'}:${queue}:wait`,
    rq: `${own ?? ''}rq:queue:${queue}`,
    sidekiq: `${own === undefined ? '' : `${own}:`}queue:${queue}`,
  }[framework];
  metadata.listName = key;
  notes.push(
    `KEDA counts the list ${key} alone: jobs that run, that are delayed, or that wait in another priority are not seen there. In a compose file, beside tier.framework, listName is ${queue}.`,
  );
}
