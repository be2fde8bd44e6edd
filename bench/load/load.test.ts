import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createHttp2Server } from 'node:http2';
import { type AddressInfo, createServer as createTcpServer, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { WebSocketServer } from 'ws';
import { startLoad } from './load.ts';
import type { Kind, LoadOptions, LoadReport } from './model.ts';
import { percentile } from './tally.ts';

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

function listen(server: Server): Promise<number> {
  const sockets = new Set<Socket>();
  const watch = (socket: Socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket)).on('error', () => {});
  };
  server.on('connection', watch);
  closers.push(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port)));
}

const serve = (answer: (request: IncomingMessage, response: ServerResponse) => void) => listen(createServer(answer));

/** Runs one kind of load until the report satisfies `enough`. */
async function loadUntil(
  kind: Kind,
  options: Omit<LoadOptions, 'host' | 'mix'>,
  enough: (report: LoadReport) => boolean,
): Promise<LoadReport> {
  const load = await startLoad({
    host: 'app.test',
    timeoutMs: 2000,
    isolated: false,
    mix: { [kind]: { loops: 1, pauseMs: 5 } },
    ...options,
  });
  const deadline = Date.now() + 8000;
  while (!enough(await load.snapshot()) && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 10));
  return load.stop();
}

const failedTwice = (report: LoadReport) => report.failed >= 2;

function expectOnly(report: LoadReport, kind: Kind, error: string): void {
  expect(Object.keys(report.kinds[kind].errors)).toEqual([error]);
  expect(report.kinds[kind].failed).toBeGreaterThanOrEqual(2);
  expect(report.kinds[kind].ok).toBe(0);
  expect(report.failed).toBe(report.kinds[kind].failed);
  expect(report.failures[0]).toMatchObject({ kind, error });
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

async function refusingPort(): Promise<number> {
  const server = createTcpServer();
  const port = await new Promise<number>((resolve) => server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port)));
  await new Promise((resolve) => server.close(resolve));
  return port;
}

describe.each<Kind>(['keepAliveGet', 'post', 'newConnections', 'slow'])('%s counts as failed', (kind) => {
  test('a reset', async () => {
    const port = await listen(createTcpServer((socket) => socket.once('data', () => socket.resetAndDestroy())));
    expectOnly(await loadUntil(kind, { port }, failedTwice), kind, 'ECONNRESET');
  });

  test('a refused connection', async () => {
    expectOnly(await loadUntil(kind, { port: await refusingPort() }, failedTwice), kind, 'ECONNREFUSED');
  });

  test('a connection closed without an answer', async () => {
    const port = await listen(createTcpServer((socket) => socket.once('data', () => socket.end())));
    expectOnly(await loadUntil(kind, { port }, failedTwice), kind, 'ECONNRESET');
  });

  test('a truncated answer, by length and by chunks', async () => {
    for (const head of ['content-length: 100\r\n\r\nshort', 'transfer-encoding: chunked\r\n\r\n5\r\nshort\r\n']) {
      const port = await listen(createTcpServer((socket) => socket.once('data', () => socket.end(`HTTP/1.1 200 OK\r\n${head}`))));
      expectOnly(await loadUntil(kind, { port }, failedTwice), kind, 'truncated');
    }
  });

  test('a wrong body', async () => {
    const port = await serve((_request, response) => response.end('something else'));
    expectOnly(await loadUntil(kind, { port, expect: { get: '^hello', slow: '^hello' } }, failedTwice), kind, 'wrong body');
  });

  test('an empty body', async () => {
    const port = await serve((_request, response) => response.end());
    expectOnly(await loadUntil(kind, { port }, failedTwice), kind, 'wrong body');
  });

  test('a 502 and a redirect, with the version that said so', async () => {
    for (const status of [502, 302]) {
      const port = await serve((_request, response) => response.writeHead(status, { 'x-version': '7' }).end('no'));
      const report = await loadUntil(kind, { port }, failedTwice);
      expectOnly(report, kind, `status ${status}`);
      expect(report.failures[0]).toMatchObject({ status, version: '7' });
    }
  });

  test('no answer in time, and an answer that stops half way', async () => {
    const silent = await serve(() => {});
    expectOnly(await loadUntil(kind, { port: silent, timeoutMs: 60, slowMs: 0 }, failedTwice), kind, 'timeout');
    const half = await serve((_request, response) => response.write('half'));
    expectOnly(await loadUntil(kind, { port: half, timeoutMs: 60, slowMs: 0 }, failedTwice), kind, 'timeout');
  });
});

