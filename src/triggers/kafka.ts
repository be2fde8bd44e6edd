import { isIP, Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { Admin, ISocketFactory, KafkaConfig, SASLOptions } from 'kafkajs';
import { z } from 'zod';
import { count, flag, scalar, text, word } from '../kit/fields.ts';
import { fromEnvironment } from './environment.ts';
import { anyCertificate, fromVariable, target } from './fields.ts';
import { lagReading, type PartitionOffsets, type Progress, progressAfter } from './kafka-lag.ts';
import type { TriggerContext, TriggerType } from './model.ts';
import { polled } from './polled.ts';

const SASL = { plaintext: 'plain', scram_sha256: 'scram-sha-256', scram_sha512: 'scram-sha-512' } as const;

const servers = () =>
  scalar('host:port, or several with commas between them', (text) => {
    const list = text.split(',').map((server) => server.trim());
    return list.every((server) => /^[\w.-]+:\d{1,5}$/.test(server)) ? list : undefined;
  });
const pem = (what: string, sample: string) => fromVariable(`${what}, as PEM text`, sample);

const metadata = z
  .strictObject({
    bootstrapServers: servers()
      .optional()
      .describe('Brokers to begin with, as `host:port` with commas between them.')
      .meta({ samples: ['kafka:9092'] }),
    bootstrapServersFromEnv: fromVariable('such a list', 'KAFKA_BROKERS'),
    consumerGroup: text('the name of a consumer group')
      .describe('Group whose lag is measured.')
      .meta({ samples: ['workers'] }),
    topic: text('the name of a topic')
      .optional()
      .describe('Topic that is read. Left out: all that the group has committed offsets for.')
      .meta({ samples: ['orders'] }),
    lagThreshold: target()
      .prefault('10')
      .describe('Messages that one worker is to have.')
      .meta({ samples: [50] }),
    activationLagThreshold: count(0)
      .prefault('0')
      .describe('Strictly above it there is something to do.')
      .meta({ samples: [5] }),
    offsetResetPolicy: word('latest', 'earliest')
      .prefault('latest')
      .describe(
        'What the consumer does where its group has committed nothing. `latest`: a lag of 1 is taken, so that it begins; `earliest`: all that is kept.',
      )
      .meta({ samples: ['earliest'] }),
    allowIdleConsumers: flag()
      .prefault('false')
      .describe('More workers than partitions.')
      .meta({ samples: [true] }),
    excludePersistentLag: flag()
      .prefault('false')
      .describe(
        'Leaves out a partition whose offset has not moved for 30 s: more workers would not move it. It still keeps the service from going to 0.',
      )
      .meta({ samples: [true] }),
    scaleToZeroOnInvalidOffset: flag()
      .prefault('false')
      .describe('Where the group has committed nothing there is nothing to do.')
      .meta({ samples: [true] }),
    limitToPartitionsWithLag: flag()
      .prefault('false')
      .describe('At most as many workers as partitions that have a lag. Needs `topic`.')
      .meta({ samples: [true] }),
    version: text('a version of Kafka')
      .optional()
      .describe('Taken for the sake of files written for KEDA; the client finds out by itself.')
      .meta({ samples: ['3.9.0'] }),
    sasl: word('none', ...(Object.keys(SASL) as (keyof typeof SASL)[]))
      .prefault('none')
      .describe('How the client says who it is.')
      .meta({ samples: ['scram_sha512'] }),
    usernameFromEnv: fromVariable('the user', 'KAFKA_USER'),
    passwordFromEnv: fromVariable('the password', 'KAFKA_PASSWORD'),
    tls: word('enable', 'disable')
      .prefault('disable')
      .describe('Whether the brokers speak TLS.')
      .meta({ samples: ['enable'] }),
    unsafeSsl: anyCertificate(),
    caFromEnv: pem("the authority that signed the brokers' certificates", 'KAFKA_CA'),
    certFromEnv: pem("the client's certificate", 'KAFKA_CERT'),
    keyFromEnv: pem("the certificate's key", 'KAFKA_KEY'),
  })
  .superRefine((fields, context) => {
    const refuse = (key: string, message: string) => context.addIssue({ code: 'custom', path: [key], message });
    if (!fields.bootstrapServers === !fields.bootstrapServersFromEnv)
      refuse('bootstrapServers', 'either bootstrapServers or bootstrapServersFromEnv has to be given');
    for (const key of ['usernameFromEnv', 'passwordFromEnv'] as const) {
      if ((fields.sasl === 'none') !== (fields[key] === undefined))
        refuse(key, fields.sasl === 'none' ? 'needs sasl beside it' : `sasl ${fields.sasl} needs it`);
    }
    for (const key of ['caFromEnv', 'certFromEnv', 'keyFromEnv'] as const) {
      if (fields.tls === 'disable' && fields[key] !== undefined) refuse(key, 'needs tls: enable');
    }
    if (!fields.certFromEnv !== !fields.keyFromEnv) refuse('keyFromEnv', 'certFromEnv and keyFromEnv go together');
    if (fields.limitToPartitionsWithLag && fields.topic === undefined) refuse('topic', 'limitToPartitionsWithLag needs it');
    if (fields.limitToPartitionsWithLag && fields.allowIdleConsumers)
      refuse('allowIdleConsumers', 'not together with limitToPartitionsWithLag');
  });

type Metadata = z.output<typeof metadata>;

function brokersOf(metadata: Metadata, context: TriggerContext): string[] {
  if (metadata.bootstrapServers) return metadata.bootstrapServers;
  const listed = fromEnvironment(context, 'bootstrapServersFromEnv', metadata.bootstrapServersFromEnv as string);
  return listed.split(',').map((server) => server.trim());
}

/** Connects to brokers, the listed and the discovered ones, where the context says that they are reached. */
function socketsThrough(context: TriggerContext, signal: AbortSignal): ISocketFactory {
  return ({ host, port, ssl, onConnect }) => {
    const plain = new Socket({ signal });
    context.resolve(host, port).then(
      (reached) => plain.connect(reached.port, reached.host),
      (error: Error) => plain.destroy(error),
    );
    if (!ssl) return plain.once('connect', onConnect);
    return connectTls({ socket: plain, ...(isIP(host) ? {} : { servername: host }), ...ssl }, onConnect);
  };
}

/** Everything that the group has to do with: the topic's partitions, or those of all topics that it has committed to. */
async function offsetsOf(admin: Admin, { consumerGroup, topic }: Metadata): Promise<PartitionOffsets[]> {
  const committed = await admin.fetchOffsets({ groupId: consumerGroup, ...(topic === undefined ? {} : { topics: [topic] }) });
  const topics = topic === undefined ? committed.map((each) => each.topic) : [topic];
  const all = await Promise.all(
    topics.map(async (name) => {
      const own = new Map(committed.find((each) => each.topic === name)?.partitions.map(({ partition, offset }) => [partition, offset]));
      return (await admin.fetchTopicOffsets(name)).map(({ partition, low, high }): PartitionOffsets => {
        const offset = own.get(partition);
        const known = offset !== undefined && offset !== '-1' ? { committed: BigInt(offset) } : {};
        return { topic: name, partition, low: BigInt(low), high: BigInt(high), ...known };
      });
    }),
  );
  return all.flat();
}

export const kafka: TriggerType<Metadata> = {
  type: 'kafka',
  summary: 'How many messages a Kafka consumer group is behind.',
  metadata,
  metricTypes: ['AverageValue', 'Value'],
  target: ({ lagThreshold, activationLagThreshold }) => ({ value: lagThreshold, activation: activationLagThreshold }),
  activates: true,
  // The group's coordinator drops a member whose heartbeats stop.
  freezable: false,
  open(metadata, context) {
    const brokers = brokersOf(metadata, context);
    const take = (key: 'usernameFromEnv' | 'passwordFromEnv' | 'caFromEnv' | 'certFromEnv' | 'keyFromEnv') =>
      metadata[key] === undefined ? undefined : fromEnvironment(context, key, metadata[key]);
    const password = take('passwordFromEnv') ?? '';
    const username = take('usernameFromEnv') ?? '';
    const [ca, cert, key] = [take('caFromEnv'), take('certFromEnv'), take('keyFromEnv')];
    const config: KafkaConfig = {
      clientId: 'composure',
      brokers,
      connectionTimeout: 3000,
      authenticationTimeout: 3000,
      requestTimeout: 4000,
      // The client's own way to find brokers after a change is to fail, look again and retry; the read's limit ends that.
      retry: { retries: 3, initialRetryTime: 50, maxRetryTime: 300 },
      ...(metadata.sasl === 'none' ? {} : { sasl: { mechanism: SASL[metadata.sasl], username, password } as SASLOptions }),
      ...(metadata.tls === 'disable'
        ? {}
        : { ssl: { rejectUnauthorized: !metadata.unsafeSsl, ...(ca ? { ca } : {}), ...(cert && key ? { cert, key } : {}) } }),
    };
    let progress: Progress = new Map();
    return polled<Admin>({
      type: 'kafka',
      where: brokers.join(', '),
      secrets: [password, key],
      async connect(signal) {
        const { Kafka, logLevel } = await import('kafkajs');
        const admin = new Kafka({ ...config, logLevel: logLevel.NOTHING, socketFactory: socketsThrough(context, signal) }).admin();
        await admin.connect();
        return admin;
      },
      async look(admin) {
        const offsets = await offsetsOf(admin, metadata);
        progress = progressAfter(offsets, progress, context.now());
        return lagReading(offsets, metadata, progress, context.now());
      },
      drop: (admin) => admin.disconnect(),
    });
  },
};
