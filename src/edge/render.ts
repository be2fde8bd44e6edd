import { createHash } from 'node:crypto';
import type { EdgeBackend, EdgeServer, EdgeState } from './model.ts';
import { allBackends, compare, httpRoutes, isTcp, listenPorts, tcpRoutes, wantedPorts } from './state.ts';
import { trimPath } from './verify.ts';

/** Where the edge folder of the state lies inside the edge's container. */
export const INSIDE = '/edge';

export const MAPS = {
  routes: `${INSIDE}/config/routes.map`,
  redirects: `${INSIDE}/config/redirects.map`,
  challenges: `${INSIDE}/config/challenges.map`,
};
export const DEFAULT_CERTIFICATE = `${INSIDE}/config/default.pem`;
export const CERTIFICATE_LIST = `${INSIDE}/config/certificates.list`;

/** Answers nothing: a request that is held is tried here, refused, and tried again a second later. */
export const HOLD_SERVER = 'hold';
const HOLD_ADDRESS = '127.0.0.1:1';

export type MapName = keyof typeof MAPS;
/** Key to value, as in a HAProxy map file. */
export type EdgeMap = Record<string, string>;

export interface RenderedEdge {
  /** haproxy.cfg */
  config: string;
  /** Hash of everything in the file that a running process can only learn by a reload: all but the servers. */
  structure: string;
  /** The challenges are not part of the state: they come and go while certificates are issued. */
  maps: Record<'routes' | 'redirects', EdgeMap>;
}

/** What the file needs to know about the machine. */
export interface EdgeHost {
  ipv6: boolean;
}

/** The whole HAProxy configuration of a wanted state. The same state always gives the same text. */
export function renderEdge(state: EdgeState, host: EdgeHost): RenderedEdge {
  const backends = allBackends(state).map(({ backend }) => backend);
  const body = [...defaults(), ...web(state, host), ...metrics(), ...backends.flatMap((backend) => tcpFrontends(state, backend, host))];
  const sections = backends.map((backend) => ({ options: backendOptions(backend), servers: serverLines(backend) }));
  const fixed = [global('').join('\n'), body.join('\n'), ...sections.map(({ options }) => options.join('\n'))].join('\n');
  const structure = createHash('sha256').update(fixed).digest('hex').slice(0, 16);
  const lines = [...global(structure), ...body, ...sections.flatMap(({ options, servers }) => [...options, ...servers])];
  return { config: `${lines.join('\n').trim()}\n`, structure, maps: renderMaps(state) };
}

export const renderMap = (map: EdgeMap): string =>
  Object.entries(map)
    .sort(([a], [b]) => compare(a, b))
    .map(([key, value]) => `${key} ${value}\n`)
    .join('');

export const serverOptions = (backend: Pick<EdgeBackend, 'healthIntervalMs'>): string =>
  `check inter ${backend.healthIntervalMs}ms fastinter 100ms downinter 100ms fall 2 rise 1`;

/** "10.0.0.1:80", "[fd00::1]:80". */
export const socketAddress = (server: Pick<EdgeServer, 'address' | 'port'>): string =>
  server.address.includes(':') ? `[${server.address}]:${server.port}` : `${server.address}:${server.port}`;

const global = (structure: string): string[] => [
  'global',
  '  log stdout format raw local0 info',
  '  user haproxy',
  '  group haproxy',
  `  set-var proc.structure str(${structure})`,
  `  stats socket "${INSIDE}/run/\${GENERATION}/admin.sock" mode 600 uid "\${OWNER}" level admin expose-fd listeners`,
  '  stats timeout 2m',
  '  fd-hard-limit 50000',
  '  hard-stop-after 1h',
  '  ssl-default-bind-options ssl-min-ver TLSv1.2',
  '',
];

const defaults = (): string[] => [
  'defaults',
  '  mode http',
  '  log global',
  '  option dontlognull',
  '  option dontlog-normal',
  '  option httplog',
  '  option idle-close-on-response',
  '  timeout connect 1s',
  '  timeout client 60s',
  '  timeout server 60s',
  '  timeout http-request 10s',
  '  timeout http-keep-alive 60s',
  '  timeout queue 10s',
  '  timeout check 1s',
  '  timeout tunnel 1h',
  '  retries 3',
  '  option redispatch 1',
  '  retry-on conn-failure empty-response',
  ...Object.entries({
    502: 'the service gave no proper answer',
    503: 'the service is not available just now',
    504: 'the service took too long',
  }).map(
    ([status, text]) =>
      `  http-error status ${status} content-type text/plain string "${text}\\n"${status === '503' ? ' hdr Retry-After 2' : ''}`,
  ),
  '',
];