test('a POST fails when the echo is another request’s', async () => {
  let previous: Buffer = Buffer.from('nothing yet');
  const port = await serve(async (request, response) => {
    const body = await bodyOf(request);
    response.end(previous);
    previous = body;
  });
  expectOnly(await loadUntil('post', { port }, failedTwice), 'post', 'wrong body');
});

test('good answers: both forms of echo, keep-alive on one connection, a new connection each time', async () => {
  const connections = { keepAliveGet: new Set<Socket>(), newConnections: new Set<Socket>() };
  for (const form of ['echo', 'digest']) {
    const port = await serve(async (request, response) => {
      const body = await bodyOf(request);
      response.end(form === 'echo' ? body : JSON.stringify({ sha256: createHash('sha256').update(body).digest('hex') }));
    });
    const report = await loadUntil('post', { port, postBytes: 20_000 }, (now) => now.ok >= 5);
    expect(report.ok).toBeGreaterThanOrEqual(5);
    expect(report.failures).toEqual([]);
  }
  for (const kind of ['keepAliveGet', 'newConnections'] as const) {
    const port = await serve((request, response) => {
      connections[kind].add(request.socket);
      response.end(request.headers.host);
    });
    const report = await loadUntil(kind, { port, expect: { get: '^app\\.test$' } }, (now) => now.ok >= 5);
    expect(report.failures).toEqual([]);
    expect(report.kinds[kind].p50Ms).toBeLessThanOrEqual(report.kinds[kind].maxMs);
    expect(report.kinds[kind].p50Ms).toBeGreaterThan(0);
    expect(connections[kind].size).toBe(kind === 'keepAliveGet' ? 1 : report.ok);
  }
});

describe('http2', () => {
  test('good answers over one connection, and a new one after GOAWAY', async () => {
    const server = createHttp2Server();
    let sessions = 0;
    let answers = 0;
    server.on('session', () => {
      sessions += 1;
    });
    server.on('stream', (stream) => {
      answers += 1;
      // Before the answer, so that no request of the loop is on its way when the client reads it.
      if (answers === 10) stream.session?.goaway(0, 2 ** 31 - 1);
      stream.respond({ ':status': 200, 'x-version': '2' });
      stream.end('hello');
    });
    const report = await loadUntil('http2', { port: await listen(server) }, (now) => now.ok >= 30 && sessions === 2);
    expect(report.failures).toEqual([]);
    expect(sessions).toBe(2);
    expect(report.versions['2']?.answers).toBe(report.ok);
  });

  test.each([
    ['a reset stream before the answer', (stream: import('node:http2').ServerHttp2Stream) => stream.close(2), /./],
    ['a broken connection', (stream: import('node:http2').ServerHttp2Stream) => stream.session?.destroy(), /./],
    [
      'a 503',
      (stream: import('node:http2').ServerHttp2Stream) => {
        stream.respond({ ':status': 503 });
        stream.end('no');
      },
      /^status 503$/,
    ],
    ['no answer in time', () => {}, /^timeout$/],
  ])('%s counts as failed', async (_name, answer, error) => {
    const server = createHttp2Server();
    server.on('sessionError', () => {});
    server.on('stream', (stream) => {
      stream.on('error', () => {});
      answer(stream);
    });
    const report = await loadUntil('http2', { port: await listen(server), timeoutMs: 300 }, failedTwice);
    expect(report.ok).toBe(0);
    expect(report.failed).toBeGreaterThanOrEqual(2);
    for (const reason of Object.keys(report.kinds.http2.errors)) expect(reason).toMatch(error);
  });

  // Frame by frame, because a server library ends a stream in order before it resets it.
  test.each([0, 2])('a stream reset with code %i within the answer counts as failed', async (code) => {
    const frame = (type: number, flags: number, stream: number, payload: Buffer) => {
      const head = Buffer.alloc(9);
      head.writeUIntBE(payload.length, 0, 3);
      head.writeUInt8(type, 3);
      head.writeUInt8(flags, 4);
      head.writeUInt32BE(stream, 5);
      return Buffer.concat([head, payload]);
    };
    const PREFACE = 24;
    const server = createTcpServer((socket) => {
      let rest = Buffer.alloc(0);
      let skip = PREFACE;
      socket.write(frame(4, 0, 0, Buffer.alloc(0)));
      socket.on('data', (chunk: Buffer) => {
        rest = Buffer.concat([rest, chunk]);
        const ready = rest.subarray(Math.min(skip, rest.length));
        let offset = 0;
        while (offset + 9 <= ready.length && offset + 9 + ready.readUIntBE(offset, 3) <= ready.length) {
          const [type, flags, stream] = [ready[offset + 3], ready[offset + 4] ?? 0, ready.readUInt32BE(offset + 5)];
          if (type === 4 && !(flags & 1)) socket.write(frame(4, 1, 0, Buffer.alloc(0)));
          if (type === 1) {
            // HPACK: ':status: 200', then 'content-length: 9' without indexing.
            const headers = Buffer.from([0x88, 0x0f, 0x0d, 1, 0x39]);
            const reset = Buffer.from([0, 0, 0, code]);
            socket.write(Buffer.concat([frame(1, 4, stream, headers), frame(0, 0, stream, Buffer.from('half'))]));
            setTimeout(() => socket.write(frame(3, 0, stream, reset)), 20);
          }
          offset += 9 + ready.readUIntBE(offset, 3);
        }
        rest = ready.subarray(offset);
        skip = 0;
      });
    });
    expectOnly(await loadUntil('http2', { port: await listen(server), timeoutMs: 500 }, failedTwice), 'http2', 'truncated');
  });

  test('a refused connection counts as failed', async () => {
    expectOnly(await loadUntil('http2', { port: await refusingPort() }, failedTwice), 'http2', 'ECONNREFUSED');
  });
});

