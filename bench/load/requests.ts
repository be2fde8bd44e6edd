import { createHash, randomBytes } from 'node:crypto';
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage, type RequestOptions } from 'node:http';
import { type ClientHttp2Session, connect as connectHttp2, constants } from 'node:http2';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { type Settings, versionOf } from './settings.ts';
import type { Failed } from './tally.ts';

export type Outcome = { ok: true; version: string | undefined } | ({ ok: false } & Failed);

/** One worker of a kind: sends one request at a time over its own connection. */
export interface Requester {
  send(): Promise<Outcome>;
  close(): void;
}

export function openGet(settings: Settings): Requester {
  const agent = ownAgent(settings);
  return {
    send: () =>
      http1(settings, { path: settings.paths.get, agent }, settings.timeoutMs, (body) => settings.expect.get.test(body.toString())),
    close: () => agent.destroy(),
  };
}

/** A new connection for every request. */
export function openNewConnections(settings: Settings): Requester {
  return {
    send: () =>
      http1(settings, { path: settings.paths.get, agent: false }, settings.timeoutMs, (body) => settings.expect.get.test(body.toString())),
    close: () => {},
  };
}

export function openSlow(settings: Settings): Requester {
  const agent = ownAgent(settings);
  const limit = settings.slowMs + settings.timeoutMs;
  return {
    send: () => http1(settings, { path: settings.paths.slow, agent }, limit, (body) => settings.expect.slow.test(body.toString())),
    close: () => agent.destroy(),
  };
}

export function openPost(settings: Settings): Requester {
  const agent = ownAgent(settings);
  const payload = randomBytes(settings.postBytes);
  let count = 0;
  return {
    send() {
      // Each body differs, so that an answer to another request is never taken for this one's.
      if (payload.length >= 4) payload.writeUInt32BE(count++ >>> 0);
      const digest = createHash('sha256').update(payload).digest('hex');
      const headers = { 'content-type': 'application/octet-stream', 'content-length': payload.length };
      return http1(
        settings,
        { method: 'POST', path: settings.paths.post, headers, agent },
        settings.timeoutMs,
        (body) => isEchoOf(digest, body),
        Buffer.from(payload),
      );
    },
    close: () => agent.destroy(),
  };
}

function isEchoOf(digest: string, body: Buffer): boolean {
  return createHash('sha256').update(body).digest('hex') === digest || body.includes(digest);
}

function ownAgent(settings: Settings): HttpAgent {
  const options = { keepAlive: true, maxSockets: 1, scheduling: 'lifo' as const };
  return settings.tls ? new HttpsAgent(options) : new HttpAgent(options);
}

/** What node:http and node:https need to reach the server, whatever the request is. */
export function target(settings: Settings): RequestOptions & { servername?: string; ca?: string } {
  return {
    host: settings.address,
    port: settings.port,
    ...(settings.tls ? { servername: settings.servername, ...(settings.tls.ca ? { ca: settings.tls.ca } : {}) } : {}),
  };
}

export function sendHttp1(settings: Settings, options: RequestOptions) {
  const merged = {
    ...target(settings),
    ...options,
    headers: { host: settings.host, ...(options.headers as Record<string, string | number>) },
  };
  return settings.tls ? httpsRequest(merged) : httpRequest(merged);
}

function http1(
  settings: Settings,
  options: RequestOptions,
  timeoutMs: number,
  isRight: (body: Buffer) => boolean,
  payload?: Buffer,
): Promise<Outcome> {
  return new Promise((resolve) => {
    const request = sendHttp1(settings, options);
    let response: IncomingMessage | undefined;
    const fail = (error: string) => {
      clearTimeout(timer);
      request.destroy();
      const version = response ? versionOf(settings, response.headers, '') : undefined;
      resolve({ ok: false, error, status: response?.statusCode, reused: request.reusedSocket, version });
    };
    const timer = setTimeout(() => fail('timeout'), timeoutMs);
    request.on('error', (error) => fail(response ? 'truncated' : errorName(error)));
    request.on('response', (answer) => {
      response = answer;
      const chunks: Buffer[] = [];
      answer.on('data', (chunk: Buffer) => chunks.push(chunk));
      answer.on('error', () => fail('truncated'));
      answer.on('end', () => {
        if (!answer.complete) return fail('truncated');
        clearTimeout(timer);
        const body = Buffer.concat(chunks);
        resolve(judge(settings, answer.statusCode ?? 0, answer.headers, body, isRight, request.reusedSocket));
      });
    });
    request.end(payload);
  });
}

