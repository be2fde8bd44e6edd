/** What the load client sends, and what it says afterwards. Everything here is plain data: it crosses to the client's own process. */
export type RequestKind = 'keepAliveGet' | 'post' | 'newConnections' | 'slow' | 'http2';
export type StreamKind = 'webSockets' | 'sse';
export type Kind = RequestKind | StreamKind;

export const REQUEST_KINDS: readonly RequestKind[] = ['keepAliveGet', 'post', 'newConnections', 'slow', 'http2'];
export const STREAM_KINDS: readonly StreamKind[] = ['webSockets', 'sse'];

/**
 * How many loops of each kind run at once, each on a connection of its own, and how long a loop rests between two requests.
 * A plain number takes the kind's default pause. A stream rests after its end, before it connects again.
 */
export type Mix = Partial<Record<Kind, number | { loops: number; pauseMs: number }>>;

/** About 170 requests a second beside ten open streams. */
export const DEFAULT_MIX: Mix = { keepAliveGet: 10, post: 4, newConnections: 4, slow: 4, webSockets: 5, sse: 5 };

export interface LoadOptions {
  port: number;
  /** The Host header; the name in TLS is the same without its port. */
  host: string;
  /** Where to connect. Default 127.0.0.1. */
  address?: string;
  /** `ca`: PEM of the authority to trust. */
  tls?: { ca?: string };
  /** Default DEFAULT_MIX. */
  mix?: Mix;
  /** "{ms}" in `slow` is replaced with `slowMs`. Default: /, /echo, /slow?ms={ms}, /events, /ws. */
  paths?: { get?: string; post?: string; slow?: string; sse?: string; webSockets?: string };
  /** How long the server takes over a slow request. Default 2000. */
  slowMs?: number;
  /** A request that has not ended by then has failed; a slow one has `slowMs` more. Default 10 000. */
  timeoutMs?: number;
  /** Bytes of each POST; the answer must be the same bytes, or text that holds their SHA-256 in hex. Default 4096. */
  postBytes?: number;
  /** Regular expressions that bodies must match; without one, a body must only not be empty. */
  expect?: { get?: string; slow?: string };
  /** Where an answer's version is: a header, or the first group of a pattern over the body. Default the header x-version. */
  version?: { header: string } | { body: string };
  /** A stream on which nothing arrives for so long counts as cut (WebSockets are pinged three times in it). Default 15 000. */
  silenceMs?: number;
  /** Run in a process of its own, so that a busy caller delays nothing. Default true. */
  isolated?: boolean;
}

export interface KindReport {
  ok: number;
  failed: number;
  /** How often each reason occurred. */
  errors: Record<string, number>;
  /** Times of the good answers, milliseconds. */
  maxMs: number;
  p50Ms: number;
  p99Ms: number;
}

export interface LoadFailure {
  /** Milliseconds since the epoch, when the request began and when it failed. */
  begunAt: number;
  at: number;
  kind: Kind;
  /** ECONNRESET, ECONNREFUSED, timeout, truncated, wrong body, status 502, cut: …, … */
  error: string;
  status?: number;
  /** The connection had served a request before. */
  reused?: boolean;
  version?: string;
}

export interface LoadReport {
  startedAt: number;
  elapsedMs: number;
  /** All requests, and all openings of streams. */
  ok: number;
  failed: number;
  /** A stream kind counts its openings here: ok when it opened. */
  kinds: Record<Kind, KindReport>;
  /** The rest of `opened` was still open, or was closed by the client itself when it stopped. */
  streams: Record<StreamKind, StreamReport> & { opened: number; clean: number; cut: number };
  /** The first 20, cuts of streams included. */
  failures: LoadFailure[];
  versions: Record<string, { answers: number; firstAt: number; lastAt: number }>;
  /** How late the client itself was at worst: times in this report are wrong by up to so much. */
  clientDelayMaxMs: number;
}

export interface StreamReport {
  opened: number;
  /** Ended by the server in order: SSE "event: bye", WebSocket close 1001 or 1012. */
  clean: number;
  /** Ended in any other way. */
  cut: number;
}

export interface Load {
  /** Lets running requests end, closes the streams, and gives the final figures. May be called again. */
  stop(): Promise<LoadReport>;
  snapshot(): Promise<LoadReport>;
  /** When `version` answered for the first time, milliseconds since the epoch. Throws when it does not within `timeoutMs`. */
  waitForVersion(version: string, timeoutMs: number): Promise<number>;
}