describe('event streams', () => {
  const stream = (then: (response: ServerResponse) => void) =>
    serve((_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream', 'x-version': '3' });
      response.write('data: hello\n\n');
      setTimeout(() => then(response), 20);
    });
  const endedTwice = (report: LoadReport) => report.streams.clean + report.streams.cut >= 2;

  test('a goodbye is a clean end, even when the connection then breaks', async () => {
    for (const end of [
      (response: ServerResponse) => response.end(),
      (response: ServerResponse) => setTimeout(() => response.socket?.resetAndDestroy(), 20),
    ]) {
      const port = await stream((response) => {
        response.write('event: bye\ndata: {}\n\n');
        end(response);
      });
      const report = await loadUntil('sse', { port }, endedTwice);
      expect(report.streams).toMatchObject({ cut: 0 });
      expect(report.streams.sse.clean).toBeGreaterThanOrEqual(2);
      expect(report.failures).toEqual([]);
      expect(report.versions['3']?.answers).toBe(report.streams.opened);
    }
  });

  test.each([
    ['an end without goodbye', (response: ServerResponse) => void response.end(), 'cut: ended without bye'],
    ['a reset', (response: ServerResponse) => void response.socket?.resetAndDestroy(), 'cut: ECONNRESET'],
    ['silence', () => {}, 'cut: silent'],
  ])('%s is a cut', async (_name, end, error) => {
    const report = await loadUntil('sse', { port: await stream(end), silenceMs: 100 }, endedTwice);
    expect(report.streams.sse.cut).toBeGreaterThanOrEqual(2);
    expect(report.streams.clean).toBe(0);
    expect(report.failures[0]).toMatchObject({ kind: 'sse', error, version: '3' });
  });

  test('one that does not open has failed', async () => {
    const port = await serve((_request, response) => response.writeHead(503).end());
    expectOnly(await loadUntil('sse', { port }, failedTwice), 'sse', 'status 503');
    expectOnly(await loadUntil('sse', { port: await serve(() => {}), timeoutMs: 60 }, failedTwice), 'sse', 'timeout');
    expectOnly(await loadUntil('sse', { port: await refusingPort() }, failedTwice), 'sse', 'ECONNREFUSED');
  });

  test('one that the client leaves when it stops is neither', async () => {
    const report = await loadUntil('sse', { port: await stream(() => {}) }, (now) => now.streams.opened === 1);
    expect(report.streams).toMatchObject({ opened: 1, clean: 0, cut: 0 });
    expect(report.failed).toBe(0);
  });
});