function binds(ports: number[], host: EdgeHost, options = ''): string[] {
  const addresses = ports.flatMap((port) => (host.ipv6 ? [`0.0.0.0:${port}`, `[::]:${port} v6only`] : [`0.0.0.0:${port}`]));
  return addresses.map((address) => `  bind ${address}${options}`);
}

function web(state: EdgeState, host: EdgeHost): string[] {
  const ports = wantedPorts(state);
  const https = ports.https === undefined || ports.https === 443 ? '' : `:${ports.https}`;
  const lookups = ['%[var(txn.host)]', '%[var(txn.host),regsub(^[^.]+,*)]', '*'];
  return [
    'frontend web',
    ...binds(listenPorts(state.settings, ports.http), host),
    ...(ports.https === undefined
      ? []
      : binds(listenPorts(state.settings, ports.https), host, ` ssl crt-list ${CERTIFICATE_LIST} alpn h2,http/1.1`)),
    // Only what changes nothing may be sent twice; a refused connection is tried again for every method.
    '  http-request disable-l7-retry unless METH_GET',
    '  http-request set-var(txn.host) req.hdr(host),host_only,lower',
    `  http-request set-var(txn.challenge) path,field(-1,/),map_str(${MAPS.challenges}) if { path_beg /.well-known/acme-challenge/ }`,
    '  http-request return status 200 content-type text/plain lf-string %[var(txn.challenge)] if { var(txn.challenge) -m found }',
    `  http-request set-var(txn.elsewhere) var(txn.host),map_str(${MAPS.redirects})`,
    '  http-request redirect location %[var(txn.elsewhere)]%[pathq] code 308 if { var(txn.elsewhere) -m found }',
    // A path prefix ends at a slash: /api takes /api and /api/x, not /apix. The host's own routes come first, then *.domain, then any host.
    ...lookups.flatMap((name) => [
      `  http-request set-var-fmt(txn.place) "${name}%[path]/" unless { var(txn.route) -m found }`,
      `  http-request set-var(txn.route) var(txn.place),map_beg(${MAPS.routes}) unless { var(txn.route) -m found }`,
    ]),
    '  http-request return status 404 content-type text/plain string "no such site\\n" unless { var(txn.route) -m found }',
    '  http-request set-var(txn.backend) var(txn.route),field(1,|)',
    `  http-request redirect location https://%[var(txn.host)]${https}%[pathq] code 308 if !{ ssl_fc } { var(txn.route) -m sub |secure }`,
    '  http-request set-header X-Request-Id %[uuid()] unless { req.hdr(x-request-id) -m reg ^[A-Za-z0-9._:-]{8,128}$ }',
    '  http-request set-var(txn.id) req.hdr(x-request-id)',
    '  http-request set-header X-Forwarded-For %[src]',
    '  http-request set-header X-Forwarded-Proto %[ssl_fc,iif(https,http)]',
    '  http-request set-header X-Forwarded-Host %[req.hdr(host)]',
    '  http-request set-header X-Real-IP %[src]',
    '  http-request del-header Forwarded',
    '  http-request del-header Proxy',
    '  http-after-response set-header X-Request-Id %[var(txn.id)] if { var(txn.id) -m found }',
    '  use_backend %[var(txn.backend)]',
    '',
  ];
}

const metrics = (): string[] => [
  'frontend metrics',
  `  bind "unix@${INSIDE}/run/\${GENERATION}/metrics.sock" mode 600 uid "\${OWNER}"`,
  '  http-request use-service prometheus-exporter if { path /metrics }',
  '  http-request deny deny_status 404',
  '',
];

const tcpFrontends = (state: EdgeState, backend: EdgeBackend, host: EdgeHost): string[] =>
  tcpRoutes(backend).flatMap(({ listen }) => [
    `frontend tcp.${listen}`,
    '  mode tcp',
    '  option tcplog',
    `  timeout client ${backend.timeouts.tunnelMs}ms`,
    ...binds(listenPorts(state.settings, listen), host),
    `  default_backend ${backend.name}`,
    '',
  ]);

const COMPRESSED = [
  'text/html',
  'text/plain',
  'text/css',
  'text/csv',
  'text/javascript',
  'text/markdown',
  'text/xml',
  'application/json',
  'application/javascript',
  'application/xml',
  'application/manifest+json',
  'application/wasm',
  'image/svg+xml',
];

