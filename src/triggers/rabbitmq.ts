import type { ChannelModel } from 'amqplib';
import { z } from 'zod';
import { Failure } from '../kit/errors.ts';
import { count, flag, scalar, text, word } from '../kit/fields.ts';
import { fromEnvironment, fromEnvironmentIfNamed } from './environment.ts';
import { activatesAbove, answerTime, anyCertificate, fromVariable, target, variable } from './fields.ts';
import { basic, get, parseJson, shownUrl } from './http.ts';
import type { OpenTrigger, TriggerContext, TriggerType } from './model.ts';
import { polled, WITHOUT_CONNECTION } from './polled.ts';
import { MODES, OPERATIONS, queueInfo, queuePage, queueUrl, rabbitmqReading } from './rabbitmq-http.ts';

const SCHEME = /^(amqps?|https?):$/;

const metadata = z
  .strictObject({
    host: scalar('an amqp://, amqps://, http:// or https:// address', (text) =>
      SCHEME.test(URL.parse(text)?.protocol ?? '') ? text : undefined,
    )
      .optional()
      .describe(
        'Where RabbitMQ answers: `amqp://` for the broker itself, `http://` for its management API. With user and password if it is without secrets, and the vhost as its path.',
      )
      .meta({ samples: ['amqp://rabbitmq:5672/', 'http://rabbitmq:15672/'] }),
    hostFromEnv: fromVariable('such an address', 'RABBITMQ_URL'),
    usernameFromEnv: fromVariable("the user, instead of the address's", 'RABBITMQ_USER'),
    passwordFromEnv: variable()
      .optional()
      .describe('The same for the password; both or none.')
      .meta({ samples: ['RABBITMQ_PASSWORD'] }),
    queueName: text('the name of a queue')
      .describe('Queue that is worked off; it must exist. With `useRegex` an expression.')
      .meta({ samples: ['mail'] }),
    mode: word(...MODES)
      .prefault('QueueLength')
      .describe('What is measured. All but `QueueLength` need the management API.')
      .meta({ samples: ['QueueLength'] }),
    value: target()
      .optional()
      .describe(
        "What one worker is to have of it. With `QueueLength` it may be left out, and the tier's drain target decides; KEDA takes 20.",
      )
      .meta({ samples: [20] }),
    activationValue: activatesAbove(5),
    protocol: word('auto', 'amqp', 'http')
      .prefault('auto')
      .describe(
        "`auto` takes it from the address. `amqp` sees messages that are ready, at once; `http` also those with a worker, as of RabbitMQ's last count (every 5 s).",
      )
      .meta({ samples: ['http'] }),
    vhostName: text('the name of a vhost')
      .optional()
      .describe("Instead of the address's path.")
      .meta({ samples: ['shop'] }),
    useRegex: flag()
      .prefault('false')
      .describe('`queueName` is a regular expression. Needs the management API.')
      .meta({ samples: [true] }),
    operation: word(...OPERATIONS)
      .prefault('sum')
      .describe('What is made of several queues.')
      .meta({ samples: ['max'] }),
    pageSize: count(1, 500)
      .prefault('100')
      .describe('How many queues an expression may match.')
      .meta({ samples: [200] }),
    excludeUnacknowledged: flag()
      .prefault('false')
      .describe('Counts ready messages only. Needs the management API.')
      .meta({ samples: [true] }),
    unsafeSsl: anyCertificate(),
    timeout: answerTime('the management API'),
  })
  .superRefine((fields, context) => {
    const refuse = (key: string, message: string) => context.addIssue({ code: 'custom', path: [key], message });
    if (!fields.host === !fields.hostFromEnv) refuse('host', 'either host or hostFromEnv has to be given');
    if (!fields.usernameFromEnv !== !fields.passwordFromEnv) refuse('passwordFromEnv', 'usernameFromEnv and passwordFromEnv go together');
    if (fields.mode !== 'QueueLength' && fields.value === undefined) refuse('value', `mode ${fields.mode} needs it`);
    const protocol = fields.protocol === 'auto' && fields.host ? protocolOf(fields.host) : fields.protocol;
    if (protocol === 'amqp') for (const [key, problem] of overAmqp(fields)) refuse(key, problem);
  });

type Metadata = z.output<typeof metadata>;

function protocolOf(address: string): 'amqp' | 'http' {
  return address.startsWith('amqp') ? 'amqp' : 'http';
}

function overAmqp({
  mode,
  useRegex,
  excludeUnacknowledged,
  timeout,
}: Pick<Metadata, 'mode' | 'useRegex' | 'excludeUnacknowledged' | 'timeout'>): [string, string][] {
  const problem = 'needs the management API: an http:// address';
  return [
    ...(mode === 'QueueLength' ? [] : [['mode', problem] as [string, string]]),
    ...(useRegex ? [['useRegex', problem] as [string, string]] : []),
    ...(excludeUnacknowledged ? [['excludeUnacknowledged', problem] as [string, string]] : []),
    ...(timeout === undefined ? [] : [['timeout', problem] as [string, string]]),
  ];
}

