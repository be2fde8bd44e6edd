import { z } from 'zod';
import { count, duration, flag, port, scalar, share, size, text, word } from '../kit/fields.ts';
import { projectBackupKey } from './backup-schema.ts';

/** Our keys in the compose file. Each schema is at once the check, the JSON Schema that editors complete from and the reference page. */

const HOST_LABEL = '[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?';
const HOST = new RegExp(`^(\\*\\.)?${HOST_LABEL}(\\.${HOST_LABEL})*$`);
const host = () =>
  scalar('a host name without scheme, port or path, such as shop.example.com', (text) => {
    const name = text.toLowerCase();
    return HOST.test(name) && name.length <= 253 ? name : undefined;
  });
const path = () =>
  scalar('a path that begins with "/" and holds no spaces, "?" or "#"', (text) => (/^\/[^\s?#"'\\]*$/.test(text) ? text : undefined));
const hosts = () => z.union([host(), z.array(host()).min(1, 'expected at least one host name')]);

export const edgeEntry = z
  .strictObject({
    host: hosts()
      .optional()
      .describe(
        'Host name, or a list of them, that this service answers to. `*.example.com` takes every name one level below. Without it, every host that no other route names.',
      )
      .meta({ samples: ['shop.example.com', ['shop.example.com', 'shop.example.net']] }),
    path: path()
      .prefault('/')
      .describe('Path prefix. The longest prefix that matches a request wins; the path reaches the service unchanged.')
      .meta({ samples: ['/api'] }),
    port: port()
      .optional()
      .describe('Container port that the service listens on. May be left out when the service publishes or exposes exactly one TCP port.')
      .meta({ samples: [8000] }),
    protocol: word('http', 'tcp')
      .prefault('http')
      .describe('`http` routes by host and path; `tcp` passes a host port through as it is, see `listen`.')
      .meta({ samples: ['tcp'] }),
    listen: port()
      .optional()
      .describe('Host port that the edge listens on. Only with `protocol: tcp`, and needed there.')
      .meta({ samples: [5432] }),
    health: z
      .union([
        path(),
        z.strictObject({
          path: path()
            .describe('Path that the edge asks for.')
            .meta({ samples: ['/health'] }),
          interval: duration()
            .prefault('500ms')
            .describe('Time between two checks.')
            .meta({ samples: ['1s'] }),
          status: scalar(
            'status codes such as 200, 200-299 or 200,204',
            (value) => (/^[1-5]\d\d(-[1-5]\d\d)?(,[1-5]\d\d(-[1-5]\d\d)?)*$/.test(value) ? value : undefined),
            'number',
          )
            .prefault('200-399')
            .describe('Status codes that count as healthy.')
            .meta({ samples: ['200-299'] }),
        }),
      ])
      .optional()
      .describe(
        'What the edge asks each container before and while it sends requests there: a path, or a mapping. Without it, a TCP connection is enough. It comes on top of the health check of the service itself.',
      )
      .meta({ samples: ['/health', { path: '/health', interval: '1s', status: '200' }] }),
    redirect_from: hosts()
      .optional()
      .describe('Host names that are answered with a permanent redirect to the first `host`.')
      .meta({ samples: ['www.shop.example.com'] }),
    tls: z
      .union([
        scalar(
          'true, false or "acme"',
          (value) => (value === 'true' ? true : value === 'false' ? false : value === 'acme' ? ('acme' as const) : undefined),
          'switch',
        ),
        z.strictObject({
          cert: text('a file')
            .describe('Certificate chain in PEM form; relative to the project folder.')
            .meta({ samples: ['./certs/shop.pem'] }),
          key: text('a file')
            .describe('Private key in PEM form; relative to the project folder.')
            .meta({ samples: ['./certs/shop.key'] }),
        }),
      ])
      .optional()
      .describe(
        '`acme` (or `true`): a certificate is fetched and renewed by itself, which needs `x-composure.edge.acme`. `false`: plain HTTP. `{cert, key}`: files of your own. Left out: `acme` for public host names when `x-composure.edge.acme` is set, otherwise plain HTTP; localhost is always plain HTTP unless files are given.',
      )
      .meta({ samples: ['acme', { cert: './certs/shop.pem', key: './certs/shop.key' }] }),
    https_redirect: flag()
      .optional()
      .describe('Redirect plain HTTP to HTTPS. Left out: yes when the route has TLS.')
      .meta({ samples: [false] }),
    compress: flag()
      .prefault(true)
      .describe('Compress text answers that the service sends uncompressed.')
      .meta({ samples: [false] }),
    headers: flag()
      .prefault(true)
      .describe('Add security headers where the service did not set them itself.')
      .meta({ samples: [false] }),
    max_body: size()
      .prefault('0')
      .describe('Largest request body; larger ones are answered with 413. `0` means no limit.')
      .meta({ samples: ['10m'] }),
    rate_limit: z
      .strictObject({
        requests: count(1)
          .describe('Requests that one client address may make in the period.')
          .meta({ samples: [100] }),
        per: duration()
          .prefault('1s')
          .describe('The period.')
          .meta({ samples: ['10s'] }),
      })
      .optional()
      .describe('Requests above the limit are answered with 429. Left out: no limit.')
      .meta({ samples: [{ requests: 100, per: '10s' }] }),
    timeout: z
      .strictObject({
        response: duration()
          .prefault('60s')
          .describe('How long the service may take until its answer begins, and may pause within it.')
          .meta({ samples: ['5m'] }),
        tunnel: duration()
          .prefault('1h')
          .describe('How long a WebSocket or TCP connection may stay silent.')
          .meta({ samples: ['10m'] }),
      })
      .prefault({})
      .describe('Time limits of one request.')
      .meta({ samples: [{ response: '5m' }] }),
    hold: duration()
      .prefault('15s')
      .describe('How long requests may wait at the edge while a service that cannot run twice is replaced.')
      .meta({ samples: ['30s'] }),
    drain: z
      .strictObject({
        requests: duration()
          .optional()
          .describe('For requests. Left out: the service’s `stop_grace_period`, at least 30s.')
          .meta({ samples: ['2m'] }),
        streams: duration()
          .prefault('30s')
          .describe('For WebSockets and event streams.')
          .meta({ samples: ['5m'] }),
      })
      .prefault({})
      .describe('How long an old container may finish what it has begun before it is stopped. What is cut after that is reported.')
      .meta({ samples: [{ requests: '2m', streams: '5m' }] }),
  })
  .describe('A route from the edge to this service; a list gives it several.');

export const edgeKey = z
  .union([edgeEntry, z.array(edgeEntry)])
  .describe('Routes requests from the edge to this service: one route, or a list of them.');

export const releaseKey = z
  .strictObject({
    timeout: duration()
      .prefault('10m')
      .describe('How long the job may run.')
      .meta({ samples: ['5m'] }),
    command: z
      .union([text('a command'), z.array(z.string()).min(1, 'expected a command with at least one word')])
      .optional()
      .describe('Runs in place of the service’s own command: a list of arguments, or a text that is split into words (no shell).')
      .meta({ samples: [['npm', 'run', 'migrate'], 'npm run migrate'] }),
  })
  .describe(
    'Marks a job that runs to its end once for each release, in the new image, before anything that runs is touched. Services that others await with `service_completed_successfully` are such jobs without being marked.',
  );

export const settingsKey = z
  .strictObject({
    edge: z
      .strictObject({
        http_port: port()
          .optional()
          .describe('Host port for plain HTTP of the edge. Left out: what the edge already uses, or 80.')
          .meta({ samples: [8080] }),
        https_port: port()
          .optional()
          .describe('Host port for HTTPS of the edge. Left out: what the edge already uses, or 443.')
          .meta({ samples: [8443] }),
        acme: z
          .strictObject({
            email: scalar('an e-mail address', (value) => (/^[^\s@]+@[^\s@]+$/.test(value) ? value : undefined))
              .describe('Where the certificate authority writes to.')
              .meta({ samples: ['ops@example.com'] }),
            directory: scalar('an https:// address', (value) => (/^https:\/\/\S+$/.test(value) ? value : undefined))
              .prefault('https://acme-v02.api.letsencrypt.org/directory')
              .describe('Directory address of the certificate authority.')
              .meta({ samples: ['https://acme-staging-v02.api.letsencrypt.org/directory'] }),
            ca_file: text('a file')
              .optional()
              .describe('Extra root certificate for talking to the directory, relative to the project folder; for authorities of your own.')
              .meta({ samples: ['./ca.pem'] }),
          })
          .optional()
          .describe('Fetch certificates for public host names.')
          .meta({ samples: [{ email: 'ops@example.com' }] }),
      })
      .prefault({})
      .describe('The edge, which all projects of a host share.'),
    images: z
      .strictObject({
        haproxy: text('an image')
          .optional()
          .describe('Image of the edge. Left out: `haproxy:3.2-alpine`.')
          .meta({ samples: ['registry.example.com/haproxy:3.2'] }),
        restic: text('an image')
          .optional()
          .describe('Image of restic, for a machine without restic 0.18.0 or newer of its own. Left out: `restic/restic:0.19.1`.')
          .meta({ samples: ['registry.example.com/restic:0.19.1'] }),
      })
      .prefault({})
      .describe('Images that Composure itself starts.'),
    release: z
      .strictObject({
        max_error_ratio: share(0, 1)
          .prefault(0.05)
          .describe('Share of 5xx answers of the new containers, above that of the old ones, from which a release is rolled back.')
          .meta({ samples: [0.01] }),
        max_latency_ratio: share(1, 1000)
          .prefault(3)
          .describe('How many times slower than the old containers the new ones may be.')
          .meta({ samples: [2] }),
        min_requests: count(0)
          .prefault(20)
          .describe('Fewer requests than this on the new containers decide nothing about ratios.')
          .meta({ samples: [100] }),
        keep: count(0, 100)
          .prefault(1)
          .describe('How many previous releases keep their stopped containers, for an instant rollback.')
          .meta({ samples: [2] }),
      })
      .prefault({})
      .describe('The watch after the switch, and what is kept.'),
    backup: projectBackupKey.prefault({}),
  })
  .describe('Settings of the project as a whole.');

export type EdgeEntry = z.output<typeof edgeEntry>;
export type ReleaseKey = z.output<typeof releaseKey>;
export type SettingsKey = z.output<typeof settingsKey>;

/** The names of our keys by where they stand; their schemas are in keys.ts. */
export const KEY_NAMES = { service: ['x-edge', 'x-release', 'x-autoscale', 'x-backup'], project: ['x-composure'] } as const;

/**
 * The shape of one of our keys as JSON Schema, as it is written in a file. `form` names a scalar's kind for people: "duration", "size".
 * zod drops `examples` wherever a value is turned into another one, so they travel as `samples`.
 */
export function keyJsonSchema(schema: z.ZodType): z.core.JSONSchema.JSONSchema {
  return z.toJSONSchema(schema, {
    io: 'input',
    target: 'draft-2020-12',
    override: ({ jsonSchema }) => {
      if (jsonSchema.samples === undefined) return;
      jsonSchema.examples = jsonSchema.samples as unknown[];
      delete jsonSchema.samples;
    },
  });
}
