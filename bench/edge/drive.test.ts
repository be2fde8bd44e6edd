import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { findDriver, readWrk } from './drive.ts';

test('the figures of wrk are read in milliseconds, and what failed is counted', () => {
  const text = `Running 2s test @ http://127.0.0.1:3000/
  1 threads and 32 connections
  Latency Distribution
     50%  920.00us
     75%    1.10ms
     90%    2.00ms
     99%    1.20s
  62636 requests in 2.00s, 10.00MB read
  Socket errors: connect 1, read 2, write 0, timeout 3
  Non-2xx or 3xx responses: 10
Requests/sec:  31318.12
Transfer/sec:      5.00MB
`;
  expect(readWrk(text)).toEqual({ perSecond: 31318.12, p50Ms: 0.92, p99Ms: 1200, failed: 16 });
  expect(readWrk(text.replace(/ {2}(Socket|Non).*\n/g, '')).failed).toBe(0);
});

test('the client at hand counts good answers and those that are none', async () => {
  let asked = 0;
  let connections = 0;
  const server = createServer((_, response) => {
    asked += 1;
    response.statusCode = asked % 10 === 0 ? 500 : 200;
    response.end('ok');
  });
  server.on('connection', () => {
    connections += 1;
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { drive } = await findDriver();
  const target = { address: '127.0.0.1', port: (server.address() as AddressInfo).port, host: 'test', tls: false };
  const kept = await drive(target, { connections: 4, seconds: 1, fresh: false });
  expect(kept.perSecond).toBeGreaterThan(50);
  expect(kept.failed).toBeGreaterThan(kept.perSecond / 20);
  expect(connections).toBeLessThan(10);
  await drive(target, { connections: 4, seconds: 1, fresh: true });
  expect(connections).toBeGreaterThan(50);
  server.close();
});
