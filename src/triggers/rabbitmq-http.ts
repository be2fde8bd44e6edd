import type { Reading } from './model.ts';

/** What RabbitMQ's management API tells of queues, and KEDA's metrics of them. Rates are per second. */

export const MODES = ['QueueLength', 'MessageRate', 'DeliverGetRate', 'PublishedToDeliveredRatio', 'ExpectedQueueConsumptionTime'] as const;
export type Mode = (typeof MODES)[number];
export const OPERATIONS = ['sum', 'avg', 'max'] as const;
export type Operation = (typeof OPERATIONS)[number];

export interface QueueInfo {
  ready: number;
  unacknowledged: number;
  publishRate: number;
  deliverRate: number;
  /** Unacknowledged messages that are being worked on, as far as consumers can be told apart; the others wait inside of a worker. */
  active: number;
}

export interface Counting {
  mode: Mode;
  operation: Operation;
  excludeUnacknowledged: boolean;
  activationValue: number;
}

/**
 * One queue as the API writes it. A consumer that may have one message at a time works on it. Of those that may have more, nothing says
 * how many they work on; each is taken to work on one.
 */
export function queueInfo(answer: unknown): QueueInfo {
  const queue = (answer ?? {}) as {
    messages_ready?: unknown;
    messages_unacknowledged?: unknown;
    consumers?: unknown;
    consumer_details?: { prefetch_count?: number }[];
    message_stats?: { publish_details?: { rate?: number }; deliver_get_details?: { rate?: number } };
  };
  const { messages_ready: ready, messages_unacknowledged: unacknowledged } = queue;
  if (typeof ready !== 'number' || typeof unacknowledged !== 'number') {
    throw new Error('RabbitMQ has no counts of the queue: it is new, or its statistics are switched off');
  }
  const consumers = typeof queue.consumers === 'number' ? queue.consumers : 0;
  const details = queue.consumer_details ?? [];
  const oneEach = details.length > 0 && details.length === consumers && details.every(({ prefetch_count }) => prefetch_count === 1);
  return {
    ready,
    unacknowledged,
    publishRate: queue.message_stats?.publish_details?.rate ?? 0,
    deliverRate: queue.message_stats?.deliver_get_details?.rate ?? 0,
    active: oneEach ? unacknowledged : Math.min(unacknowledged, consumers),
  };
}

/** The queues of a page that a regular expression found. */
export function queuePage(answer: unknown): QueueInfo[] {
  const { items, page_count: pages } = (answer ?? {}) as { items?: unknown; page_count?: number };
  if (!Array.isArray(items)) throw new Error('the answer is no list of queues');
  if ((pages ?? 1) > 1) throw new Error('the expression matches more queues than pageSize');
  return items.map(queueInfo);
}

/** KEDA's value and activity. `queue` is told for QueueLength only: the others measure something else than jobs. */
export function rabbitmqReading(queues: QueueInfo[], { mode, operation, excludeUnacknowledged, activationValue }: Counting): Reading {
  const over = (pick: (queue: QueueInfo) => number) => combined(queues.map(pick), operation);
  const messages = over(({ ready, unacknowledged }) => ready + (excludeUnacknowledged ? 0 : unacknowledged));
  const published = over(({ publishRate }) => publishRate);
  const delivered = over(({ deliverRate }) => deliverRate);
  switch (mode) {
    case 'QueueLength': {
      const total = (pick: (queue: QueueInfo) => number) => queues.reduce((sum, queue) => sum + pick(queue), 0);
      const active = total((queue) => queue.active);
      const held = total(({ unacknowledged }) => unacknowledged) - active;
      return { value: messages, queue: { waiting: total(({ ready }) => ready), active, held } };
    }
    case 'MessageRate':
      return { value: published, active: published > activationValue || messages > activationValue };
    case 'DeliverGetRate':
      return { value: delivered };
    case 'PublishedToDeliveredRatio':
      if (published > 0 && delivered === 0) return { value: activationValue, active: true };
      return { value: published > 0 ? published / delivered : 0 };
    case 'ExpectedQueueConsumptionTime':
      if (messages === 0) return { value: 0 };
      if (delivered === 0) return { value: activationValue, active: true };
      return { value: (published - delivered) / delivered + messages / delivered };
  }
}

function combined(values: number[], operation: Operation): number {
  if (values.length === 0) return 0;
  if (operation === 'max') return Math.max(...values);
  const sum = values.reduce((total, value) => total + value, 0);
  return operation === 'sum' ? sum : sum / values.length;
}

/** Where the API tells of a queue, or of those that an expression matches. `base` is the host key: its path ends in the vhost, as in KEDA. */
export function queueUrl(
  base: string,
  options: { vhostName?: string | undefined; queueName: string; useRegex: boolean; pageSize: number },
): string {
  const url = new URL(base);
  const parts = url.pathname.split('/').filter((part) => part !== '');
  const ownVhost = url.pathname.endsWith('/') ? '' : (parts.pop() ?? '');
  const vhost = options.vhostName === undefined ? ownVhost || '%2F' : encodeURIComponent(options.vhostName);
  url.pathname = [...parts, 'api', 'queues', vhost, ...(options.useRegex ? [] : [encodeURIComponent(options.queueName)])].join('/');
  url.search = options.useRegex
    ? `?${new URLSearchParams({ page: '1', page_size: String(options.pageSize), name: options.queueName, use_regex: 'true', pagination: 'true' })}`
    : '';
  return url.toString();
}
