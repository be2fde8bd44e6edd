import { AsyncLocalStorage } from 'node:async_hooks';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { rootCertificates } from 'node:tls';
import acme from 'acme-client';

/** An error as ACME servers send it (RFC 8555, section 6.7). */
export interface AcmeProblem {
  /** The part after "urn:ietf:params:acme:error:": dns, connection, unauthorized, rateLimited, … */
  type: string;
  detail: string;
  /** Milliseconds since 1970; from the Retry-After header. */
  retryAt?: number;
}

interface Exchange {
  /** Extra authority to trust for the ACME server itself. PEM. */
  ca: string | undefined;
  signal: AbortSignal | undefined;
  /** Every problem the server reported during the exchange, oldest first. */
  problems: AcmeProblem[];
}

interface Answer {
  status: number;
  statusText: string;
  headers: Record<string, string>;
  data: string;
}

const ANSWER_WITHIN_MS = 20_000;
const LONGEST_ANSWER = 1_000_000;

const current = new AsyncLocalStorage<Exchange>();

/**
 * Runs ACME calls of acme-client with a trust anchor of their own, a time limit for each call, and a record of what the server
 * complained about. Calls are not repeated here: the library would sleep as long as the server's Retry-After says, which can be hours.
 */
export function withAcmeTransport<T>(exchange: Exchange, work: () => Promise<T>): Promise<T> {
  acme.axios.defaults.adapter = async (config) => {
    const here = current.getStore();
    const answer = await call(
      String(config.url),
      String(config.method),
      config.headers.toJSON() as Record<string, string>,
      typeof config.data === 'string' ? config.data : undefined,
      here,
    );
    const problem = readProblem(answer);
    if (problem) here?.problems.push(problem);
    return { ...answer, config };
  };
  return current.run(exchange, work);
}

function call(url: string, method: string, headers: Record<string, string>, body: string | undefined, exchange: Exchange | undefined) {
  return new Promise<Answer>((resolve, reject) => {
    const signals = [AbortSignal.timeout(ANSWER_WITHIN_MS), ...(exchange?.signal ? [exchange.signal] : [])];
    const request = url.startsWith('https:') ? httpsRequest : httpRequest;
    const outgoing = request(
      url,
      {
        method: method.toUpperCase(),
        headers: body === undefined ? headers : { ...headers, 'content-length': String(Buffer.byteLength(body)) },
        signal: AbortSignal.any(signals),
        ...(exchange?.ca ? { ca: [...rootCertificates, exchange.ca] } : {}),
      },
      (response) => {
        let data = '';
        response.setEncoding('utf8');
        response.on('data', (text: string) => {
          data += text;
          if (data.length > LONGEST_ANSWER) response.destroy(new Error(`the answer of ${url} is too long`));
        });
        response.on('error', reject);
        response.on('end', () => {
          const flat = Object.fromEntries(Object.entries(response.headers).map(([name, value]) => [name, String(value)]));
          resolve({ status: response.statusCode ?? 0, statusText: response.statusMessage ?? '', headers: flat, data });
        });
      },
    );
    outgoing.on('error', (error: NodeJS.ErrnoException) =>
      reject(error.name === 'TimeoutError' ? new Error(`no answer from ${new URL(url).host} within ${ANSWER_WITHIN_MS / 1000} s`) : error),
    );
    outgoing.end(body);
  });
}

/** The problem in an answer: the answer itself, or the error inside a challenge, authorization or order. */
function readProblem(answer: Answer): AcmeProblem | undefined {
  if (!answer.data.startsWith('{')) return undefined;
  let body: unknown;
  try {
    body = JSON.parse(answer.data);
  } catch {
    return undefined;
  }
  const source = answer.status >= 400 ? body : (body as { error?: unknown }).error;
  if (typeof source !== 'object' || source === null) return undefined;
  const { type, detail } = source as { type?: unknown; detail?: unknown };
  if (typeof type !== 'string') return undefined;
  const retryAt = retryTime(answer.headers['retry-after']);
  return {
    type: type.replace('urn:ietf:params:acme:error:', ''),
    detail: typeof detail === 'string' ? detail : '',
    ...(retryAt === undefined || answer.status < 400 ? {} : { retryAt }),
  };
}

function retryTime(header: string | undefined): number | undefined {
  if (header === undefined) return undefined;
  if (/^\d+$/.test(header)) return Date.now() + Number(header) * 1000;
  const date = Date.parse(header);
  return Number.isNaN(date) ? undefined : date;
}
