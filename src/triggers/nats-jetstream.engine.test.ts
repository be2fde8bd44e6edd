import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../../test/support/eventually.ts';
import { natsRequest } from '../../test/support/nats.ts';
import { openServers, type Server, type Servers } from '../../test/support/servers.ts';
import { triggerContract } from './contract.ts';
import type { TriggerContext } from './model.ts';
import { natsJetstream } from './nats-jetstream.ts';

const metadata = { natsServerMonitoringEndpoint: 'nats:8222', account: '$G', stream: 'ORDERS', consumer: 'workers', lagThreshold: 5 };

let servers: Servers;
let server: Server;
beforeAll(async () => {
  servers = await openServers('nats');
  server = await servers.start({ image: 'nats:2-alpine', port: 8222, command: ['--config', '/etc/nats/nats-server.conf', '--jetstream'] });
  await ready(server);
});
afterAll(() => servers?.remove());

/** A stream of its own with one durable consumer, by JetStream's API over the client port. */
async function ready(server: Server): Promise<void> {
  const api = async (subject: string, body: unknown) => {
    const answer = await natsRequest(await server.ip(), `$JS.API.${subject}`, body);
    if (answer.error) throw new Error(JSON.stringify(answer.error));
  };
  await eventually(() => api('STREAM.CREATE.ORDERS', { name: 'ORDERS', subjects: ['orders'], storage: 'memory' }), { timeoutMs: 20_000 });
  await api('CONSUMER.DURABLE.CREATE.ORDERS.workers', {
    stream_name: 'ORDERS',
    config: { durable_name: 'workers', ack_policy: 'explicit' },
  });
}

/** Done once JetStream itself counts the messages: the consumer hears of them a moment after the stream. */
async function hold(server: Server, value: number): Promise<void> {
  const ip = await server.ip();
  await natsRequest(ip, '$JS.API.STREAM.PURGE.ORDERS', {});
  for (let index = 0; index < value; index++) await natsRequest(ip, 'orders', { index });
  await eventually(async () => {
    expect(await natsRequest(ip, '$JS.API.CONSUMER.INFO.ORDERS.workers', {})).toMatchObject({ num_pending: value, num_ack_pending: 0 });
  });
}

triggerContract({
  type: natsJetstream,
  server: true,
  credentials: false,
  async start() {
    return {
      metadata,
      hold: (value) => hold(server, value),
      server: {
        address: server.address,
        stop: server.stop,
        async restart() {
          await server.restart();
          await ready(server);
        },
      },
      remove: async () => {},
    };
  },
});

describe('a nats-jetstream trigger', () => {
  const open = (change: object = {}) =>
    natsJetstream.open(natsJetstream.metadata.parse({ ...metadata, ...change }), {
      environment: {},
      resolve: async () => server.address(),
    } as unknown as TriggerContext);

  test('tells what waits from what a worker has and did not acknowledge yet', async () => {
    await hold(server, 5);
    await natsRequest(await server.ip(), '$JS.API.CONSUMER.MSG.NEXT.ORDERS.workers', { batch: 1 });
    expect(await open().read()).toEqual({ value: 5, queue: { waiting: 4, active: 1 } });
  });

  test.each([
    [{ account: 'nobody' }, /there is no account nobody/],
    [{ stream: 'NOTHING' }, /there is no stream NOTHING/],
    [{ consumer: 'nobody' }, /the stream ORDERS has no consumer nobody/],
  ])('%j is a failure, not a lag of 0', async (change, message) => {
    await expect(open(change).read()).rejects.toThrow(message);
  });
});