function backendOptions(backend: EdgeBackend): string[] {
  const tcp = isTcp(backend);
  return [
    '',
    `backend ${backend.name}`,
    ...(tcp ? ['  mode tcp', '  option tcplog'] : []),
    '  balance leastconn',
    `  retries ${Math.max(3, Math.ceil(backend.holdMs / 1000))}`,
    `  timeout server ${tcp ? backend.timeouts.tunnelMs : backend.timeouts.responseMs}ms`,
    `  timeout tunnel ${backend.timeouts.tunnelMs}ms`,
    ...(backend.health ? healthCheck(backend, backend.health) : []),
    ...(tcp ? [] : httpOptions(backend)),
  ];
}

function healthCheck(backend: EdgeBackend, health: { path: string; status: string }): string[] {
  const host = httpRoutes(backend).find((route) => route.host && !route.host.startsWith('*'))?.host ?? 'localhost';
  return [
    '  option httpchk',
    `  http-check send meth GET uri '${health.path}' ver HTTP/1.1 hdr Host ${host} hdr User-Agent composure-edge`,
    `  http-check expect status ${health.status}`,
  ];
}

function httpOptions(backend: EdgeBackend): string[] {
  const { rateLimit } = backend;
  const secured: [string, string][] = [
    ['X-Content-Type-Options', 'nosniff'],
    ['X-Frame-Options', 'SAMEORIGIN'],
    ['Referrer-Policy', 'strict-origin-when-cross-origin'],
  ];
  return [
    ...(rateLimit
      ? [
          `  stick-table type ipv6 size 100k expire ${rateLimit.perMs}ms store http_req_rate(${rateLimit.perMs}ms)`,
          // One IPv6 customer has a whole /64.
          '  http-request track-sc0 src,ipmask(32,64)',
          `  http-request deny deny_status 429 content-type text/plain string "too many requests\\n" hdr Retry-After ${Math.ceil(rateLimit.perMs / 1000)} if { sc_http_req_rate(0) gt ${rateLimit.requests} }`,
        ]
      : []),
    ...(backend.maxBodyBytes > 0
      ? [
          `  http-request deny deny_status 413 content-type text/plain string "the request is too large\\n" if { req.hdr_val(content-length) gt ${backend.maxBodyBytes} }`,
        ]
      : []),
    ...(backend.securityHeaders
      ? [
          '  http-response set-header Strict-Transport-Security "max-age=31536000" if { ssl_fc } { var(txn.route) -m sub |tls } !{ res.hdr(strict-transport-security) -m found }',
          ...secured.map(
            ([name, value]) => `  http-response set-header ${name} ${value} unless { res.hdr(${name.toLowerCase()}) -m found }`,
          ),
        ]
      : []),
    // Event streams are not in the list: nothing may wait in a compressor's buffer.
    ...(backend.compress
      ? ['  filter compression', '  compression algo gzip', '  compression minsize-res 500', `  compression type ${COMPRESSED.join(' ')}`]
      : []),
  ];
}

/** A draining server has weight 0 in the file, so that a HAProxy that dies comes back with the drain in force. */
const serverLines = (backend: EdgeBackend): string[] => [
  `  server ${HOLD_SERVER} ${HOLD_ADDRESS} backup${backend.hold ? '' : ' disabled'}`,
  ...backend.servers.map(
    (server) => `  server ${server.name} ${socketAddress(server)} ${serverOptions(backend)}${server.state === 'drain' ? ' weight 0' : ''}`,
  ),
];

function renderMaps(state: EdgeState): RenderedEdge['maps'] {
  const routes: EdgeMap = {};
  const redirects: EdgeMap = {};
  const { httpPort, httpsPort } = state.settings;
  // Without a certificate that works, a redirect would lead visitors into a warning of their browser.
  const secure = new Set(state.secureHosts ?? []);
  for (const { backend } of allBackends(state)) {
    for (const route of httpRoutes(backend)) {
      const tls = route.tls !== 'none';
      const ready = tls && secure.has(route.host ?? '*');
      const flags = `${tls ? '|tls' : ''}${ready && route.redirectToHttps ? '|secure' : ''}`;
      routes[`${route.host ?? '*'}${trimPath(route.path)}/`] = `${backend.name}${flags}`;
      const port = ready ? (httpsPort === 443 ? '' : `:${httpsPort}`) : httpPort === 80 ? '' : `:${httpPort}`;
      for (const from of route.redirectFrom) redirects[from] = `${ready ? 'https' : 'http'}://${route.host}${port}`;
    }
  }
  return { routes, redirects };
}