function judge(
  settings: Settings,
  status: number,
  headers: Record<string, unknown>,
  body: Buffer,
  isRight: (body: Buffer) => boolean,
  reused: boolean,
): Outcome {
  const version = versionOf(settings, headers, body.toString());
  if (status < 200 || status > 299) return { ok: false, error: `status ${status}`, status, reused, version };
  if (!isRight(body)) return { ok: false, error: 'wrong body', status, reused, version };
  return { ok: true, version };
}

/** GETs over one HTTP/2 connection: ALPN with TLS, prior knowledge without. A connection that the server retires is replaced for the next request. */
export function openHttp2(settings: Settings): Requester {
  let session: ClientHttp2Session | undefined;
  let served = 0;

  function live(): ClientHttp2Session {
    if (session && !session.closed && !session.destroyed) return session;
    served = 0;
    const scheme = settings.tls ? 'https' : 'http';
    session = connectHttp2(`${scheme}://${settings.address}:${settings.port}`, {
      servername: settings.servername,
      ...(settings.tls?.ca ? { ca: settings.tls.ca } : {}),
    });
    // A broken connection also fails the stream on it, where it is counted.
    session.on('error', () => {});
    return session;
  }

  return {
    send: () =>
      new Promise((resolve) => {
        const connection = live();
        const reused = served > 0;
        const stream = connection.request({ ':path': settings.paths.get, ':authority': settings.host });
        let headers: Record<string, unknown> | undefined;
        let settled = false;
        const chunks: Buffer[] = [];
        const settleAs = (outcome: Outcome) => {
          if (settled) return;
          settled = true;
          clearTimeout(timer);
          resolve(outcome);
        };
        const fail = (error: string) => {
          const status = headers?.[':status'] as number | undefined;
          settleAs({ ok: false, error, status, reused, version: headers && versionOf(settings, headers, '') });
          stream.close(constants.NGHTTP2_CANCEL);
        };
        const timer = setTimeout(() => fail('timeout'), settings.timeoutMs);
        stream.on('response', (answer) => {
          headers = answer;
        });
        stream.on('data', (chunk: Buffer) => chunks.push(chunk));
        stream.on('error', (error) => fail(headers ? 'truncated' : (causeOf(error) ?? RESETS[stream.rstCode ?? 0] ?? errorName(error))));
        stream.on('end', () => {
          // A reset after the headers also ends the stream; 'close' has the code by which the two differ.
          stream.once('close', () => {
            if (!headers) return fail('no answer');
            const body = Buffer.concat(chunks);
            // A reset without an error code looks like an end in order; the announced length tells.
            const announced = Number(headers['content-length'] ?? body.length);
            if (stream.rstCode !== constants.NGHTTP2_NO_ERROR || announced !== body.length) return fail('truncated');
            served += 1;
            const isRight = (body: Buffer) => settings.expect.get.test(body.toString());
            settleAs(judge(settings, Number(headers[':status']), headers, body, isRight, reused));
          });
        });
        stream.on('close', () => setImmediate(() => fail('no answer')));
        stream.end();
      }),
    close: () => session?.destroy(),
  };
}

/** Error codes of RST_STREAM, RFC 9113 section 7. */
const RESETS = [
  undefined,
  'PROTOCOL_ERROR',
  'INTERNAL_ERROR',
  'FLOW_CONTROL_ERROR',
  'SETTINGS_TIMEOUT',
  'STREAM_CLOSED',
  'FRAME_SIZE_ERROR',
  'REFUSED_STREAM',
  'CANCEL',
  'COMPRESSION_ERROR',
  'CONNECT_ERROR',
  'ENHANCE_YOUR_CALM',
  'INADEQUATE_SECURITY',
  'HTTP_1_1_REQUIRED',
];

function causeOf(error: Error): string | undefined {
  return error.cause instanceof Error ? errorName(error.cause) : undefined;
}

/** "ECONNRESET" and the like; the message where the error has no code. */
export function errorName(error: Error): string {
  return (error as NodeJS.ErrnoException).code ?? error.message;
}