interface Address {
  url: URL;
  user: string;
  password: string;
}

function addressOf(metadata: Metadata, context: TriggerContext): Address {
  const key = metadata.hostFromEnv ? 'hostFromEnv' : 'host';
  const written = metadata.hostFromEnv ? fromEnvironment(context, key, metadata.hostFromEnv) : (metadata.host as string);
  const url = URL.parse(written);
  const refuse = (problem: string) => new Failure('CONFIG_INVALID', `the address of RabbitMQ ${problem}`, { where: key });
  if (!url || !SCHEME.test(url.protocol)) throw refuse('begins with none of amqp://, amqps://, http:// and https://');
  const protocol = protocolOf(written);
  if (metadata.protocol !== 'auto' && metadata.protocol !== protocol) throw refuse(`is none for the protocol ${metadata.protocol}`);
  const [problem] = protocol === 'amqp' ? overAmqp(metadata) : [];
  if (problem) throw new Failure('CONFIG_INVALID', `${problem[0]} ${problem[1]}`, { where: problem[0] });
  const user = fromEnvironmentIfNamed(context, 'usernameFromEnv', metadata.usernameFromEnv) ?? decodeURIComponent(url.username);
  const password = fromEnvironmentIfNamed(context, 'passwordFromEnv', metadata.passwordFromEnv) ?? decodeURIComponent(url.password);
  url.username = '';
  url.password = '';
  // RabbitMQ's own default, as its clients have it.
  return user === '' && password === '' ? { url, user: 'guest', password: 'guest' } : { url, user, password };
}

function overHttp(metadata: Metadata, context: TriggerContext, { url, user, password }: Address): OpenTrigger {
  const headers = basic(user, password);
  return polled({
    ...WITHOUT_CONNECTION,
    type: 'rabbitmq',
    where: shownUrl(url.toString()),
    secrets: [password, ...Object.values(headers)],
    ...(metadata.timeout ? { limitMs: metadata.timeout } : {}),
    async look(_, signal) {
      const answer = parseJson(
        await get(context, { url: queueUrl(url.toString(), metadata), headers, unsafeSsl: metadata.unsafeSsl, signal }),
      );
      return rabbitmqReading(metadata.useRegex ? queuePage(answer) : [queueInfo(answer)], metadata);
    },
  });
}

/** Asks for the queue without creating it. A queue that is not there ends the channel, so each reading has one of its own. */
function overBroker(metadata: Metadata, context: TriggerContext, { url, user, password }: Address): OpenTrigger {
  const tls = url.protocol === 'amqps:';
  const port = Number(url.port || (tls ? 5671 : 5672));
  const vhost = metadata.vhostName === undefined ? url.pathname.slice(1) || '%2F' : encodeURIComponent(metadata.vhostName);
  return polled<ChannelModel>({
    type: 'rabbitmq',
    where: `${url.hostname}:${port}`,
    secrets: [password],
    async connect(signal) {
      const { default: amqplib } = await import('amqplib');
      const reached = await context.resolve(url.hostname, port);
      // Handed on to net.connect or tls.connect as it is.
      const socket = {
        signal,
        servername: url.hostname,
        rejectUnauthorized: !metadata.unsafeSsl,
        clientProperties: { connection_name: 'composure' },
      };
      const connection = await amqplib.connect(
        { protocol: tls ? 'amqps' : 'amqp', hostname: reached.host, port: reached.port, username: user, password, vhost, heartbeat: 30 },
        socket,
      );
      connection.on('error', () => {});
      return connection;
    },
    async look(connection) {
      const channel = await connection.createChannel();
      channel.on('error', () => {});
      const { messageCount } = await channel.checkQueue(metadata.queueName);
      await channel.close();
      return { value: messageCount, queue: { waiting: messageCount } };
    },
    drop: (connection) => connection.close(),
  });
}

export const rabbitmq: TriggerType<Metadata> = {
  type: 'rabbitmq',
  summary: 'Messages of a RabbitMQ queue, or how fast they come and go.',
  metadata,
  metricTypes: ['AverageValue', 'Value'],
  target: ({ value, activationValue }) => ({ value, activation: activationValue }),
  activates: true,
  // The broker ends connections whose heartbeats stop.
  freezable: false,
  open(metadata, context) {
    const address = addressOf(metadata, context);
    return protocolOf(address.url.protocol) === 'http' ? overHttp(metadata, context, address) : overBroker(metadata, context, address);
  },
};
