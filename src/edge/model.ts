/**
 * The edge as plain data. `EdgeState` is what is wanted: it is kept in the state folder, the HAProxy file is rendered from it,
 * and the runtime commands are the difference between it and what HAProxy reports.
 */
export interface EdgeState {
  version: 1;
  settings: EdgeSettings;
  projects: Record<string, EdgeProject>;
  /** Host names whose certificate works now; "*" stands for routes without a host. Only these are redirected from HTTP to HTTPS. */
  secureHosts?: string[];
}

export interface EdgeSettings {
  /** Host ports that the edge listens on. */
  httpPort: number;
  httpsPort: number;
  /** Image of the edge's container. */
  image: string;
  /** Pool that each project's edge network takes a /24 from. */
  addressPool: string;
  /**
   * While a published port is taken over from a container: the edge listens on `temporary` in place of `port`,
   * and the host redirects new connections from one to the other. Once the port is `freed` the edge listens on both, until the redirect is gone.
   */
  takeovers: { port: number; temporary: number; freed?: boolean }[];
}

export interface EdgeProject {
  /**
   * Network of our own between edge and routed containers: internal, no traffic between its containers, a fixed address per container.
   * A container that restarts keeps its address, and no stranger can ever be given it.
   */
  network: { name: string; subnet: string };
  /** Host part of the address to hand out next; wraps around, so that a freed address rests as long as possible. */
  nextAddress: number;
  acme?: { email: string; directory: string; caFile?: string };
  /** By backend name: one per routed port of a service. */
  backends: Record<string, EdgeBackend>;
}

export interface EdgeBackend {
  /** "<project>.<service>.<port>": the name in HAProxy. */
  name: string;
  service: string;
  port: number;
  routes: EdgeRoute[];
  /** The edge's own check; undefined means a TCP connect. */
  health?: { path: string; status: string };
  healthIntervalMs: number;
  timeouts: { responseMs: number; tunnelMs: number };
  compress: boolean;
  /** Bytes; 0 means no limit. */
  maxBodyBytes: number;
  rateLimit?: { requests: number; perMs: number };
  securityHeaders: boolean;
  servers: EdgeServer[];
  /** Requests wait instead of failing while no server is ready, at most `holdMs`. */
  hold: boolean;
  holdMs: number;
}

export type EdgeRoute =
  | {
      kind: 'http';
      /** Lower case, no port; undefined takes every host that no other route names. */
      host?: string;
      /** Prefix, begins with "/"; the longest match wins. */
      path: string;
      /** Names that are answered with a redirect to `host`. */
      redirectFrom: string[];
      tls: 'none' | 'acme' | { certificateFile: string; keyFile: string };
      /** Redirect plain HTTP to HTTPS; only with tls. */
      redirectToHttps: boolean;
    }
  | { kind: 'tcp'; listen: number };

export interface EdgeServer {
  /** Name in HAProxy: the container's first 12 hex digits. */
  name: string;
  /** Full container id. */
  container: string;
  address: string;
  port: number;
  /** 'drain' gets no new request; what it serves goes on. */
  state: 'ready' | 'drain';
}

/** What HAProxy reports of one server, summed over all edge processes that still serve (also those that only finish their streams). */
export interface ServerStats {
  backend: string;
  server: string;
  /** The newest process's view: UP, DOWN, DRAIN, MAINT, "no check". */
  status: string;
  /** The last health check passed (a draining server is checked too). */
  checkPassed: boolean;
  /** What the last check said, for people: "L7OK/200 in 3 ms", "L4CON: Connection refused". */
  checkText: string;
  /** Requests and streams in flight right now. */
  sessions: number;
  /** Counters since the process started. */
  requests: number;
  responses5xx: number;
  connectionErrors: number;
  responseErrors: number;
  /** Mean time to answer over the last 1024 requests, milliseconds. */
  responseTimeMs: number;
}

/** What the edge room offers to the rooms above it. */
export interface Edge {
  /** The edge container's name. */
  readonly name: string;
  /** Starts the edge when it does not run; says in events what it did. */
  ensureRunning(): Promise<void>;
  isRunning(): Promise<boolean>;
  read(): Promise<EdgeState>;
  /**
   * Brings the edge to a changed state: under the edge's lock, the state is stored, the file written, then the running HAProxy brought
   * there by runtime commands, all state changes of servers in one command line; a reload only when a frontend or backend is new or gone,
   * after `haproxy -c` said yes, and not while a server drains. Repeating it is harmless. A server that leaves the state is removed from HAProxy
   * before this returns.
   */
  change(mutate: (state: EdgeState) => EdgeState): Promise<void>;
  stats(backends?: string[]): Promise<ServerStats[]>;
  /**
   * Sessions open on the given servers (by server name) right now, told apart: `waiting` have no answer yet,
   * `answering` have begun to get one (WebSockets, event streams, downloads).
   */
  inFlight(servers: string[]): Promise<{ waiting: number; answering: number }>;
  /** Closes what is still open on a server and returns how many sessions that were. */
  shutdownSessions(backend: string, server: string): Promise<number>;
}