describe('WebSockets', () => {
  async function accept(then: (socket: import('ws').WebSocket, raw: Socket) => void): Promise<number> {
    const server = createServer();
    const sockets = new WebSocketServer({ server });
    sockets.on('connection', (socket, request) => {
      setTimeout(() => then(socket, request.socket), 20);
    });
    return listen(server);
  }
  const endedTwice = (report: LoadReport) => report.streams.clean + report.streams.cut >= 2;

  test('going away and service restart are clean ends', async () => {
    for (const code of [1001, 1012]) {
      const report = await loadUntil('webSockets', { port: await accept((socket) => socket.close(code)) }, endedTwice);
      expect(report.streams.webSockets.clean).toBeGreaterThanOrEqual(2);
      expect(report.streams.cut).toBe(0);
      expect(report.failures).toEqual([]);
    }
  });

  test.each([
    ['a reset', (_socket: import('ws').WebSocket, raw: Socket) => void raw.resetAndDestroy(), /^cut: (ECONNRESET|close 1006)$/],
    ['an end without a close frame', (_socket: import('ws').WebSocket, raw: Socket) => void raw.end(), /^cut: close 1006$/],
    ['an error code', (socket: import('ws').WebSocket) => socket.close(1011), /^cut: close 1011$/],
    ['a peer that no longer answers', (_socket: import('ws').WebSocket, raw: Socket) => void raw.pause(), /^cut: silent$/],
  ])('%s is a cut', async (_name, end, error) => {
    const report = await loadUntil('webSockets', { port: await accept(end), silenceMs: 150 }, endedTwice);
    expect(report.streams.webSockets.cut).toBeGreaterThanOrEqual(2);
    expect(report.streams.clean).toBe(0);
    expect(report.failures[0]?.error).toMatch(error);
  });

  test('an idle peer that answers pings stays', async () => {
    const load = await startLoad({
      port: await accept(() => {}),
      host: 'app.test',
      mix: { webSockets: 1 },
      silenceMs: 150,
      isolated: false,
    });
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect((await load.stop()).streams).toMatchObject({ opened: 1, clean: 0, cut: 0 });
  });

  test('one that does not open has failed', async () => {
    const port = await serve((_request, response) => response.writeHead(502).end());
    const refused = createServer().on('upgrade', (_request, socket) => socket.end('HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n'));
    expectOnly(await loadUntil('webSockets', { port: await listen(refused) }, failedTwice), 'webSockets', 'status 502');
    expectOnly(await loadUntil('webSockets', { port }, failedTwice), 'webSockets', 'status 502');
    expectOnly(await loadUntil('webSockets', { port: await refusingPort() }, failedTwice), 'webSockets', 'ECONNREFUSED');
    const silent = createServer().on('upgrade', () => {});
    expectOnly(await loadUntil('webSockets', { port: await listen(silent), timeoutMs: 60 }, failedTwice), 'webSockets', 'timeout');
  });
});

test('in a process of its own: versions in order, failures counted while the caller is busy', async () => {
  let version = '1';
  const port = await serve((_request, response) => response.setHeader('x-version', version).end(`version ${version}`));
  const load = await startLoad({ port, host: 'app.test', mix: { keepAliveGet: { loops: 2, pauseMs: 10 } }, timeoutMs: 1500 });
  const first = await load.waitForVersion('1', 5000);
  version = '2';
  const second = await load.waitForVersion('2', 5000);
  expect(second).toBeGreaterThanOrEqual(first);
  await expect(load.waitForVersion('3', 50)).rejects.toThrow('version 3 did not answer within 50 ms; seen: 1, 2');
  // The server lives in this process: blocking it for longer than the time limit must fail the requests in flight.
  const until = Date.now() + 2000;
  while (Date.now() < until);
  const report = await load.stop();
  expect(report.kinds.keepAliveGet.errors).toEqual({ timeout: 2 });
  expect(report.clientDelayMaxMs).toBeLessThan(1500);
  expect(report.versions['1']?.firstAt).toBe(first);
  expect(await load.stop()).toEqual(report);
});

test('percentiles are nearest rank', () => {
  const hundred = Array.from({ length: 100 }, (_, index) => index + 1);
  expect([percentile(hundred, 0.5), percentile(hundred, 0.99), percentile([], 0.5), percentile([7], 0.99)]).toEqual([50, 99, 0, 7]);
});
