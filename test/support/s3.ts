import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What happens to a request instead of an answer: a refusal, silence, or an end in the middle. */
export type Fault = 403 | 503 | 'hang' | 'cut';

export interface S3 {
  /** For restic: "s3:http://127.0.0.1:PORT/bucket". */
  repository: string;
  /** Variables that let restic in. */
  credentials: { AWS_ACCESS_KEY_ID: string; AWS_SECRET_ACCESS_KEY: string };
  /** Objects by "bucket/key". */
  objects: Map<string, Buffer>;
  requests: { method: string; path: string; status: number | Fault }[];
  /** Asked before each request is answered. */
  fault: (method: string, path: string) => Fault | undefined;
  stop(): Promise<void>;
}

const KEY = 'for-tests-only-key';

/**
 * An object store as far as restic uses one: buckets by path, ranges, both listings, no multipart. In memory, on a loopback port. A request
 * without a signature of version 4 by the right key is refused; the signature itself is not computed.
 */
export async function startS3(): Promise<S3> {
  const objects = new Map<string, Buffer>();
  const buckets = new Set<string>();
  const s3: S3 = {
    repository: '',
    credentials: { AWS_ACCESS_KEY_ID: KEY, AWS_SECRET_ACCESS_KEY: 'for-tests-only-secret' },
    objects,
    requests: [],
    fault: () => undefined,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  const server = createServer(async (request, response) => {
    const url = new URL(request.url ?? '/', 'http://s3');
    const method = request.method ?? 'GET';
    const path = decodeURIComponent(url.pathname).slice(1);
    const fault = s3.fault(method, path);
    const note = (status: number | Fault): void => {
      s3.requests.push({ method, path, status });
    };
    if (fault === 'hang') return note(fault);
    if (fault === 'cut' && method !== 'GET') {
      note(fault);
      request.once('data', () => request.destroy()).once('end', () => request.destroy());
      return;
    }
    const body = await readAll(request).catch(() => undefined);
    if (!body) return;
    const answer = fault === 403 || fault === 503 ? refusal(fault) : answerTo(method, path, url, request, body);
    note(fault ?? answer.status);
    send(response, answer, fault === 'cut');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  s3.repository = `s3:http://127.0.0.1:${(server.address() as AddressInfo).port}/backups`;
  return s3;

  function answerTo(method: string, path: string, url: URL, request: IncomingMessage, body: Buffer): Answer {
    const signed = request.headers.authorization ?? '';
    if (!signed.startsWith(`AWS4-HMAC-SHA256 Credential=${KEY}/`) || !/Signature=[0-9a-f]{64}$/.test(signed)) return refusal(403);
    const [bucket = '', ...rest] = path.split('/');
    const key = rest.join('/');
    if (key === '') return bucketAnswer(method, bucket, url, body);
    if (!buckets.has(bucket)) return xml(404, '<Error><Code>NoSuchBucket</Code></Error>');
    const found = objects.get(path);
    if (method === 'PUT') {
      objects.set(path, request.headers['x-amz-content-sha256']?.toString().startsWith('STREAMING-') ? unchunk(body) : body);
      return { status: 200, headers: { ETag: etag(objects.get(path) as Buffer) }, body: Buffer.alloc(0) };
    }
    if (method === 'DELETE') {
      objects.delete(path);
      return { status: 204, headers: {}, body: Buffer.alloc(0) };
    }
    if (!found) return xml(404, '<Error><Code>NoSuchKey</Code></Error>');
    return objectAnswer(method, found, request.headers.range);
  }

  function bucketAnswer(method: string, bucket: string, url: URL, body: Buffer): Answer {
    if (method === 'PUT') {
      buckets.add(bucket);
      return xml(200, '');
    }
    if (!buckets.has(bucket)) return xml(404, '<Error><Code>NoSuchBucket</Code></Error>');
    if (url.searchParams.has('location')) return xml(200, '<LocationConstraint></LocationConstraint>');
    if (method === 'POST' && url.searchParams.has('delete')) {
      const keys = [...body.toString().matchAll(/<Key>([^<]*)<\/Key>/g)].map(([, key = '']) => key);
      for (const key of keys) objects.delete(`${bucket}/${key}`);
      return xml(200, `<DeleteResult>${keys.map((key) => `<Deleted><Key>${key}</Key></Deleted>`).join('')}</DeleteResult>`);
    }
    if (method === 'HEAD') return xml(200, '');
    return xml(200, listing(bucket, url.searchParams));
  }

  function listing(bucket: string, query: URLSearchParams): string {
    const [prefix, delimiter] = [query.get('prefix') ?? '', query.get('delimiter') ?? ''];
    const folders = new Set<string>();
    const found = [...objects].flatMap(([path, content]) => {
      const key = path.slice(bucket.length + 1);
      if (!path.startsWith(`${bucket}/${prefix}`)) return [];
      const cut = delimiter === '' ? -1 : key.indexOf(delimiter, prefix.length);
      if (cut < 0)
        return [
          `<Contents><Key>${key}</Key><Size>${content.length}</Size><ETag>${etag(content)}</ETag><LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>`,
        ];
      folders.add(key.slice(0, cut + 1));
      return [];
    });
    const common = [...folders].map((folder) => `<CommonPrefixes><Prefix>${folder}</Prefix></CommonPrefixes>`);
    return `<ListBucketResult><Name>${bucket}</Name><Prefix>${prefix}</Prefix><IsTruncated>false</IsTruncated>${found.sort().join('')}${common.join('')}</ListBucketResult>`;
  }
}

interface Answer {
  status: number;
  headers: Record<string, string>;
  body: Buffer;
}

const etag = (content: Buffer): string => `"${createHash('md5').update(content).digest('hex')}"`;

const xml = (status: number, text: string): Answer => ({
  status,
  headers: { 'Content-Type': 'application/xml' },
  body: Buffer.from(text === '' ? '' : `<?xml version="1.0" encoding="UTF-8"?>${text}`),
});

const refusal = (status: 403 | 503): Answer =>
  xml(
    status,
    `<Error>${status === 403 ? '<Code>AccessDenied</Code><Message>Access Denied</Message>' : '<Code>SlowDown</Code><Message>Please reduce your request rate</Message>'}</Error>`,
  );

function objectAnswer(method: string, content: Buffer, range: string | undefined): Answer {
  const headers = { ETag: etag(content), 'Last-Modified': 'Thu, 01 Jan 2026 00:00:00 GMT', 'Accept-Ranges': 'bytes' };
  const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(range ?? '') ?? [];
  if (from === undefined) return { status: 200, headers, body: content };
  const last = to ? Math.min(Number(to), content.length - 1) : content.length - 1;
  return {
    status: 206,
    headers: { ...headers, 'Content-Range': `bytes ${from}-${last}/${content.length}` },
    body: content.subarray(Number(from), method === 'HEAD' ? undefined : last + 1),
  };
}

/** A body as `aws-chunked` has it: "SIZE;chunk-signature=…" before each chunk. */
function unchunk(body: Buffer): Buffer {
  const chunks: Buffer[] = [];
  for (let at = 0; at < body.length; ) {
    const end = body.indexOf('\r\n', at);
    const size = Number.parseInt(body.toString('latin1', at, end), 16);
    if (!(size > 0)) break;
    chunks.push(body.subarray(end + 2, end + 2 + size));
    at = end + 2 + size + 2;
  }
  return Buffer.concat(chunks);
}

function send(response: ServerResponse, { status, headers, body }: Answer, isCut: boolean): void {
  response.writeHead(status, { ...headers, 'Content-Length': body.length });
  if (isCut) response.write(body.subarray(0, Math.floor(body.length / 2)), () => response.destroy());
  else response.end(response.req.method === 'HEAD' ? undefined : body);
}

async function readAll(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
