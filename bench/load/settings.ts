import { DEFAULT_MIX, type Kind, type LoadOptions } from './model.ts';

const DEFAULT_PAUSE_MS: Record<Kind, number> = {
  keepAliveGet: 100,
  post: 100,
  newConnections: 100,
  slow: 100,
  http2: 100,
  webSockets: 50,
  sse: 50,
};

export interface Settings {
  port: number;
  host: string;
  address: string;
  /** Name in the TLS handshake. */
  servername: string;
  tls: { ca?: string } | undefined;
  loops: { kind: Kind; count: number; pauseMs: number }[];
  paths: { get: string; post: string; slow: string; sse: string; webSockets: string };
  slowMs: number;
  timeoutMs: number;
  postBytes: number;
  expect: { get: RegExp; slow: RegExp };
  version: { header: string } | { body: RegExp };
  silenceMs: number;
}

export function settle(options: LoadOptions): Settings {
  const slowMs = options.slowMs ?? 2000;
  const paths = { get: '/', post: '/echo', slow: '/slow?ms={ms}', sse: '/events', webSockets: '/ws', ...options.paths };
  const version = options.version ?? { header: 'x-version' };
  return {
    port: options.port,
    host: options.host,
    address: options.address ?? '127.0.0.1',
    servername: options.host.replace(/:\d+$/, ''),
    tls: options.tls,
    loops: Object.entries(options.mix ?? DEFAULT_MIX).map(([name, amount]) => {
      const kind = name as Kind;
      const { loops, pauseMs } = typeof amount === 'number' ? { loops: amount, pauseMs: DEFAULT_PAUSE_MS[kind] } : amount;
      return { kind, count: loops, pauseMs };
    }),
    paths: { ...paths, slow: paths.slow.replace('{ms}', String(slowMs)) },
    slowMs,
    timeoutMs: options.timeoutMs ?? 10_000,
    postBytes: options.postBytes ?? 4096,
    expect: { get: new RegExp(options.expect?.get ?? '[^]'), slow: new RegExp(options.expect?.slow ?? '[^]') },
    version: 'header' in version ? { header: version.header.toLowerCase() } : { body: new RegExp(version.body) },
    silenceMs: options.silenceMs ?? 15_000,
  };
}

/** The version that an answer names, if it names one. */
export function versionOf(settings: Settings, headers: Record<string, unknown>, body: string): string | undefined {
  if ('body' in settings.version) return settings.version.body.exec(body)?.[1];
  const value = headers[settings.version.header];
  return typeof value === 'string' ? value : undefined;
}
