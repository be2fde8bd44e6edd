/** What of the connection strings of Go's MySQL driver, which KEDA takes, is understood. Anything else is refused by name. */

export interface Connection {
  host: string;
  port: number;
  user: string;
  password: string;
  database: string;
  /** 'true': verified; 'skip-verify': any certificate. */
  tls: 'true' | 'false' | 'skip-verify';
}

/** Settings that change nothing about a query for a number. */
const WITHOUT_EFFECT = new Set([
  'allowNativePasswords',
  'charset',
  'checkConnLiveness',
  'collation',
  'interpolateParams',
  'loc',
  'maxAllowedPacket',
  'multiStatements',
  'parseTime',
  'readTimeout',
  'timeout',
  'writeTimeout',
]);

/** `user:password@tcp(host:port)/database?tls=…`, or what is wrong with it, in words that hold nothing of it but names of settings. */
export function parseMysqlConnection(text: string): Connection | string {
  // A password may hold any of the characters that separate: the last slash and the last @ before it are the ones that do.
  const match = /^(?:(.*)@)?(?:([a-z]+)(?:\(([^)]*)\))?)?\/([^/?]*)(?:\?(.*))?$/s.exec(text);
  if (!match) return 'it is not of the form user:password@tcp(host:port)/database';
  const [, credentials = '', protocol = 'tcp', address = '127.0.0.1:3306', database = '', parameters = ''] = match;
  if (protocol !== 'tcp') return 'it does not connect by tcp(host:port)';
  const [, bracketed, plain, port = '3306'] = /^(?:\[([^\]]*)\]|([^:]*))(?::(\d{1,5}))?$/.exec(address) ?? [];
  const host = bracketed ?? plain;
  if (!host) return 'its address is not of the form host:port';
  const { tls = 'false', ...others } = Object.fromEntries(new URLSearchParams(parameters));
  const unknown = Object.keys(others).find((name) => !WITHOUT_EFFECT.has(name));
  // A name that is none may be a piece of a password that was not written as it has to be.
  if (unknown !== undefined)
    return /^[A-Za-z]+$/.test(unknown) ? `the setting ${unknown} is not supported` : 'a setting of it is not supported';
  if (tls !== 'true' && tls !== 'false' && tls !== 'skip-verify') return 'its tls is none of true, false and skip-verify';
  const colon = credentials.indexOf(':');
  return {
    host,
    port: Number(port),
    user: colon < 0 ? credentials : credentials.slice(0, colon),
    password: colon < 0 ? '' : credentials.slice(colon + 1),
    database: /%(?![0-9a-f]{2})/i.test(database) ? database : decodeURIComponent(database),
    tls,
  };
}
