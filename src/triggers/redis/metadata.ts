import type { z } from 'zod';
import { Failure } from '../../kit/errors.ts';
import { count, flag, port, scalar, text } from '../../kit/fields.ts';
import { fromEnvironmentIfNamed } from '../environment.ts';
import { fromVariable } from '../fields.ts';
import type { TriggerContext } from '../model.ts';
import type { RedisServer } from './link.ts';

/** Fields that say which Redis it is, and how to log in: the same for every trigger that reads Redis. */
export const serverFields = {
  address: scalar('"host:port", or a URL such as redis://host:port/0', (value) => (parseAddress(value) ? value : undefined))
    .optional()
    .describe(
      'Where Redis listens: `host:port`, or a `redis://` or `rediss://` URL. A service of the project is named by its service name.',
    )
    .meta({ samples: ['redis:6379', 'redis://redis:6379/0'] }),
  addressFromEnv: fromVariable('the address, in either form; it may hold user and password', 'REDIS_URL'),
  host: text('a host name')
    .optional()
    .describe('Host name, together with `port`, instead of `address`.')
    .meta({ samples: ['redis'] }),
  hostFromEnv: fromVariable('the host name', 'REDIS_HOST'),
  port: port()
    .optional()
    .describe('Port, together with `host`.')
    .meta({ samples: [6379] }),
  portFromEnv: fromVariable('the port', 'REDIS_PORT'),
  username: text('a user name')
    .optional()
    .describe('User of Redis’s access control list; left out, the default user.')
    .meta({ samples: ['scaler'] }),
  usernameFromEnv: fromVariable('the user name', 'REDIS_USER'),
  passwordFromEnv: fromVariable('the password', 'REDIS_PASSWORD'),
  databaseIndex: count(0, 65_535)
    .optional()
    .describe('Number of the database. Left out: that of the URL, or 0.')
    .meta({ samples: [1] }),
  enableTLS: flag()
    .prefault(false)
    .describe('Connect with TLS. A `rediss://` URL says so too.')
    .meta({ samples: [true] }),
  unsafeSsl: flag()
    .prefault(false)
    .describe('Take any certificate: for a server whose certificate no known authority signed.')
    .meta({ samples: [true] }),
};

type ServerMetadata = z.output<z.ZodObject<typeof serverFields>>;

/** What the metadata and the service's environment make of it. Failure CONFIG_INVALID. */
export function serverOf(metadata: ServerMetadata, context: TriggerContext): RedisServer {
  const given = (name: 'address' | 'host' | 'port' | 'username') => {
    const written = metadata[name];
    return written === undefined ? fromEnvironmentIfNamed(context, `${name}FromEnv`, metadata[`${name}FromEnv`]) : String(written);
  };
  const text = given('address');
  const address = text === undefined ? undefined : parseAddress(text);
  // The value may hold a password.
  if (text !== undefined && !address)
    throw invalid('addressFromEnv', `${metadata.addressFromEnv} holds neither host:port nor a redis:// URL`, 'write it as host:port');
  const host = address?.host ?? given('host');
  const number = address?.port ?? Number(given('port'));
  if (host === undefined || !Number.isInteger(number) || number < 1 || number > 65_535)
    throw invalid('address', 'no address of Redis is given', 'write address, or host and port');
  const username = given('username') ?? address?.username;
  const password = fromEnvironmentIfNamed(context, 'passwordFromEnv', metadata.passwordFromEnv) ?? address?.password;
  return {
    host,
    port: number,
    database: metadata.databaseIndex ?? address?.database ?? 0,
    ...(username ? { username } : {}),
    ...(password ? { password } : {}),
    ...(metadata.enableTLS || address?.tls ? { tls: { verify: !metadata.unsafeSsl } } : {}),
  };
}

interface Address {
  host: string;
  port: number;
  username?: string;
  password?: string;
  database?: number;
  tls: boolean;
}

function parseAddress(text: string): Address | undefined {
  const isUrl = text.includes('://');
  const url = URL.parse(isUrl ? text : `redis://${text}`);
  if (!url || !['redis:', 'rediss:'].includes(url.protocol) || url.hostname === '') return undefined;
  const database = url.pathname.replace(/^\//, '');
  if (!/^\d*$/.test(database)) return undefined;
  if (!isUrl && (url.port === '' || url.username || url.password || database || url.search)) return undefined;
  return {
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: url.port === '' ? 6379 : Number(url.port),
    tls: url.protocol === 'rediss:',
    ...(url.username ? { username: decode(url.username) } : {}),
    ...(url.password ? { password: decode(url.password) } : {}),
    ...(database ? { database: Number(database) } : {}),
  };
}

/** A password with a bare "%" in it is no mistake worth failing for. */
function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export function invalid(where: string, message: string, next: string): Failure {
  return new Failure('CONFIG_INVALID', `${where}: ${message}`, { where, next });
}
