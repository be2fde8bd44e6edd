/** What of libpq's connection strings is understood: both forms, one host, and these settings. Anything else is refused by name. */

export const SSL_MODES = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'] as const;
export type SslMode = (typeof SSL_MODES)[number];

export interface Connection {
  host: string;
  port: number;
  user: string;
  database: string;
  password?: string;
  sslmode: SslMode;
}

/** Settings that change nothing about a query for a number. */
const WITHOUT_EFFECT = new Set(['application_name', 'connect_timeout', 'fallback_application_name', 'pool_max_conns', 'statement_timeout']);

/** The connection, or what is wrong with the text, in words that hold nothing of it but names of settings. */
export function parsePostgresConnection(text: string): Connection | string {
  const settings = /^postgres(ql)?:\/\//.test(text) ? settingsOfUrl(text) : settingsOfPairs(text);
  if (!settings) return 'it is neither a postgres:// URL nor name=value pairs';
  const { host, port, user, dbname, password, sslmode, ...others } = settings;
  const unknown = Object.keys(others).find((name) => !WITHOUT_EFFECT.has(name));
  // A name that is none may be a piece of a password that was not written as it has to be.
  if (unknown !== undefined)
    return /^[a-z_]+$/.test(unknown) ? `the setting ${unknown} is not supported` : 'a setting of it is not supported';
  const mode = sslmode ?? 'prefer';
  if (!host) return 'it names no host';
  if (host.includes(',')) return 'it names several hosts, and one is supported';
  if (host.startsWith('/')) return 'it names a Unix socket, which is not reached from outside of the container';
  if (!user) return 'it names no user';
  if (!(SSL_MODES as readonly string[]).includes(mode)) return 'its sslmode is none of libpq';
  if (port !== undefined && !/^\d{1,5}$/.test(port)) return 'its port is not a number';
  return {
    host,
    port: Number(port || 5432),
    user,
    database: dbname || user,
    sslmode: mode as SslMode,
    ...(password ? { password } : {}),
  };
}

function settingsOfUrl(text: string): Record<string, string> | undefined {
  const url = URL.parse(text);
  if (!url) return undefined;
  try {
    const parts = {
      host: decodeURIComponent(url.hostname.replace(/^\[|\]$/g, '')),
      port: url.port,
      user: decodeURIComponent(url.username),
      password: decodeURIComponent(url.password),
      dbname: decodeURIComponent(url.pathname.slice(1)),
    };
    return { ...Object.fromEntries(Object.entries(parts).filter(([, value]) => value !== '')), ...Object.fromEntries(url.searchParams) };
  } catch {
    return undefined;
  }
}

function settingsOfPairs(text: string): Record<string, string> | undefined {
  const pair = /\s*([a-z_]+)\s*=\s*(?:'((?:\\.|[^'\\])*)'|((?:\\.|[^\s'\\])*))(?=\s|$)/gsy;
  const settings: Record<string, string> = {};
  let end = 0;
  for (let match = pair.exec(text); match; match = pair.exec(text)) {
    settings[match[1] as string] = (match[2] ?? match[3] ?? '').replace(/\\(.)/gs, '$1');
    end = pair.lastIndex;
  }
  return end > 0 && text.slice(end).trim() === '' ? settings : undefined;
}

type Tls = false | { rejectUnauthorized: boolean; checkServerIdentity?: () => undefined };

/** How to connect, one way after the other, for a mode of libpq. */
export function tlsAttempts(mode: SslMode): Tls[] {
  const unverified = { rejectUnauthorized: false };
  const attempts: Record<SslMode, Tls[]> = {
    disable: [false],
    allow: [false, unverified],
    prefer: [unverified, false],
    require: [unverified],
    'verify-ca': [{ rejectUnauthorized: true, checkServerIdentity: () => undefined }],
    'verify-full': [{ rejectUnauthorized: true }],
  };
  return attempts[mode];
}
