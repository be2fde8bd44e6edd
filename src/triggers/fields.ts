import { parseDurationMs } from '../kit/duration.ts';
import { flag, scalar } from '../kit/fields.ts';

/** Scalars of the triggers' metadata beyond those that all our keys share. */

/** A target: what one worker is to have. Nothing can be divided by 0. */
export const target = () => scalar('a number above 0', (text) => decimal(text, (value) => value > 0), 'number');
/** An activation value: strictly above it there is something to do. */
export const activation = () => scalar('a number, at least 0', (text) => decimal(text, (value) => value >= 0), 'number');

/** The field of an activation value. */
export const activatesAbove = (sample = 1) =>
  activation()
    .prefault('0')
    .describe('Strictly above it there is something to do.')
    .meta({ samples: [sample] });

function decimal(text: string, allowed: (value: number) => boolean): number | undefined {
  if (!/^\d+(\.\d+)?$/.test(text.trim())) return undefined;
  const value = Number(text);
  return allowed(value) ? value : undefined;
}

/** The name of a variable of the scaled service's environment. */
export const variable = () =>
  scalar('the name of an environment variable', (text) => (/^[A-Za-z_][A-Za-z0-9_.-]*$/.test(text) ? text : undefined));

/** A field that names the variable which holds what does not belong into a file, or what differs from host to host. */
export const fromVariable = (what: string, sample: string) =>
  variable()
    .optional()
    .describe(`Variable of the service's environment that holds ${what}.`)
    .meta({ samples: [sample] });

/** A query, of one line or many. */
export const query = (expected = 'a query') => scalar(expected, (text) => (text.trim() === '' ? undefined : text));

/** Milliseconds, or a duration with its unit, as KEDA takes both. */
export const timeout = () =>
  scalar(
    'milliseconds, or a duration such as 3s, above 0',
    (text) => {
      const ms = /^\d+$/.test(text) ? Number(text) : parseDurationMs(text);
      return ms !== undefined && ms > 0 ? ms : undefined;
    },
    'number',
  );

/** How long one answer of `whose` may take. */
export const answerTime = (whose: string) =>
  timeout()
    .optional()
    .describe(`How long ${whose} may take; at most 4.5 s, which is the default.`)
    .meta({ samples: ['3s'] });

/** For a server whose certificate no known authority signed. */
export const anyCertificate = () =>
  flag()
    .prefault('false')
    .describe('Takes any certificate.')
    .meta({ samples: [true] });

/** "name=value,name=value" as KEDA writes maps. */
export const pairs = () =>
  scalar('pairs such as name=value,other=value', (text) => {
    const read = text.split(',').map((pair) => pair.split('=').map((part) => part.trim()));
    return read.every((pair) => pair.length === 2 && pair[0] !== '') ? (read as [string, string][]) : undefined;
  });

/** An http or https address. */
export const httpUrl = () =>
  scalar('an address that begins with http:// or https://', (text) => {
    const url = URL.parse(text);
    return url && /^https?:$/.test(url.protocol) ? text : undefined;
  });

const BINARY = ['', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei'];
const DECIMAL: Record<string, number> = { n: 1e-9, u: 1e-6, m: 1e-3, '': 1, k: 1e3, M: 1e6, G: 1e9, T: 1e12, P: 1e15, E: 1e18 };

/** A Kubernetes quantity ("500m", "512Mi", "1e3") as a number, or undefined when the text is not one. */
export function parseQuantity(text: string): number | undefined {
  const match = /^([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)([KMGTPE]i|[numkMGTPE])?$/.exec(text.trim());
  if (!match) return undefined;
  const [, amount, suffix = ''] = match;
  const factor = suffix.endsWith('i') ? 1024 ** BINARY.indexOf(suffix) : DECIMAL[suffix];
  return factor === undefined ? undefined : Number(amount) * factor;
}
