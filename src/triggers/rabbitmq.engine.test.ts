import amqplib, { type ChannelModel } from 'amqplib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../../test/support/eventually.ts';
import { openServers, type Server, type Servers } from '../../test/support/servers.ts';
import { triggerContract } from './contract.ts';
import type { Reading, TriggerContext } from './model.ts';
import { rabbitmq } from './rabbitmq.ts';

const USER = 'shop';
const PASSWORD = 's3cret@rabbit:5672/';
const VHOST = 'shop/live';
const environment = {
  RABBITMQ_USER: USER,
  RABBITMQ_PASSWORD: PASSWORD,
  AMQP_URL: `amqp://${USER}:${encodeURIComponent(PASSWORD)}@rabbitmq:5672/${encodeURIComponent(VHOST)}`,
};

/** The published port is the one that the contract asks at; tests reach the others by the container's own address. */
function startServer(servers: Servers, port: number): Promise<Server> {
  return servers.start({
    image: 'rabbitmq:4-management-alpine',
    port,
    environment: { RABBITMQ_DEFAULT_USER: USER, RABBITMQ_DEFAULT_PASS: PASSWORD, RABBITMQ_DEFAULT_VHOST: VHOST },
    flags: ['--hostname', 'rabbit'],
  });
}

async function connected(server: Server): Promise<ChannelModel> {
  const where = { hostname: await server.ip(), username: USER, password: PASSWORD, vhost: encodeURIComponent(VHOST) };
  return eventually(() => amqplib.connect(where), { timeoutMs: 60_000, everyMs: 500 });
}

async function within<T>(server: Server, action: (connection: ChannelModel) => Promise<T>): Promise<T> {
  const connection = await connected(server);
  try {
    return await action(connection);
  } finally {
    await connection.close();
  }
}

const fill = (server: Server, queue: string, value: number) =>
  within(server, async (connection) => {
    const channel = await connection.createConfirmChannel();
    await channel.assertQueue(queue);
    await channel.purgeQueue(queue);
    for (let index = 0; index < value; index++) channel.sendToQueue(queue, Buffer.from(String(index)));
    await channel.waitForConfirms();
  });

/** What the management API counts; its statistics come every 5 s. */
async function counts(server: Server, queue: string): Promise<{ messages_ready?: number; messages_unacknowledged?: number }> {
  const response = await fetch(`http://${await server.ip()}:15672/api/queues/${encodeURIComponent(VHOST)}/${queue}`, {
    headers: { Authorization: `Basic ${Buffer.from(`${USER}:${PASSWORD}`).toString('base64')}` },
  });
  return (await response.json()) as object;
}

const counted = (server: Server, queue: string, ready: number, unacknowledged = 0) =>
  eventually(
    async () => expect(await counts(server, queue)).toMatchObject({ messages_ready: ready, messages_unacknowledged: unacknowledged }),
    { timeoutMs: 30_000, everyMs: 300 },
  );

let servers: Servers;
let server: Server;
beforeAll(async () => {
  servers = await openServers('rabbit');
  server = await startServer(servers, 15672);
  await fill(server, 'jobs.a', 0);
});
afterAll(() => servers?.remove());

function contract(protocol: 'amqp' | 'http', metadata: Record<string, unknown>, broker: () => Promise<Server>): void {
  triggerContract({
    title: `rabbitmq (${protocol})`,
    type: rabbitmq,
    server: true,
    credentials: true,
    async start() {
      const server = await broker();
      const hold = async (value: number) => {
        await fill(server, 'mail', value);
        if (protocol === 'http') await counted(server, 'mail', value);
      };
      await hold(0);
      return {
        metadata: { queueName: 'mail', value: 5, ...metadata },
        environment,
        hold,
        server: {
          address: server.address,
          stop: server.stop,
          async restart() {
            await server.restart();
            await fill(server, 'mail', 0);
          },
          refused: { environment: { RABBITMQ_PASSWORD: 'not the password' }, secret: 'not the password' },
        },
        remove: async () => {},
      };
    },
  });
}

