import { resolve } from 'node:path';
import { readProjectBackup } from './backup.ts';
import type { Problem } from './check.ts';
import type { EdgeSpec, ProjectSettings } from './model.ts';
import type { EdgeEntry, SettingsKey } from './schema.ts';
import type { PlainService } from './services.ts';
import type { Path } from './sources.ts';

/** localhost, names below it and bare addresses: no authority gives certificates for them. */
export function isLocal(host: string): boolean {
  return host === 'localhost' || host.endsWith('.localhost') || /^\d+(\.\d+){3}$/.test(host) || !host.includes('.');
}

/** x-composure with its files as absolute paths. */
export function readSettings(key: SettingsKey, folder: string): ProjectSettings {
  const { acme } = key.edge;
  return {
    edge: {
      ...(key.edge.http_port === undefined ? {} : { httpPort: key.edge.http_port }),
      ...(key.edge.https_port === undefined ? {} : { httpsPort: key.edge.https_port }),
      ...(acme
        ? {
            acme: {
              email: acme.email,
              directory: acme.directory,
              ...(acme.ca_file === undefined ? {} : { caFile: resolve(folder, acme.ca_file) }),
            },
          }
        : {}),
    },
    images: {
      ...(key.images.haproxy === undefined ? {} : { haproxy: key.images.haproxy }),
      ...(key.images.restic === undefined ? {} : { restic: key.images.restic }),
    },
    backup: readProjectBackup(key.backup, folder),
    release: {
      maxErrorRatio: key.release.max_error_ratio,
      maxLatencyRatio: key.release.max_latency_ratio,
      minRequests: key.release.min_requests,
      keep: key.release.keep,
    },
  };
}

/** Which fields of an entry the user wrote: some make no sense together. */
export interface WrittenEntry {
  entry: EdgeEntry;
  written: ReadonlySet<string>;
  path: Path;
}

const HTTP_ONLY = ['host', 'path', 'redirect_from', 'tls', 'https_redirect', 'compress', 'headers', 'max_body', 'rate_limit'];

/** One entry of x-edge with its defaults worked out from the service and the project. Pure; what is wrong goes into `problems`. */
export function readRoute(
  { entry, written, path }: WrittenEntry,
  service: PlainService,
  settings: ProjectSettings,
  folder: string,
  problems: Problem[],
): EdgeSpec | undefined {
  const before = problems.length;
  const wrong = (field: string, message: string) =>
    problems.push({ path: field === '' ? path : [...path, field], message: `service ${service.name}: ${message}` });
  if (service.networkMode === 'none' || service.networkMode?.startsWith('service:') || service.networkMode?.startsWith('container:')) {
    wrong(
      '',
      `x-edge needs a network of its own, but network_mode is "${service.networkMode}"; remove network_mode, or route to the service that owns the network`,
    );
  }
  const hosts = listOf(entry.host);
  const redirectFrom = listOf(entry.redirect_from);
  if (entry.protocol === 'tcp') {
    if (entry.listen === undefined) wrong('', 'x-edge with protocol: tcp needs "listen", the host port to take connections on');
    for (const field of HTTP_ONLY) if (written.has(field)) wrong(field, `"${field}" is for HTTP and means nothing with protocol: tcp`);
  } else if (entry.listen !== undefined) {
    wrong('listen', '"listen" needs protocol: tcp; HTTP routes share the ports of the edge (x-composure.edge.http_port, https_port)');
  }
  if (redirectFrom.length > 0 && hosts.length === 0) wrong('redirect_from', 'redirect_from needs "host", the name to redirect to');
  const port = entry.port ?? onlyPort(service, wrong);
  const tls = readTls(entry, hosts, settings, folder, wrong);
  if (entry.https_redirect === true && tls === 'none')
    wrong('https_redirect', 'https_redirect needs TLS: set x-composure.edge.acme, or tls: {cert, key}');
  if (problems.length > before || port === undefined || tls === undefined) return undefined;
  const health = typeof entry.health === 'string' ? { path: entry.health, status: '200-399', interval: 500 } : entry.health;
  return {
    kind: entry.protocol,
    hosts,
    path: entry.path,
    port,
    ...(entry.listen === undefined ? {} : { listen: entry.listen }),
    ...(health ? { health: { path: health.path, status: health.status } } : {}),
    healthIntervalMs: health?.interval ?? 500,
    redirectFrom,
    tls,
    redirectToHttps: entry.https_redirect ?? tls !== 'none',
    compress: entry.compress,
    maxBodyBytes: entry.max_body,
    ...(entry.rate_limit ? { rateLimit: { requests: entry.rate_limit.requests, perMs: entry.rate_limit.per } } : {}),
    securityHeaders: entry.headers,
    timeouts: { responseMs: entry.timeout.response, tunnelMs: entry.timeout.tunnel },
    holdMs: entry.hold,
    drain: { requestsMs: entry.drain.requests ?? Math.max(service.stopGraceMs, 30_000), streamsMs: entry.drain.streams },
  };
}

