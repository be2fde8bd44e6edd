import { createServer, type Server } from 'node:http';
import { expect, test } from 'vitest';
import { triggerContract } from './contract.ts';
import { metricsApi, metricsApiValue } from './metrics-api.ts';

const KEY = 's3cret of the api';
let waiting = 0;

/** An endpoint as a user has it: JSON, behind a key. */
async function listen(): Promise<Server> {
  const server = createServer((request, response) => {
    const allowed = request.headers['x-token'] === KEY && request.headers.host === 'api:8000';
    response
      .writeHead(allowed ? 200 : 401)
      .end(allowed ? JSON.stringify({ queue: { waiting } }) : `unknown key ${request.headers['x-token']}`);
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return server;
}

triggerContract({
  type: metricsApi,
  server: true,
  credentials: true,
  async start() {
    let server = await listen();
    const port = () => (server.address() as { port: number }).port;
    let listening = port();
    return {
      metadata: {
        url: 'http://api:8000/metrics.json',
        valueLocation: 'queue.waiting',
        targetValue: 5,
        authMode: 'apiKey',
        apiKeyFromEnv: 'API_TOKEN',
        keyParamName: 'X-Token',
      },
      environment: { API_TOKEN: KEY },
      async hold(value) {
        waiting = value;
      },
      server: {
        address: () => ({ host: '127.0.0.1', port: listening }),
        stop: () => new Promise((done) => server.close(() => done())),
        async restart() {
          const before = listening;
          server = await listen();
          listening = port();
          if (listening === before) throw new Error('the system gave out the same port again');
        },
        refused: { environment: { API_TOKEN: 'not the key' }, secret: 'not the key' },
      },
      remove: () => new Promise((done) => server.close(() => done())),
    };
  },
});

test.each([
  [{ authMode: 'bearer', bearerTokenFromEnv: 'T' }, { authorization: 'Bearer t0ken' }, '/'],
  [{ authMode: 'basic', usernameFromEnv: 'U', passwordFromEnv: 'P' }, { authorization: `Basic ${btoa('me:pa:ss')}` }, '/'],
  [{ authMode: 'apiKey', apiKeyFromEnv: 'T' }, { 'x-api-key': 't0ken' }, '/'],
  [{ authMode: 'apiKey', apiKeyFromEnv: 'T', method: 'query' }, {}, '/?api_key=t0ken'],
  [{ authModes: 'apiKey', apiKeyFromEnv: 'T', method: 'query', keyParamName: 'k' }, {}, '/?k=t0ken'],
])('%j', async (auth, headers, path) => {
  const seen: unknown[] = [];
  const server = createServer((request, response) => {
    seen.push([request.url, request.headers]);
    response.end('{"n": 1}');
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address() as { port: number };
  const metadata = metricsApi.metadata.parse({ url: 'http://api', valueLocation: 'n', targetValue: 1, ...auth });
  const environment = { T: 't0ken', U: 'me', P: 'pa:ss' };
  const trigger = metricsApi.open(metadata, {
    environment,
    resolve: async () => ({ host: '127.0.0.1', port }),
    exec: async () => ({ code: 1, output: '' }),
    usage: async () => [],
    now: Date.now,
  });
  expect(await trigger.read()).toEqual({ value: 1 });
  expect(seen).toEqual([[path, expect.objectContaining(headers)]]);
  server.close();
});

test.each([
  ['json', '{"a": {"b": 3}}', 'a.b', 3],
  ['yaml', 'a:\n  b: 3\n  c: 2Ki\n', 'a.c', 2048],
  ['prometheus', 'a_b{c="d"} 3\n', 'a_b{c="d"}', 3],
] as const)('reads %s', async (format, body, valueLocation, expected) => {
  expect(await metricsApiValue(body, { format, valueLocation })).toBe(expected);
});

const refused = (change: object) =>
  metricsApi.metadata
    .safeParse({ url: 'http://api', valueLocation: 'n', targetValue: 1, ...change })
    .error?.issues.map((issue) => `${issue.path.join('.')}: ${issue.code === 'unrecognized_keys' ? issue.keys : issue.message}`);

test.each([
  [{ format: 'xml' }, ['format: expected "json", "yaml" or "prometheus" (KEDA\'s "xml" is not supported)']],
  [{ aggregateFromKubeServiceEndpoints: 'true' }, [': aggregateFromKubeServiceEndpoints']],
  [{ apiKey: 'abc' }, [': apiKey']],
  [{ url: 'ftp://api' }, ['url: expected an address that begins with http:// or https://']],
  [{ targetValue: '0' }, ['targetValue: expected a number above 0']],
  [{ authMode: 'tls' }, ['authMode: expected "basic" or "bearer" or "apiKey"']],
  [{ authMode: 'basic' }, ['authMode: basic needs usernameFromEnv']],
  [{ bearerTokenFromEnv: 'T' }, ['bearerTokenFromEnv: needs authMode beside it']],
  [{ authMode: 'bearer', bearerTokenFromEnv: 'T', passwordFromEnv: 'P' }, ['passwordFromEnv: authMode bearer does not use it']],
  [{ valueLocation: 'a.#.b' }, ['valueLocation: "#" is not supported: names, indices and a last # are']],
])('refuses %j', (change, expected) => expect(refused(change)).toEqual(expected));
