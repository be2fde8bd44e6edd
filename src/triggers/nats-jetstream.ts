import { z } from 'zod';
import { count, flag, scalar, text } from '../kit/fields.ts';
import { target } from './fields.ts';
import { get, parseJson } from './http.ts';
import type { Reading, TriggerType } from './model.ts';
import { polled, WITHOUT_CONNECTION } from './polled.ts';

const metadata = z
  .strictObject({
    natsServerMonitoringEndpoint: scalar('host:port, without a scheme', (text) => (/^[\w.-]+:\d{1,5}$/.test(text) ? text : undefined))
      .describe('Where the monitoring port of the NATS server is (`http_port` of its configuration, `-m` on its command line).')
      .meta({ samples: ['nats:8222'] }),
    account: text('the name of an account')
      .optional()
      .describe('Account that the stream belongs to. Without accounts of your own it is `$G`, written `$$G` in a compose file.')
      .meta({ samples: ['$G'] }),
    accountID: text('the id of an account')
      .optional()
      .describe('The same by its id, where name and id differ.')
      .meta({ samples: ['ACCT'] }),
    stream: text('the name of a stream')
      .describe('Stream that is worked off.')
      .meta({ samples: ['ORDERS'] }),
    consumer: text('the name of a consumer')
      .describe('Its durable consumer.')
      .meta({ samples: ['workers'] }),
    lagThreshold: target()
      .optional()
      .describe("Messages that one worker is to have. Left out, the tier's drain target decides; KEDA takes 10.")
      .meta({ samples: [10] }),
    activationLagThreshold: count(0)
      .prefault('0')
      .describe('Strictly above it there is something to do.')
      .meta({ samples: [5] }),
    useHttps: flag()
      .prefault('false')
      .describe('The monitoring port speaks TLS.')
      .meta({ samples: [true] }),
  })
  .refine(({ account, accountID }) => account || accountID, { path: ['account'], error: 'account or accountID has to be given' });

type Metadata = z.output<typeof metadata>;

interface JetStreamInfo {
  server_name?: string;
  meta_cluster?: { cluster_size?: number };
  account_details?: { id?: string; name?: string; stream_detail?: { name?: string; consumer_detail?: Consumer[] }[] }[];
}
interface Consumer {
  name?: string;
  num_pending?: number;
  num_ack_pending?: number;
  cluster?: { leader?: string };
}

/** The consumer in an answer of /jsz. Throws when account, stream or consumer is not there. */
export function consumerIn(answer: unknown, { account, accountID, stream, consumer }: Metadata): Consumer {
  const found = ((answer ?? {}) as JetStreamInfo).account_details?.find(
    ({ id, name }) => id === (accountID ?? account) || (account !== undefined && name === account),
  );
  if (!found) throw new Error(`there is no account ${account ?? accountID} with JetStream`);
  const streams = found.stream_detail?.find(({ name }) => name === stream);
  if (!streams) throw new Error(`there is no stream ${stream}`);
  const there = streams.consumer_detail?.find(({ name }) => name === consumer);
  if (!there) throw new Error(`the stream ${stream} has no consumer ${consumer}`);
  return there;
}

/** Messages not yet delivered wait; those delivered and not yet acknowledged are with a worker. */
export function consumerReading({ num_pending, num_ack_pending }: Consumer): Reading {
  if (num_pending === undefined || num_ack_pending === undefined) throw new Error('the server tells no counts of the consumer');
  return { value: num_pending + num_ack_pending, queue: { waiting: num_pending, active: num_ack_pending } };
}

export const natsJetstream: TriggerType<Metadata> = {
  type: 'nats-jetstream',
  summary: 'Messages of a NATS JetStream consumer that are not yet acknowledged, over the monitoring port.',
  metadata,
  metricTypes: ['AverageValue', 'Value'],
  target: ({ lagThreshold, activationLagThreshold }) => ({ value: lagThreshold, activation: activationLagThreshold }),
  activates: true,
  // The server ends connections that do not answer its pings.
  freezable: false,
  open(metadata, context) {
    const scheme = metadata.useHttps ? 'https' : 'http';
    const [host, port] = metadata.natsServerMonitoringEndpoint.split(':') as [string, string];
    const account = encodeURIComponent(metadata.accountID ?? metadata.account ?? '');
    const ask = async (server: string, path: string, signal: AbortSignal) =>
      parseJson(await get(context, { url: `${scheme}://${server}:${port}${path}`, signal }));
    return polled({
      ...WITHOUT_CONNECTION,
      type: 'nats-jetstream',
      where: metadata.natsServerMonitoringEndpoint,
      secrets: [],
      async look(_, signal) {
        const counts = (server: string) => ask(server, `/jsz?acc=${account}&consumers=true&config=true`, signal);
        const answer = (await counts(host)) as JetStreamInfo;
        const consumer = consumerIn(answer, metadata);
        const leader = consumer.cluster?.leader;
        if (!leader || (answer.meta_cluster?.cluster_size ?? 1) < 2) return consumerReading(consumer);
        // In a cluster only the consumer's leader knows its counts. Servers are taken to be named as they are reached.
        const { server_name } = (await ask(host, '/varz', signal)) as JetStreamInfo;
        if (server_name === leader) return consumerReading(consumer);
        const theirs = await counts(leader).catch((error: Error) => {
          throw new Error(`the consumer is led by the server ${leader}, which is not reached under that name: ${error.message}`);
        });
        return consumerReading(consumerIn(theirs, metadata));
      },
    });
  },
};