type Wrong = (field: string, message: string) => void;

function onlyPort(service: PlainService, wrong: Wrong): number | undefined {
  if (service.exposedPorts.length === 1) return service.exposedPorts[0];
  const ports = service.exposedPorts;
  wrong(
    '',
    ports.length === 0
      ? 'x-edge needs "port", the container port that the service listens on (the compose file exposes none)'
      : `x-edge needs "port": choose one of the ${ports.length} that the service exposes${ports.length <= 12 ? ` (${ports.join(', ')})` : ''}`,
  );
  return undefined;
}

function readTls(entry: EdgeEntry, hosts: string[], settings: ProjectSettings, folder: string, wrong: Wrong): EdgeSpec['tls'] | undefined {
  const asked = entry.tls;
  if (entry.protocol === 'tcp' || asked === false) return 'none';
  if (typeof asked === 'object') return { certificateFile: resolve(folder, asked.cert), keyFile: resolve(folder, asked.key) };
  const open = hosts.length > 0 && hosts.every((host) => !isLocal(host) && !host.startsWith('*.'));
  if (asked === undefined) return settings.edge.acme && open ? 'acme' : 'none';
  if (!settings.edge.acme) {
    wrong('tls', 'a certificate can only be fetched with x-composure.edge.acme: add {email: …} there, or give tls: {cert, key}');
  } else if (hosts.length === 0) {
    wrong('tls', 'a certificate needs "host", the name to fetch it for');
  } else if (!open) {
    const name = hosts.find((host) => isLocal(host) || host.startsWith('*.'));
    wrong(
      'tls',
      `no certificate can be fetched for ${name}: ${name?.startsWith('*.') ? 'wildcards need a DNS challenge' : 'it is not a public name'}; give tls: {cert, key}, or tls: false`,
    );
  } else {
    return 'acme';
  }
  return undefined;
}

function listOf(value: string | string[] | undefined): string[] {
  return value === undefined ? [] : [...new Set(Array.isArray(value) ? value : [value])];
}

/** Routes that claim the same thing: host and path, host port, or a redirect of a name that is served. Pure. */
export function conflicts(routes: readonly { service: string; spec: EdgeSpec; path: Path }[], settings: ProjectSettings): Problem[] {
  const problems: Problem[] = [];
  const claimed = new Map<string, string>();
  const claim = (key: string, what: string, service: string, path: Path) => {
    const other = claimed.get(key);
    if (other === undefined) claimed.set(key, service);
    else
      problems.push({
        path,
        message: `service ${service}: ${what} is already ${other === service ? 'routed by another entry of this service' : `taken by service ${other}`}`,
      });
  };
  for (const { service, spec, path } of routes) {
    if (spec.kind === 'tcp') {
      claim(`tcp ${spec.listen}`, `host port ${spec.listen}`, service, [...path, 'listen']);
      if (spec.listen === settings.edge.httpPort || spec.listen === settings.edge.httpsPort) {
        problems.push({
          path: [...path, 'listen'],
          message: `service ${service}: host port ${spec.listen} is the edge’s own for HTTP (x-composure.edge)`,
        });
      }
      continue;
    }
    for (const host of spec.hosts.length > 0 ? spec.hosts : ['']) {
      claim(`http ${host} ${spec.path}`, `${host === '' ? 'every host' : host}${spec.path === '/' ? '' : ` ${spec.path}`}`, service, [
        ...path,
        'host',
      ]);
    }
  }
  const served = new Map(routes.flatMap(({ service, spec }) => spec.hosts.map((host) => [host, service] as const)));
  for (const { service, spec, path } of routes) {
    for (const host of spec.redirectFrom) {
      const other = served.get(host);
      if (other !== undefined)
        problems.push({
          path: [...path, 'redirect_from'],
          message: `service ${service}: ${host} cannot be redirected, service ${other} serves it`,
        });
    }
  }
  return problems;
}