contract('amqp', { hostFromEnv: 'AMQP_URL', usernameFromEnv: 'RABBITMQ_USER', passwordFromEnv: 'RABBITMQ_PASSWORD' }, () =>
  startServer(servers, 5672),
);
contract(
  'http',
  { host: `http://rabbitmq:15672/`, vhostName: VHOST, usernameFromEnv: 'RABBITMQ_USER', passwordFromEnv: 'RABBITMQ_PASSWORD' },
  async () => server,
);

describe('a rabbitmq trigger', () => {
  async function read(metadata: Record<string, unknown>): Promise<Reading> {
    const host = metadata.amqp ? 'hostFromEnv' : 'host';
    const context = {
      environment,
      resolve: async (_: string, port: number) => ({ host: await server.ip(), port }),
    } as unknown as TriggerContext;
    const { amqp, ...rest } = metadata;
    const address = amqp ? 'AMQP_URL' : `http://${USER}:${encodeURIComponent(PASSWORD)}@rabbitmq:15672/${encodeURIComponent(VHOST)}`;
    const trigger = rabbitmq.open(rabbitmq.metadata.parse({ [host]: address, value: 5, ...rest }), context);
    return trigger.read().finally(() => trigger.close());
  }

  test('tells what waits, what runs and what is only held, by the prefetch of the consumers', async () => {
    await fill(server, 'jobs.a', 6);
    await within(server, async (connection) => {
      const channel = await connection.createChannel();
      await channel.prefetch(1);
      await channel.consume('jobs.a', () => {});
      await counted(server, 'jobs.a', 5, 1);
      expect(await read({ queueName: 'jobs.a' })).toEqual({ value: 6, queue: { waiting: 5, active: 1, held: 0 } });
      const more = await connection.createChannel();
      await more.prefetch(3);
      await more.consume('jobs.a', () => {});
      await counted(server, 'jobs.a', 2, 4);
      expect(await read({ queueName: 'jobs.a' })).toEqual({ value: 6, queue: { waiting: 2, active: 2, held: 2 } });
      expect(await read({ queueName: 'jobs.a', excludeUnacknowledged: true })).toMatchObject({ value: 2 });
      expect(await read({ queueName: 'jobs.a', amqp: true })).toEqual({ value: 2, queue: { waiting: 2 } });
    });
  });

  test('adds up the queues that an expression matches', async () => {
    await fill(server, 'batch.a', 2);
    await fill(server, 'batch.b', 5);
    await counted(server, 'batch.a', 2);
    await counted(server, 'batch.b', 5);
    const all = { queueName: '^batch\\.', useRegex: true };
    expect(await read(all)).toMatchObject({ value: 7, queue: { waiting: 7 } });
    expect(await read({ ...all, operation: 'max' })).toMatchObject({ value: 5, queue: { waiting: 7 } });
    expect(await read({ ...all, operation: 'avg' })).toMatchObject({ value: 3.5 });
    await expect(read({ ...all, pageSize: 1 })).rejects.toThrow(/more queues than pageSize/);
  });

  test('reads rates, and that there is something to do while messages wait without any', async () => {
    await fill(server, 'rates', 4);
    await counted(server, 'rates', 4);
    const published = await eventually(async () => {
      const reading = await read({ queueName: 'rates', mode: 'MessageRate' });
      expect(reading.active).toBe(true);
      return reading;
    });
    expect(published.value).toBeGreaterThanOrEqual(0);
    expect(await read({ queueName: 'rates', mode: 'ExpectedQueueConsumptionTime' })).toEqual({ value: 0, active: true });
  });

  test('a queue that is not there is a failure, not an empty one', async () => {
    await expect(read({ queueName: 'nowhere' })).rejects.toThrow(/answers 404/);
    await expect(read({ queueName: 'nowhere', amqp: true })).rejects.toThrow(/no queue 'nowhere'/);
  });
});
