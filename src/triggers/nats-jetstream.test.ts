import { createServer } from 'node:http';
import { expect, test } from 'vitest';
import type { TriggerContext } from './model.ts';
import { natsJetstream } from './nats-jetstream.ts';

const metadata = natsJetstream.metadata.parse({
  natsServerMonitoringEndpoint: 'nats-1:8222',
  account: '$G',
  stream: 'ORDERS',
  consumer: 'workers',
});

/** A cluster of three, each with the counts that it believes in. */
async function read(leader: string, reached: string[]): Promise<unknown> {
  const counts: Record<string, number> = { 'nats-1': 0, 'nats-2': 7, 'nats-3': 0 };
  const server = createServer((request, response) => {
    const name = request.headers.host?.split(':')[0] ?? '';
    const consumer = { name: 'workers', num_pending: counts[name], num_ack_pending: 0, cluster: { leader } };
    const account = { id: '$G', name: '$G', stream_detail: [{ name: 'ORDERS', consumer_detail: [consumer] }] };
    response.end(
      JSON.stringify(request.url === '/varz' ? { server_name: name } : { meta_cluster: { cluster_size: 3 }, account_details: [account] }),
    );
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address() as { port: number };
  const resolve = async (host: string) => {
    if (!reached.includes(host)) throw new Error(`getaddrinfo ENOTFOUND ${host}`);
    return { host: '127.0.0.1', port };
  };
  try {
    return (await natsJetstream.open(metadata, { environment: {}, resolve } as unknown as TriggerContext).read()).value;
  } catch (error) {
    return (error as Error).message;
  } finally {
    server.close();
  }
}

test('in a cluster the leader of the consumer is asked, or the reading fails', async () => {
  expect(await read('nats-1', ['nats-1'])).toBe(0);
  expect(await read('nats-2', ['nats-1', 'nats-2'])).toBe(7);
  expect(await read('nats-2', ['nats-1'])).toBe(
    'the nats-jetstream trigger cannot be read: the consumer is led by the server nats-2, which is not reached under that name: getaddrinfo ENOTFOUND nats-2',
  );
});

test.each([
  [{ account: undefined }, ['account: account or accountID has to be given']],
  [{ natsServerMonitoringEndpoint: 'http://nats:8222' }, ['natsServerMonitoringEndpoint: expected host:port, without a scheme']],
  [{ lagThreshold: '0' }, ['lagThreshold: expected a number above 0']],
])('refuses %j', (change, expected) => {
  const { error } = natsJetstream.metadata.safeParse({
    natsServerMonitoringEndpoint: 'n:1',
    account: 'A',
    stream: 'S',
    consumer: 'C',
    ...change,
  });
  expect(error?.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`)).toEqual(expected);
});
