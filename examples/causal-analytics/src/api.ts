import { createServer } from 'node:http';
import { WebSocketServer } from 'ws';
import { boot, isHealthy, onStop, readMisbehaviour } from './misbehave.ts';
import { type Answer, createRoutes } from './routes.ts';
import { log, settings } from './settings.ts';

const misbehaviour = readMisbehaviour(process.env);
const closing = new AbortController();
const server = createServer({ keepAliveTimeout: 65_000, requestTimeout: 120_000 });
const sockets = new WebSocketServer({ noServer: true, maxPayload: 1 << 20 });

onStop(misbehaviour.onSigterm, drain);
await boot(misbehaviour);
const startedAt = performance.now();
const routes = createRoutes({
  errorRate: misbehaviour.errorRate,
  isHealthy: () => isHealthy(misbehaviour.health, performance.now() - startedAt),
  closing: closing.signal,
});

server.on('request', async (request, response) => {
  response.setHeader('x-version', settings.version);
  response.setHeader('x-hostname', settings.hostname);
  if (closing.signal.aborted) response.setHeader('connection', 'close');
  const url = new URL(request.url ?? '/', 'http://localhost');
  let answer: Answer | undefined;
  try {
    answer = await routes(request, response, url);
  } catch (error) {
    log('request failed', { method: request.method, path: url.pathname, error: error instanceof Error ? error.message : String(error) });
    answer = { status: 500, json: { error: 'internal error' } };
  }
  if (!answer || response.headersSent) return;
  // A client that waits on the same connection during a drain is told to come back on another.
  if (closing.signal.aborted) response.setHeader('connection', 'close');
  const text = `${JSON.stringify(answer.json)}\n`;
  response.writeHead(answer.status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }).end(text);
});

server.on('upgrade', (request, socket, head) => {
  const { pathname } = new URL(request.url ?? '/', 'http://localhost');
  if (pathname !== '/ws' || closing.signal.aborted) {
    socket.end(
      `HTTP/1.1 ${pathname === '/ws' ? '503 Service Unavailable' : '404 Not Found'}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`,
    );
    return;
  }
  sockets.handleUpgrade(request, socket, head, (client) => {
    client.on('error', () => {});
    client.on('message', (data, binary) => client.send(data, { binary }));
  });
});

server.listen(settings.port, '0.0.0.0', () => log('listening', { port: settings.port, bootMs: Math.round(performance.now()) }));

/** Takes no new connection, lets requests end, says goodbye on streams, and ends what has not ended by the drain time. */
async function drain(): Promise<void> {
  closing.abort();
  for (const client of sockets.clients) client.close(1012, 'service restart');
  if (!server.listening) return;
  const closed = new Promise((resolve) => server.close(resolve));
  server.closeIdleConnections();
  const timer = setTimeout(() => {
    for (const client of sockets.clients) client.terminate();
    server.closeAllConnections();
  }, settings.drainMs);
  await closed;
  clearTimeout(timer);
}
