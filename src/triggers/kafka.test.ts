import { expect, test } from 'vitest';
import { selfSigned } from '../../test/support/certificate.ts';
import { triggerContract } from './contract.ts';
import { type KafkaScript, startKafka } from './kafka.fixture.ts';
import { kafka } from './kafka.ts';
import type { TriggerContext } from './model.ts';

const PASSWORD = 's3cret of the broker';

function script(change: Partial<KafkaScript> = {}): KafkaScript {
  return { topic: 'orders', partitions: [{ low: 0, high: 0, committed: 0 }], advertised: { host: 'broker-1', port: 9092 }, ...change };
}

triggerContract({
  title: 'kafka (scripted broker)',
  type: kafka,
  server: true,
  credentials: true,
  async start() {
    const broker = script({
      partitions: [
        { low: 5, high: 10, committed: 10 },
        { low: 0, high: 20, committed: 20 },
      ],
      credentials: { user: 'shop', password: PASSWORD },
    });
    let running = await startKafka(broker);
    let port = running.port;
    return {
      metadata: {
        bootstrapServers: 'kafka:9092',
        consumerGroup: 'workers',
        topic: 'orders',
        lagThreshold: 50,
        sasl: 'plaintext',
        usernameFromEnv: 'KAFKA_USER',
        passwordFromEnv: 'KAFKA_PASSWORD',
      },
      environment: { KAFKA_USER: 'shop', KAFKA_PASSWORD: PASSWORD },
      async hold(value) {
        broker.partitions = [
          { low: 5, high: 10, committed: 9 },
          { low: 0, high: 20 + value - 1, committed: 20 },
        ];
      },
      server: {
        address: () => ({ host: '127.0.0.1', port }),
        stop: () => running.stop(),
        async restart() {
          running = await startKafka(broker);
          if (running.port === port) throw new Error('the system gave out the same port again');
          port = running.port;
        },
        refused: { environment: { KAFKA_PASSWORD: 'not the password' }, secret: 'not the password' },
      },
      remove: () => running.stop(),
    };
  },
});

async function read(broker: KafkaScript, metadata: object = {}, environment: Record<string, string> = {}): Promise<unknown> {
  const running = await startKafka(broker);
  const asked: string[] = [];
  const context = {
    environment,
    now: () => 0,
    async resolve(host: string, port: number) {
      asked.push(`${host}:${port}`);
      return { host: '127.0.0.1', port: running.port };
    },
  } as unknown as TriggerContext;
  const trigger = kafka.open(
    kafka.metadata.parse({ bootstrapServers: 'kafka:9092', consumerGroup: 'workers', topic: 'orders', ...metadata }),
    context,
  );
  try {
    return { ...(await trigger.read()), asked: [...new Set(asked)] };
  } catch (error) {
    return (error as Error).message;
  } finally {
    await trigger.close();
    await running.stop();
  }
}

test('asks brokers under the names that they give out, where those are reached', async () => {
  expect(await read(script({ partitions: [{ low: 0, high: 8, committed: 3 }] }))).toEqual({
    value: 5,
    active: true,
    queue: { waiting: 5 },
    asked: ['kafka:9092', 'broker-1:9092'],
  });
});

test('over TLS, with the authority that the environment holds, for the names that brokers give out', async () => {
  const { certificate, key } = await selfSigned(['kafka', 'broker-1']);
  const broker = script({ partitions: [{ low: 0, high: 8, committed: 3 }], tls: { cert: certificate, key } });
  const metadata = { tls: 'enable', caFromEnv: 'CA' };
  expect(await read(broker, metadata, { CA: certificate })).toMatchObject({ value: 5, asked: ['kafka:9092', 'broker-1:9092'] });
  expect(await read(broker, { tls: 'enable' })).toMatch(/self-signed certificate/);
  const other = await selfSigned(['elsewhere']);
  const wrong = script({ tls: { cert: other.certificate, key: other.key } });
  expect(await read(wrong, metadata, { CA: other.certificate })).toMatch(/kafka.*not in the cert/i);
  expect(await read(wrong, { tls: 'enable', unsafeSsl: 'true' })).toMatchObject({ value: 0 });
});

test('without a topic reads all that the group has committed to', async () => {
  const committed = script({ partitions: [{ low: 0, high: 8, committed: 3 }] });
  expect(await read(committed, { topic: undefined })).toMatchObject({ value: 5 });
  expect(await read(script(), { topic: undefined })).toMatchObject({ value: 0, active: false });
});

test('an error of the broker is a failure, not a lag of 0', async () => {
  expect(await read(script({ errors: { metadata: 3 } }))).toMatch(
    /^the kafka trigger cannot be read: This server does not host this topic-partition/,
  );
  expect(await read(script({ errors: { offsetFetch: 30 } }))).toMatch(/^the kafka trigger cannot be read: Not authorized to access group/);
});

test.each([
  [{ bootstrapServers: 'kafka' }, ['bootstrapServers: expected host:port, or several with commas between them']],
  [{ sasl: 'gssapi' }, ['sasl: expected "none" or "plaintext" or "scram_sha256" or "scram_sha512"']],
  [{ sasl: 'plaintext' }, ['usernameFromEnv: sasl plaintext needs it', 'passwordFromEnv: sasl plaintext needs it']],
  [{ passwordFromEnv: 'P' }, ['passwordFromEnv: needs sasl beside it']],
  [{ caFromEnv: 'CA' }, ['caFromEnv: needs tls: enable']],
  [{ tls: 'enable', certFromEnv: 'CERT' }, ['keyFromEnv: certFromEnv and keyFromEnv go together']],
  [{ topic: undefined, limitToPartitionsWithLag: 'true' }, ['topic: limitToPartitionsWithLag needs it']],
  [{ limitToPartitionsWithLag: 'true', allowIdleConsumers: 'true' }, ['allowIdleConsumers: not together with limitToPartitionsWithLag']],
  [{ partitionLimitation: '1-3' }, [': partitionLimitation']],
])('refuses %j', (change, expected) => {
  const { error } = kafka.metadata.safeParse({ bootstrapServers: 'kafka:9092', consumerGroup: 'workers', topic: 'orders', ...change });
  expect(
    error?.issues.map((issue) => `${issue.path.join('.')}: ${issue.code === 'unrecognized_keys' ? issue.keys : issue.message}`),
  ).toEqual(expected);
});
