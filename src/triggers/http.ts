import type { IncomingMessage } from 'node:http';
import { request as tlsRequest } from 'node:https';
import { isIP } from 'node:net';
import type { TriggerContext } from './model.ts';

// An import would read every export of node:http, and one of them loads a second HTTP client: megabytes of every agent.
const { request: plainRequest } = process.getBuiltinModule('node:http');

const LARGEST_ANSWER_BYTES = 16 * 1024 * 1024;

export interface Ask {
  url: string;
  headers?: Record<string, string>;
  /** Takes any certificate. */
  unsafeSsl?: boolean;
  signal: AbortSignal;
}

/**
 * GET over a connection of its own, to where the context says that the URL's host is reached; the Host header and the name that a
 * certificate is held against stay the URL's. Throws unless the answer is 2xx; redirects are not followed.
 */
export async function get(context: Pick<TriggerContext, 'resolve'>, ask: Ask): Promise<string> {
  const url = new URL(ask.url);
  const tls = url.protocol === 'https:';
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const reached = await context.resolve(host, Number(url.port || (tls ? 443 : 80)));
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    (tls ? tlsRequest : plainRequest)({
      ...reached,
      path: `${url.pathname}${url.search}`,
      headers: { Host: url.host, Accept: '*/*', 'User-Agent': 'composure', ...authorization(url), ...ask.headers },
      ...(tls ? { rejectUnauthorized: !ask.unsafeSsl, ...(isIP(host) ? {} : { servername: host }) } : {}),
      agent: false,
      signal: ask.signal,
    })
      .on('response', resolve)
      .on('error', reject)
      .end();
  });
  const body = await textOf(response);
  const status = response.statusCode ?? 0;
  if (status >= 200 && status < 300) return body;
  const told = body.replace(/\s+/g, ' ').trim().slice(0, 200);
  throw new Error(`the server answers ${status}${told ? `: ${told}` : ''}`);
}

async function textOf(response: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of response as AsyncIterable<Buffer>) {
    size += part.length;
    if (size > LARGEST_ANSWER_BYTES) throw new Error(`the answer is larger than ${LARGEST_ANSWER_BYTES / 1024 / 1024} MiB`);
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}

function authorization(url: URL): Record<string, string> {
  if (!url.username && !url.password) return {};
  return basic(decodeURIComponent(url.username), decodeURIComponent(url.password));
}

export function basic(user: string, password: string): Record<string, string> {
  return { Authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}` };
}

/** A URL as it may be shown: no user, no password, no query (it may hold a key). */
export function shownUrl(text: string): string {
  const url = URL.parse(text);
  return url ? `${url.protocol}//${url.host}${url.pathname === '/' ? '' : url.pathname}` : 'an address that is none';
}

/** Parts of a URL that are secret. */
export function secretsOfUrl(text: string): string[] {
  const url = URL.parse(text);
  return url?.password ? [url.password, decodeURIComponent(url.password)] : [];
}

export function parseJson(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    throw new Error('the answer is not JSON');
  }
}
